-- When a backup was brought back here: until somebody besides the hub has cosigned since, it does nothing by itself.
CREATE TABLE hub.restored (
    at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT ON hub.restored TO hub_writer;
