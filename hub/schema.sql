-- The log and what is written with it. Run once, by the owner; the hub itself writes as the role hub_writer.

CREATE SCHEMA hub;

CREATE TABLE hub.event (
    position bigint PRIMARY KEY,
    type     text        NOT NULL,
    tags     text        NOT NULL,  -- sorted, joined by one space, as the leaf has them
    actor    text        NOT NULL,
    at       timestamptz NOT NULL,
    request  text        NOT NULL,
    data     json        NOT NULL   -- keeps its bytes: they are hashed
);

CREATE TABLE hub.tag (
    tag      text   NOT NULL,
    position bigint NOT NULL,
    type     text   NOT NULL,
    PRIMARY KEY (tag, position) INCLUDE (type)
);

CREATE TABLE hub.answer (
    actor    text   NOT NULL,
    key      text   NOT NULL,
    hash     text   NOT NULL,
    answer   json   NOT NULL,
    seen     bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (actor, key)
);

CREATE TABLE hub.box (
    digest   text  PRIMARY KEY,     -- SHA-256 of the box, as the event has it
    person   text  NOT NULL,
    box      bytea NOT NULL
);
CREATE INDEX ON hub.box (person);

-- One round trip is one transaction. Answers the head that it found: where that is not known_head,
-- somebody else has appended, and nothing was written.
-- The lock is taken before the head is read, each statement of the function sees what was committed
-- before it began, and positions follow the head: so they have no gaps and appear in commit order.
CREATE FUNCTION hub.append(
    known_head bigint,
    types text[], tag_lists text[], actors text[], ats timestamptz[], requests text[], datas text[],
    tag_names text[], tag_offsets bigint[],
    answer_actors text[], answer_keys text[], answer_hashes text[], answers text[],
    box_digests text[], box_persons text[], boxes bytea[],
    model text, rows json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    head bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(4715741);
    SELECT coalesce(max(position), 0) INTO head FROM hub.event;
    IF head <> known_head THEN
        RETURN head;
    END IF;
    INSERT INTO hub.event
        SELECT head + n, type, tags, actor, at, request, data::json
        FROM unnest(types, tag_lists, actors, ats, requests, datas) WITH ORDINALITY
             AS new (type, tags, actor, at, request, data, n);
    INSERT INTO hub.tag
        SELECT tag, head + n, types[n] FROM unnest(tag_names, tag_offsets) AS new (tag, n);
    INSERT INTO hub.box SELECT * FROM unnest(box_digests, box_persons, boxes);
    INSERT INTO hub.answer (actor, key, hash, answer)
        SELECT actor, key, hash, answer::json
        FROM unnest(answer_actors, answer_keys, answer_hashes, answers) AS new (actor, key, hash, answer);
    -- The read rows of the same events: a fold and its position are visible together with what was folded.
    IF model IS NOT NULL THEN
        EXECUTE format('SELECT %I.write($1, $2, $3)', model) USING rows, head, head + coalesce(cardinality(types), 0);
    END IF;
    RETURN head;
END $$;

GRANT USAGE ON SCHEMA hub TO hub_writer;
GRANT SELECT, INSERT ON hub.event, hub.tag TO hub_writer;
GRANT SELECT, INSERT, UPDATE (seen) ON hub.answer TO hub_writer;
GRANT SELECT, INSERT, DELETE ON hub.box TO hub_writer;

-- Secrets that let somebody in, as hashes: one-time links, sessions, labs' tokens.
CREATE TABLE hub.access (
    hash    text        PRIMARY KEY,     -- SHA-256 of the secret
    id      text        NOT NULL UNIQUE, -- how its owner names it
    kind    text        NOT NULL CHECK (kind IN ('link', 'session', 'token')),
    person  text        NOT NULL,
    label   text        NOT NULL DEFAULT '',
    scope   text[]      NOT NULL,        -- 'read', 'everything', or names of commands
    made_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
);
CREATE INDEX ON hub.access (person);
GRANT SELECT, INSERT, DELETE ON hub.access TO hub_writer;
