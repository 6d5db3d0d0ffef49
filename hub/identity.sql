-- How people sign in besides links: passkeys, and what an institution calls them. Ceremonies begun and not yet ended.

CREATE TABLE hub.passkey (
    id         text        PRIMARY KEY, -- the credential's id, base64url
    person     text        NOT NULL,
    public_key bytea       NOT NULL,
    sign_count bigint      NOT NULL,
    label      text        NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON hub.passkey (person);
CREATE TABLE hub.federated (
    issuer  text        NOT NULL,
    subject text        NOT NULL,     -- as the issuer calls the person, for ever
    person  text        NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX ON hub.federated (person);
CREATE TABLE hub.ceremony (
    hash    text        PRIMARY KEY,  -- SHA-256 of the secret that the browser holds
    kind    text        NOT NULL,
    data    text        NOT NULL,     -- JSON
    ends_at timestamptz NOT NULL
);
GRANT SELECT, INSERT, DELETE, UPDATE (sign_count) ON hub.passkey TO hub_writer;
GRANT SELECT, INSERT, DELETE ON hub.federated, hub.ceremony TO hub_writer;
