-- How far the log has been mailed: whoever was invited, or is to be told of something, up to this position was.

CREATE TABLE hub.mailing (
    position bigint NOT NULL,
    trouble  text   NOT NULL DEFAULT ''
);
GRANT SELECT, INSERT, UPDATE ON hub.mailing TO hub_writer;
