-- Calls that were begun and whose end nobody told.
CREATE INDEX attempt_of_call ON attempt (opened_at_ms) WHERE channel = 'voice' AND state = 'sent';
