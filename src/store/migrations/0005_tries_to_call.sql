-- How often a promised call was tried, and calls that nobody could be reached by.
CREATE TABLE callback_next (
    seq         INTEGER PRIMARY KEY,
    customer_id TEXT NOT NULL,
    case_id     TEXT,
    asked_at_ms BIGINT NOT NULL,
    from_ms     BIGINT NOT NULL,
    to_ms       BIGINT NOT NULL,
    status      TEXT NOT NULL
        CHECK (status IN ('open', 'kept', 'late', 'missed', 'moved', 'cancelled')),
    ended_at_ms BIGINT,
    tries       BIGINT NOT NULL
);
INSERT INTO callback_next
    (customer_id, case_id, asked_at_ms, from_ms, to_ms, status, ended_at_ms, tries)
SELECT customer_id, case_id, asked_at_ms, from_ms, to_ms, status, ended_at_ms, 0
FROM callback ORDER BY seq;
DROP TABLE callback;
ALTER TABLE callback_next RENAME TO callback;
CREATE INDEX callback_by_customer ON callback (customer_id, seq);
CREATE INDEX callback_by_window ON callback (from_ms) WHERE status = 'open';
CREATE INDEX callback_by_end ON callback (to_ms) WHERE status = 'open';
