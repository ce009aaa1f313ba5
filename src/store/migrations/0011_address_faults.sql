-- Days on which a provider said something against an address that closes it only when said
-- often enough. A day is that of UTC, in days since 1970.
CREATE TABLE address_fault (
    channel     TEXT NOT NULL,
    address_key TEXT NOT NULL,
    fault       TEXT NOT NULL,
    day         BIGINT NOT NULL,
    PRIMARY KEY (channel, address_key, fault, day)
);
