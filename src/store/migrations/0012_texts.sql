-- Texts that came in, by the provider's own id: what is told twice is heard once.
CREATE TABLE inbound_text (
    provider TEXT NOT NULL,
    id       TEXT NOT NULL,
    at_ms    BIGINT NOT NULL,
    PRIMARY KEY (provider, id)
);
CREATE INDEX inbound_text_by_time ON inbound_text (at_ms);

-- What texts and calls were made since from_ms, for one cap: of a number (its hash), a prefix
-- (its hash), a country, or all of a day. Money in millionths.
CREATE TABLE telephone_use (
    channel    TEXT NOT NULL,
    name       TEXT NOT NULL,
    from_ms    BIGINT NOT NULL,
    messages   BIGINT NOT NULL,
    millionths BIGINT NOT NULL,
    PRIMARY KEY (channel, name, from_ms)
);
CREATE INDEX telephone_use_by_time ON telephone_use (from_ms);
