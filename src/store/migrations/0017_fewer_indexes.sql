-- Every change of a notification's status writes each of its indexes once more. What an event
-- caused is found among what its case caused, and a code is only asked for once it was handed over.
DROP INDEX notification_by_event;
DROP INDEX notification_by_case;
CREATE INDEX notification_by_case ON notification (case_id, event_seq);
DROP INDEX notification_code;
CREATE INDEX notification_code ON notification (code) WHERE attempts > 0;
