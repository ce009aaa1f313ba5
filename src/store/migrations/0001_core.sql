-- Instants are milliseconds since 1970 in UTC; ids and JSON are TEXT; booleans are BOOLEAN.
-- Written in the subset that SQLite and PostgreSQL share (STYLE 2).

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

-- What case systems told us, as it came. Never changed but for what planning made of it.
CREATE TABLE event (
    seq            INTEGER PRIMARY KEY,
    source         TEXT NOT NULL,
    id             TEXT NOT NULL,
    case_id        TEXT NOT NULL,
    case_type      TEXT NOT NULL,
    customer_id    TEXT NOT NULL,
    ordinal        BIGINT NOT NULL,     -- place in its case, from 1
    occurred_at_ms BIGINT NOT NULL,
    accepted_at_ms BIGINT NOT NULL,
    body           TEXT NOT NULL,
    body_hash      TEXT NOT NULL,
    planned_at_ms  BIGINT,
    silent         TEXT,                -- why nothing came of it: the code of the reason
    looked_at      TEXT,                -- the reasons themselves
    UNIQUE (source, id),
    UNIQUE (case_id, ordinal)
);
CREATE INDEX event_by_customer ON event (customer_id, seq);

-- `head` events accepted, `planned` events planned; a send needs both to be what it read.
CREATE TABLE cases (
    id            TEXT PRIMARY KEY,
    case_type     TEXT NOT NULL,
    customer_id   TEXT NOT NULL,
    head          BIGINT NOT NULL,
    planned       BIGINT NOT NULL,
    body          TEXT,                 -- the case after the last event planned
    waiting_for   TEXT,                 -- a customer nobody told us about yet
    wait_until_ms BIGINT NOT NULL
);
CREATE INDEX cases_unplanned ON cases (wait_until_ms) WHERE head > planned;
CREATE INDEX cases_waiting ON cases (waiting_for) WHERE waiting_for IS NOT NULL;
CREATE INDEX cases_by_customer ON cases (customer_id);

-- Everything consent reads bumps `revision` in the same transaction.
CREATE TABLE customer (
    id            TEXT PRIMARY KEY,
    revision      BIGINT NOT NULL,
    profile       TEXT NOT NULL,
    chosen        TEXT NOT NULL,        -- by the customer, or an agent for them
    imported      TEXT NOT NULL,        -- by a case system
    erased        BOOLEAN NOT NULL,
    updated_at_ms BIGINT NOT NULL
);
CREATE TABLE customer_version (
    customer_id TEXT NOT NULL,
    revision    BIGINT NOT NULL,
    at_ms       BIGINT NOT NULL,
    source      TEXT NOT NULL,
    body        TEXT NOT NULL,
    PRIMARY KEY (customer_id, revision)
);
CREATE TABLE contact_point (
    customer_id TEXT NOT NULL,
    position    BIGINT NOT NULL,
    channel     TEXT NOT NULL,
    address     TEXT NOT NULL,
    address_key TEXT NOT NULL,
    verified    BOOLEAN NOT NULL,
    added_by    TEXT NOT NULL,          -- 'import' or 'customer'
    removed     BOOLEAN NOT NULL,       -- by the customer: an import never brings it back
    PRIMARY KEY (customer_id, channel, address_key)
);
CREATE INDEX contact_point_by_address ON contact_point (channel, address_key);
CREATE TABLE suppression (
    channel      TEXT NOT NULL,
    address_key  TEXT NOT NULL,
    since_ms     BIGINT NOT NULL,
    until_ms     BIGINT NOT NULL,       -- the end of time when it does not end by itself
    reason       TEXT NOT NULL,
    source       TEXT NOT NULL,
    PRIMARY KEY (channel, address_key, since_ms)
);
CREATE TABLE case_choice (
    case_id TEXT NOT NULL,
    at_ms   BIGINT NOT NULL,
    channel TEXT,
    muted   BOOLEAN NOT NULL,
    source  TEXT NOT NULL,
    PRIMARY KEY (case_id, at_ms)
);

CREATE TABLE notification (
    id               TEXT PRIMARY KEY,
    case_id          TEXT NOT NULL,
    case_type        TEXT NOT NULL,
    customer_id      TEXT NOT NULL,
    notice           TEXT NOT NULL,
    topic            TEXT NOT NULL,
    urgency          BIGINT NOT NULL,
    trigger_key      TEXT NOT NULL,
    occurrence       BIGINT NOT NULL,
    event_seq        BIGINT,
    state            TEXT,
    happened_at_ms   BIGINT NOT NULL,
    collapse         TEXT,
    status           TEXT NOT NULL CHECK (status IN ('planned', 'claimed', 'sending', 'sent',
        'delivered', 'undelivered', 'in_doubt', 'failed', 'unknown', 'cancelled', 'superseded',
        'folded', 'suppressed', 'expired', 'quarantined')),
    reason           TEXT,              -- the code of the last reason, once settled
    planned_at_ms    BIGINT NOT NULL,
    due_at_ms        BIGINT NOT NULL,
    next_at_ms       BIGINT NOT NULL,
    expires_at_ms    BIGINT NOT NULL,
    ring_again_at_ms BIGINT NOT NULL,
    told_at_ms       BIGINT,
    channel          TEXT,              -- of the last attempt
    failed_channels  TEXT NOT NULL,
    skipped          TEXT NOT NULL,
    version          TEXT NOT NULL,
    code             TEXT NOT NULL,
    because          TEXT NOT NULL,     -- the reasons it was planned for
    versions         TEXT NOT NULL,     -- of what planning read
    keyed            BOOLEAN NOT NULL,
    once_customer    BOOLEAN NOT NULL,
    epoch            BIGINT NOT NULL,
    owner            TEXT,
    lease_until_ms   BIGINT NOT NULL,
    claims           BIGINT NOT NULL,
    attempts         BIGINT NOT NULL,
    on_channel       BIGINT NOT NULL     -- attempts on `channel`
);
CREATE INDEX notification_due ON notification (urgency, next_at_ms) WHERE status = 'planned';
CREATE INDEX notification_leases ON notification (lease_until_ms)
    WHERE status IN ('claimed', 'sending');
CREATE INDEX notification_in_doubt ON notification (next_at_ms) WHERE status = 'in_doubt';
CREATE INDEX notification_by_case ON notification (case_id);
CREATE INDEX notification_by_customer ON notification (customer_id, planned_at_ms);
CREATE INDEX notification_by_event ON notification (event_seq);
CREATE INDEX notification_once ON notification (customer_id, notice) WHERE once_customer;
CREATE INDEX notification_code ON notification (code);

-- Decisions that led to no attempt: held, moved, ended. Append-only.
CREATE TABLE decision (
    seq             INTEGER PRIMARY KEY,
    notification_id TEXT NOT NULL,
    at_ms           BIGINT NOT NULL,
    what            TEXT NOT NULL,
    reasons         TEXT NOT NULL,
    versions        TEXT NOT NULL
);
CREATE INDEX decision_by_notification ON decision (notification_id);

-- One hand-over to a provider, written down before its first byte leaves. Append-only but
-- for its outcome.
CREATE TABLE attempt (
    seq             INTEGER PRIMARY KEY,
    notification_id TEXT NOT NULL,
    no              BIGINT NOT NULL,
    channel         TEXT NOT NULL,
    provider        TEXT NOT NULL,
    address         TEXT NOT NULL,
    opened_at_ms    BIGINT NOT NULL,
    because         TEXT NOT NULL,
    versions        TEXT NOT NULL,
    body_hash       TEXT NOT NULL,
    parts           BIGINT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('open', 'sent', 'not_sent', 'deferred',
        'refused', 'in_doubt', 'delivered', 'undelivered', 'unknown')),
    closed_at_ms    BIGINT,
    provider_ref    TEXT,
    detail          TEXT,
    UNIQUE (notification_id, no)
);
CREATE INDEX attempt_by_ref ON attempt (provider, provider_ref) WHERE provider_ref IS NOT NULL;

-- A provider's later word, stored before it is applied.
CREATE TABLE receipt (
    seq             INTEGER PRIMARY KEY,
    notification_id TEXT NOT NULL,
    no              BIGINT NOT NULL,
    provider        TEXT NOT NULL,
    provider_ref    TEXT NOT NULL,
    outcome         TEXT NOT NULL,
    detail          TEXT NOT NULL,
    received_at_ms  BIGINT NOT NULL,
    applied_at_ms   BIGINT,
    UNIQUE (notification_id, no, provider_ref, outcome)
);
CREATE INDEX receipt_unapplied ON receipt (seq) WHERE applied_at_ms IS NULL;

CREATE TABLE task (
    seq             INTEGER PRIMARY KEY,
    key             TEXT NOT NULL,
    kind            TEXT NOT NULL,
    detail          TEXT NOT NULL,
    notification_id TEXT,
    event_seq       BIGINT,
    case_id         TEXT,
    customer_id     TEXT,
    opened_at_ms    BIGINT NOT NULL,
    done_at_ms      BIGINT,
    done_by         TEXT
);
CREATE UNIQUE INDEX task_open ON task (key) WHERE done_at_ms IS NULL;
CREATE INDEX task_by_event ON task (event_seq) WHERE event_seq IS NOT NULL;

-- Versions of what decides. The last publication is in force.
CREATE TABLE journey_version (
    hash TEXT PRIMARY KEY,
    body TEXT NOT NULL
);
CREATE TABLE publication (
    seq    INTEGER PRIMARY KEY,
    hash   TEXT NOT NULL,
    at_ms  BIGINT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL
);
CREATE TABLE settings_version (
    hash          TEXT PRIMARY KEY,
    first_seen_ms BIGINT NOT NULL,
    body          TEXT NOT NULL
);
