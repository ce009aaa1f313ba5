-- Several providers per channel: an attempt has the name the settings give its provider, and its
-- kind, which callbacks are addressed to (attempts before this have one name for both).
ALTER TABLE attempt ADD COLUMN kind TEXT;
ALTER TABLE attempt ADD COLUMN fault BOOLEAN;        -- it spoke against the provider, not the message
ALTER TABLE attempt ADD COLUMN word_at_ms BIGINT;    -- when a receipt said what became of it
CREATE INDEX attempt_by_time ON attempt (opened_at_ms);

-- Weight moved between the providers of a channel, by what was measured. The last row of a
-- channel is in force, as long as the settings are those it was made under.
CREATE TABLE weight_move (
    seq      INTEGER PRIMARY KEY,
    channel  TEXT NOT NULL,
    after    BIGINT NOT NULL,       -- the move before it, 0 for none: nobody moves twice from one
    settings TEXT NOT NULL,         -- names and weights as configured
    weights  TEXT NOT NULL,         -- name to weight from here on
    provider TEXT NOT NULL,         -- whom it is about
    points   BIGINT NOT NULL,       -- less than nothing: taken away
    reason   TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    UNIQUE (channel, after)
);

-- A channel that delivered less than its target is withdrawn for a while.
CREATE TABLE withdrawal (
    seq      INTEGER PRIMARY KEY,
    channel  TEXT NOT NULL,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    percent  BIGINT NOT NULL,       -- of the messages measured, delivered
    measured BIGINT NOT NULL,
    UNIQUE (channel, since_ms)
);
CREATE INDEX attempt_with_word ON attempt (channel, seq)
    WHERE state IN ('delivered', 'undelivered');

-- Texts nobody understood are answered at most once an hour and number, so that two machines do
-- not answer each other for ever. The number itself is not kept.
CREATE TABLE auto_answer (
    number_hash TEXT PRIMARY KEY,
    at_ms       BIGINT NOT NULL
);
