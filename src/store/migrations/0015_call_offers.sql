-- Times for a call that were offered by text, until they are answered or over: one offer a number.
-- The number itself is not kept.
CREATE TABLE call_offer (
    number_hash TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    slots       TEXT NOT NULL,         -- JSON, in the order of their digits
    made_at_ms  BIGINT NOT NULL,
    ends_at_ms  BIGINT NOT NULL
);
CREATE INDEX call_offer_by_end ON call_offer (ends_at_ms);
