-- What auditors read, and what the follower and the sealer keep. None of it is trusted by those who verify.

-- As a lab reads it of an event. Whatever verifies makes its own: a function is whoever's it is that runs the database.
CREATE FUNCTION hub.leaf(e hub.event) RETURNS bytea LANGUAGE sql STABLE RETURN convert_to(
    concat_ws(E'\n', 'hub-event/v1', e.position, e.type,
              to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
              e.actor, e.request, e.tags, e.data::text),
    'UTF8');

CREATE TABLE hub.tile (
    level   integer NOT NULL,
    index   bigint  NOT NULL,
    hashes  bytea   NOT NULL,        -- as many as there are: a partial tile is the beginning of the full one
    PRIMARY KEY (level, index)
);

-- The follower's cursor: the tree over the first events.
CREATE TABLE hub.tree (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    size  bigint  NOT NULL,
    root  bytea   NOT NULL
);
INSERT INTO hub.tree (size, root) VALUES (0, sha256(''));

-- Every head that was signed.
CREATE TABLE hub.head (
    size      bigint PRIMARY KEY,
    root      bytea       NOT NULL,
    signature text        NOT NULL,  -- the log's own signature line
    at        timestamptz NOT NULL,
    witnessed boolean     NOT NULL   -- whether a quorum has cosigned it
);
CREATE INDEX ON hub.head (size) WHERE witnessed;

CREATE TABLE hub.cosignature (
    size      bigint      NOT NULL REFERENCES hub.head,
    witness   text        NOT NULL,  -- as the policy calls it
    signature text        NOT NULL,
    at        timestamptz NOT NULL,  -- the witness's own time
    PRIMARY KEY (size, witness)
);

-- Who seals, and whether it may: one row once a key was made.
CREATE TABLE hub.sealer (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    vkey     text    NOT NULL,
    asked    integer NOT NULL DEFAULT 0,     -- how many witnesses are asked
    stopped  text    NOT NULL DEFAULT '',    -- why nothing is sealed any more
    troubles json    NOT NULL DEFAULT '{}'   -- what each witness complains of
);

-- The hashes of a sealed read model's rows, by key, 256 to a row; of the two newest seals.
CREATE TABLE hub.sealed_rows (
    name     text   NOT NULL,
    position bigint NOT NULL,
    index    bigint NOT NULL,
    hashes   bytea  NOT NULL,
    PRIMARY KEY (position, name, index)
);

GRANT SELECT, INSERT, UPDATE ON hub.tile, hub.tree, hub.cosignature, hub.sealer TO hub_writer;
GRANT SELECT, INSERT, UPDATE (witnessed) ON hub.head TO hub_writer;
GRANT SELECT, INSERT, DELETE ON hub.sealed_rows TO hub_writer;
