-- What the console's pages walk along, so that they come as quickly from ten million
-- notifications as from ten.

CREATE INDEX notification_by_time ON notification (planned_at_ms);
CREATE INDEX notification_planned_of_message ON notification (case_type, notice, next_at_ms)
    WHERE status = 'planned';
-- Few, and what people look for: when each ended.
CREATE INDEX notification_trouble ON notification (next_at_ms)
    WHERE status IN ('undelivered', 'failed', 'unknown', 'expired', 'quarantined');
CREATE INDEX task_waiting ON task (seq) WHERE done_at_ms IS NULL;
CREATE INDEX suppression_by_time ON suppression (since_ms);
