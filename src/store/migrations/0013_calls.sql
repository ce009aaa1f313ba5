-- What a call says, as it was decided, and how far it came: the provider asks for its words
-- when somebody picks up.
CREATE TABLE phone_call (
    notification_id TEXT NOT NULL,
    no              BIGINT NOT NULL,
    script          TEXT NOT NULL,
    progress        BIGINT NOT NULL,  -- how far: 0 nothing said … 6 in writing too (domain/call.rs)
    PRIMARY KEY (notification_id, no)
);
-- Nobody answered: tried again then, on the same channel.
ALTER TABLE receipt ADD COLUMN again_at_ms BIGINT;
-- When the contact centre was rung for a promised call.
ALTER TABLE callback ADD COLUMN rung_at_ms BIGINT;
