-- Which life of the log this is: a hub that is brought back from a backup begins another one, and whoever keeps a copy
-- of what was lost learns it from that.
CREATE TABLE hub.epoch (
    id text NOT NULL
);
INSERT INTO hub.epoch VALUES (gen_random_uuid()::text);
GRANT SELECT ON hub.epoch TO hub_writer;
