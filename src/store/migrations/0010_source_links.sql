-- Whose an order or a case is, as a help desk's earlier payload said: later ones name only the
-- order. The names are the source's own.
CREATE TABLE source_link (
    source      TEXT NOT NULL,
    name        TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    at_ms       BIGINT NOT NULL,
    PRIMARY KEY (source, name)
);
CREATE INDEX source_link_by_customer ON source_link (customer_id);
