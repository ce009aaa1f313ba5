-- Who hears a call, and until when they said so; NULL: nobody did yet.
ALTER TABLE phone_call ADD COLUMN heard_by TEXT;
ALTER TABLE phone_call ADD COLUMN heard_until_ms BIGINT;
-- Calls that were begun and whose end nobody told.
CREATE INDEX attempt_of_call ON attempt (opened_at_ms) WHERE channel = 'voice' AND state = 'sent';
