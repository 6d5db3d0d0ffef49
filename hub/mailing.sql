-- How far invitations have been mailed: whoever was invited up to this position has had theirs.

CREATE TABLE hub.mailing (
    position bigint NOT NULL,
    trouble  text   NOT NULL DEFAULT ''
);
GRANT SELECT, INSERT, UPDATE ON hub.mailing TO hub_writer;
