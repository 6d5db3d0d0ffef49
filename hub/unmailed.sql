-- Mails that were not taken for one recipient: when each is tried again; never, where it was refused for good.

CREATE TABLE hub.unmailed (
    position bigint      NOT NULL,
    person   text        NOT NULL,
    tries    integer     NOT NULL DEFAULT 1,
    next_at  timestamptz,
    why      text        NOT NULL,
    PRIMARY KEY (position, person)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON hub.unmailed TO hub_writer;
