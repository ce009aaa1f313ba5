-- What other systems are told by webhook. A row is written in the transaction of its fact.
CREATE TABLE webhook_event (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,   -- msg_…, derived from the fact
    kind           TEXT NOT NULL,
    occurred_at_ms BIGINT NOT NULL,
    case_id        TEXT,
    customer_id    TEXT,
    data           TEXT NOT NULL           -- JSON; emptied when the customer is erased
);
CREATE INDEX webhook_event_by_customer ON webhook_event (customer_id)
    WHERE customer_id IS NOT NULL;
CREATE INDEX webhook_event_age ON webhook_event (occurred_at_ms);

-- Who is told of it, and how that went. Taken up by moving `next_at_ms` ahead: who took it up
-- and is gone leaves it to be taken up again then.
CREATE TABLE webhook_delivery (
    seq        INTEGER PRIMARY KEY,
    event_seq  BIGINT NOT NULL,
    hook       TEXT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed')),
    attempts   BIGINT NOT NULL,
    next_at_ms BIGINT NOT NULL,
    epoch      BIGINT NOT NULL,
    last_at_ms BIGINT,
    answer     BIGINT,                     -- the HTTP status, where there was an answer
    said       TEXT,                       -- the beginning of the answer, or why there was none
    took_ms    BIGINT,
    UNIQUE (event_seq, hook)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (hook, next_at_ms)
    WHERE status = 'pending';
CREATE INDEX webhook_delivery_by_hook ON webhook_delivery (hook, seq);
CREATE INDEX webhook_delivery_by_status ON webhook_delivery (status, hook, seq);

-- Hooks whose receiver said 410 Gone: nothing goes there until somebody enables them.
CREATE TABLE webhook_stop (
    hook  TEXT PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    why   TEXT NOT NULL
);
