-- A message may carry others: those of one digest, those over the daily cap, and those of one
-- case that are said together.
ALTER TABLE notification ADD COLUMN held TEXT;       -- 'digest' or 'cap': waits for a carrier
ALTER TABLE notification ADD COLUMN carrier TEXT;    -- the notification it rides in, once folded
ALTER TABLE notification ADD COLUMN slot TEXT;       -- the digest it carries: channel and local time
ALTER TABLE notification ADD COLUMN escalates TEXT;  -- the notification nobody reacted to
-- One digest per customer, channel and slot, whoever sends it.
CREATE UNIQUE INDEX notification_digest ON notification (customer_id, slot)
    WHERE slot IS NOT NULL;
CREATE INDEX notification_held ON notification (customer_id) WHERE held IS NOT NULL
    AND status = 'planned';
CREATE INDEX notification_carrier ON notification (carrier) WHERE carrier IS NOT NULL;

-- What a customer was told and when, and what is on its way to them: first messages, caps.
CREATE INDEX notification_told ON notification (customer_id, told_at_ms)
    WHERE told_at_ms IS NOT NULL;
CREATE INDEX notification_on_the_wire ON notification (customer_id)
    WHERE status IN ('sending', 'in_doubt');

-- First signs that a message reached somebody who looks at it.
ALTER TABLE notification ADD COLUMN opened_at_ms BIGINT;        -- a link in it was used
ALTER TABLE notification ADD COLUMN acknowledged_at_ms BIGINT;  -- answered, or a key pressed

-- What we said we would do by a date: another word about the case.
CREATE TABLE promise (
    seq           INTEGER PRIMARY KEY,
    case_id       TEXT NOT NULL,
    case_type     TEXT NOT NULL,
    customer_id   TEXT NOT NULL,
    made_at_ms    BIGINT NOT NULL,
    alarm_at_ms   BIGINT NOT NULL,     -- the beginning of its last day
    due_at_ms     BIGINT NOT NULL,     -- the end of that day
    state         TEXT NOT NULL CHECK (state IN ('open', 'kept', 'broken', 'ended')),
    alarmed       BOOLEAN NOT NULL,
    settled_at_ms BIGINT
);
CREATE UNIQUE INDEX promise_open ON promise (case_id) WHERE state = 'open';
CREATE INDEX promise_due ON promise (alarm_at_ms) WHERE state = 'open';
