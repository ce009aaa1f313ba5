-- Changes to journeys and messages that are not in force yet: what they change, and the effect
-- they would have had. `revision` counts the changes; an effect is that of one revision.
CREATE TABLE draft (
    seq           INTEGER PRIMARY KEY,
    base          TEXT NOT NULL,        -- the version it starts from
    files         TEXT NOT NULL,        -- name → text, null for a file that goes
    authors       TEXT NOT NULL,        -- everybody who wrote a part of it, the first first
    reason        TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    changed_at_ms BIGINT NOT NULL,
    revision      BIGINT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('open', 'published', 'withdrawn')),
    asked_at_ms   BIGINT,               -- since when it waits for a second person
    effect        TEXT,
    effect_of     BIGINT,               -- the revision the effect is that of
    report        TEXT,                 -- the same as a page with plots
    version       TEXT,                 -- what it was published as
    ended_at_ms   BIGINT,
    ended_by      TEXT
);
CREATE INDEX draft_open ON draft (seq) WHERE status = 'open';

-- Who else said yes, whether anybody had to, and the share of cases it holds for first.
ALTER TABLE publication ADD COLUMN approved_by TEXT;
ALTER TABLE publication ADD COLUMN four_eyes TEXT NOT NULL DEFAULT '';
ALTER TABLE publication ADD COLUMN percent BIGINT NOT NULL DEFAULT 100;
ALTER TABLE publication ADD COLUMN draft BIGINT;
