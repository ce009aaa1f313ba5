-- What customers choose and do themselves, on their own pages and by the other doors.

-- Who agreed to or refused what, when, by which door, and which words they saw. Append-only.
CREATE TABLE consent (
    seq          INTEGER PRIMARY KEY,
    customer_id  TEXT NOT NULL,
    at_ms        BIGINT NOT NULL,
    who          TEXT NOT NULL,        -- 'customer', or the name of an API key or a provider
    source       TEXT NOT NULL,        -- centre, one-click, stop, api, import, …
    text_version TEXT NOT NULL,        -- the hash of the pages' words; empty where none were shown
    what         TEXT NOT NULL         -- JSON: each choice that changed, before and after
);
CREATE INDEX consent_by_customer ON consent (customer_id, seq);

-- What a customer did: pages seen, forms sent, also those that failed. Append-only.
CREATE TABLE customer_action (
    seq         INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    detail      TEXT NOT NULL
);
CREATE INDEX customer_action_by_customer ON customer_action (customer_id, seq);

-- Six digits sent to an address. The digits themselves are derived and never kept.
CREATE TABLE contact_code (
    seq         INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL,
    purpose     TEXT NOT NULL,         -- 'prove' who is there, or 'add' an address
    channel     TEXT NOT NULL,
    address     TEXT NOT NULL,
    sent_at_ms  BIGINT NOT NULL,
    tries       BIGINT NOT NULL,
    spent       BOOLEAN NOT NULL
);
CREATE INDEX contact_code_by_customer ON contact_code (customer_id, seq);

-- Sign-in links that were used.
CREATE TABLE spent_link (
    hash        TEXT PRIMARY KEY,
    spent_at_ms BIGINT NOT NULL
);

-- How long customers wait for a person, as the switchboard tells it; the last one holds.
CREATE TABLE wait_time (
    seq         INTEGER PRIMARY KEY,
    channel     TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    shortest_s  BIGINT NOT NULL,
    longest_s   BIGINT NOT NULL
);
CREATE INDEX wait_time_by_channel ON wait_time (channel, seq);

-- Calls that customers asked for. A window that begins at 0 means as soon as possible.
CREATE TABLE callback (
    seq         INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL,
    case_id     TEXT,
    asked_at_ms BIGINT NOT NULL,
    from_ms     BIGINT NOT NULL,
    to_ms       BIGINT NOT NULL,
    status      TEXT NOT NULL CHECK (status IN ('open', 'kept', 'late', 'moved', 'cancelled')),
    ended_at_ms BIGINT
);
CREATE INDEX callback_by_customer ON callback (customer_id, seq);
CREATE INDEX callback_by_window ON callback (from_ms) WHERE status = 'open';
