-- That a backup, or what a mirror held, was brought back here: until a quorum of witnesses has cosigned since, the hub
-- does nothing by itself.
CREATE TABLE hub.restored (
    at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, DELETE ON hub.restored TO hub_writer;
