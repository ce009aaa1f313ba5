-- Answers to requests that came with an Idempotency-Key, to be given again for a day.
CREATE TABLE kept_answer (
    key_hash     TEXT PRIMARY KEY,     -- of the caller's credentials and the key
    fingerprint  TEXT NOT NULL,        -- of method, path and body
    status       BIGINT NOT NULL,
    content_type TEXT NOT NULL,
    body         TEXT NOT NULL,
    kept_at_ms   BIGINT NOT NULL
);
CREATE INDEX kept_answer_age ON kept_answer (kept_at_ms);
