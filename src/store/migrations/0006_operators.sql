-- People at the console: who is signed in, and what they did.

-- The token itself is in the browser's cookie and nowhere else.
CREATE TABLE operator_sessions (
    hash        TEXT PRIMARY KEY,      -- SHA-256 of the token
    operator    TEXT NOT NULL,
    role        TEXT NOT NULL CHECK (role IN ('viewer', 'editor', 'publisher', 'admin')),
    entry       TEXT NOT NULL,         -- the fingerprint of what let them in: another one ends the session
    begun_at_ms BIGINT NOT NULL,
    seen_at_ms  BIGINT NOT NULL
);
CREATE INDEX operator_sessions_by_operator ON operator_sessions (operator);
CREATE INDEX operator_sessions_by_begin ON operator_sessions (begun_at_ms);

-- A one-time code is good once (RFC 6238 section 5.2): the last step that was used.
CREATE TABLE operator_code (
    operator TEXT PRIMARY KEY,
    step     BIGINT NOT NULL
);

-- Every action of an operator, also those that were refused. Append-only.
CREATE TABLE audit_log (
    seq     INTEGER PRIMARY KEY,
    at_ms   BIGINT NOT NULL,
    who     TEXT NOT NULL,
    role    TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL              -- JSON; addresses are masked
);
CREATE INDEX audit_log_by_who ON audit_log (who, seq);
CREATE INDEX audit_log_by_action ON audit_log (action, seq);
CREATE INDEX audit_log_by_subject ON audit_log (subject, seq);
