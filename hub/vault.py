"""Personal data: sealed under a key per person, kept in a database of its own, and erased with that key.

A box is ``commitment ‖ nonce ‖ AES-256-GCM``; encryption key and commitment come from the person's key by HKDF,
so that a box opens to one plaintext only. Person and field are bound as additional data.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.core import Sealed
from hub.locks import Lock
from hub.pool import Pool

SCHEMA = """
CREATE TABLE IF NOT EXISTS key (person text PRIMARY KEY, kid text NOT NULL, secret bytea NOT NULL);
CREATE TABLE IF NOT EXISTS pepper (one boolean PRIMARY KEY DEFAULT true CHECK (one), secret bytea NOT NULL);
CREATE TABLE IF NOT EXISTS alias (digest bytea PRIMARY KEY, alias text NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS erasing (person text PRIMARY KEY);
CREATE TABLE IF NOT EXISTS salt (actor text PRIMARY KEY, id text NOT NULL, secret bytea NOT NULL);
"""
DESTROYED = ("key", "alias", "salt")
"""The tables here that an erasure deletes from."""
SALTED = 60.0
"""Seconds for which a process that serves may hold a salt that another one has destroyed."""
MANY = 10_000
"""So many actors' salts are held at once."""


class Erased(LookupError):
    """The key or the box is gone: nobody can read this any more."""


def _derive(secret: bytes, person: str, field: str) -> tuple[bytes, bytes]:
    okm = HKDF(SHA256(), 64, salt=None, info=f"hub-personal/v1\n{person}\n{field}".encode()).derive(secret)
    return okm[:32], okm[32:]


def close_box(secret: bytes, kid: str, person: str, field: str, value: str) -> tuple[Sealed, bytes]:
    """What stands in the event, and the box that holds the value."""
    key, commitment = _derive(secret, person, field)
    nonce, plain = os.urandom(12), value.encode()
    box = commitment + nonce + AESGCM(key).encrypt(nonce, plain, f"{person}\n{field}".encode())
    return Sealed(hashlib.sha256(box).hexdigest(), len(plain), kid), box


def open_box(secret: bytes, person: str, field: str, box: bytes) -> str:
    """The value in a box; raises ``Erased`` where the key is not the one that closed it.

    Whoever has the key could close another box: that this is the one that the event names, is the caller's to see to.
    """
    key, commitment = _derive(secret, person, field)
    if box[:32] != commitment:
        raise Erased(person)
    try:
        return AESGCM(key).decrypt(box[32:44], box[44:], f"{person}\n{field}".encode()).decode()
    except InvalidTag:
        raise Erased(person) from None


class Vault:
    """The keys of persons and the aliases of their identifiers. Nothing here outlives an erasure."""

    def __init__(self, pool: Pool, pepper: bytes) -> None:
        self._pool = pool
        self._pepper = pepper
        self._salts: dict[str, tuple[tuple[str, bytes], float]] = {}

    @classmethod
    async def open(cls, pool: Pool) -> "Vault":
        """Make what is missing in the keys' database, and read its pepper."""
        async with pool.acquire() as db:
            await db.execute(f"SELECT pg_advisory_lock({Lock.KEYS})")
            try:
                await db.execute(SCHEMA)
                # A hub that opens its keys has its log: what a killed restore had begun is done.
                await db.execute("DROP TABLE IF EXISTS restoring")
                await db.execute("INSERT INTO pepper (secret) VALUES ($1) ON CONFLICT DO NOTHING", os.urandom(32))
            finally:
                await db.execute(f"SELECT pg_advisory_unlock({Lock.KEYS})")
            return cls(pool, await db.fetchval("SELECT secret FROM pepper"))

    def fingerprint(self, data: bytes) -> str:
        """The same for the same data, and nothing by which somebody without the keys could guess what they are."""
        return hashlib.blake2b(data, key=self._pepper, digest_size=32).hexdigest()

    async def noted(self, actor: str | None, request: bytes) -> str:
        """What is noted of an actor's request, to know it again; without an actor, of one that holds nothing personal.

        Nobody can guess from it what somebody is called who is erased: the salt of whoever wrote that is gone.
        """
        return self._noted(request, await self._current(actor) if actor is not None else ("", self._pepper))

    async def is_noted(self, actor: str, noted: str, request: bytes) -> bool | None:
        """Whether this was noted of this request; ``None`` where nobody can know any more."""
        id = noted.partition(":")[0]
        if ":" in noted and not id:
            return noted == await self.noted(None, request)
        salt = await self._current(actor)
        if id != salt[0]:
            salt = await self._current(actor, anew=True)
        return noted == self._noted(request, salt) if id == salt[0] else None

    def let_go(self) -> None:
        """Forget salts that another process may have destroyed by now."""
        old = time.monotonic() - SALTED
        self._salts = {actor: held for actor, held in self._salts.items() if held[1] > old}

    @staticmethod
    def _noted(request: bytes, salt: tuple[str, bytes]) -> str:
        return f"{salt[0]}:{hashlib.blake2b(request, key=salt[1], digest_size=32).hexdigest()}"

    async def _current(self, actor: str, anew: bool = False) -> tuple[str, bytes]:
        read = time.monotonic()
        if not anew and (held := self._salts.get(actor)) is not None and read - held[1] < SALTED:
            return held[0]
        sql = "SELECT id, secret FROM salt WHERE actor = $1"
        while (row := await self._pool.fetchrow(sql, actor)) is None:
            made = "INSERT INTO salt VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
            await self._pool.execute(made, actor, os.urandom(8).hex(), os.urandom(32))
        if len(self._salts) >= MANY:
            self._salts.clear()
        self._salts[actor] = (row["id"], row["secret"]), read
        return row["id"], row["secret"]

    async def key(self, person: str) -> tuple[str, bytes]:
        """The id and secret of a person's key; a new one for a new person."""
        row = await self._pool.fetchrow(
            """WITH new AS (INSERT INTO key VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING kid, secret)
               SELECT * FROM new UNION ALL SELECT kid, secret FROM key WHERE person = $1 LIMIT 1""",
            person,
            os.urandom(8).hex(),
            os.urandom(32),
        )
        if row is None:  # somebody else made it between the two halves of the statement: it is there now
            row = await self._pool.fetchrow("SELECT kid, secret FROM key WHERE person = $1", person)
        if row is None:
            raise Erased(person)
        return row["kid"], row["secret"]

    async def alias(self, kind: str, value: str) -> str:
        """The random name that stands for an identifier, the same each time until its person is erased."""
        digest = hashlib.blake2b(f"{kind}\n{value}".encode(), key=self._pepper, digest_size=32).digest()
        await self._pool.execute(
            "INSERT INTO alias (digest, alias) VALUES ($1, $2) ON CONFLICT DO NOTHING", digest, os.urandom(16).hex()
        )
        return await self._pool.fetchval("SELECT alias FROM alias WHERE digest = $1", digest)

    async def known_alias(self, kind: str, value: str) -> str | None:
        """The name that stands for an identifier, where one does already."""
        digest = hashlib.blake2b(f"{kind}\n{value}".encode(), key=self._pepper, digest_size=32).digest()
        return await self._pool.fetchval("SELECT alias FROM alias WHERE digest = $1", digest)

    async def read(self, log: Pool, wanted: Sequence[tuple[str, str, Sealed]]) -> list[str | None]:
        """Values in plain, of (person, field, sealed) each; ``None`` where key or box were destroyed, or the box is not
        the one whose digest stands in the event.
        """
        people = list({person for person, _, _ in wanted})
        digests = [sealed.sealed for _, _, sealed in wanted]
        rows, found = await asyncio.gather(
            self._pool.fetch("SELECT person, secret FROM key WHERE person = ANY($1)", people),
            log.fetch("SELECT digest, box FROM hub.box WHERE digest = ANY($1)", digests),
        )
        secrets = {row["person"]: row["secret"] for row in rows}
        boxes = {row["digest"]: row["box"] for row in found}
        values: list[str | None] = []
        for person, field, sealed in wanted:
            secret, box = secrets.get(person), boxes.get(sealed.sealed)
            if not secret or not box or hashlib.sha256(box).hexdigest() != sealed.sealed:
                values.append(None)
                continue
            try:
                values.append(open_box(secret, person, field, box))
            except Erased:
                values.append(None)
        return values

    async def held(self, log: Pool, people: Sequence[str]) -> list[str]:
        """Those of these people of whom a key or a box is there, or whose erasure is not finished."""
        if not people:
            return []
        rows = await asyncio.gather(
            self._pool.fetch("SELECT person FROM key WHERE person = ANY($1) UNION TABLE erasing", people),
            log.fetch("SELECT DISTINCT person FROM hub.box WHERE person = ANY($1)", people),
        )
        return sorted({row["person"] for found in rows for row in found})

    async def forget(self, log: Pool, person: str, aliases: Sequence[str], wrote: Sequence[str]) -> None:
        """Delete a person's key, boxes and aliases, and with the key the salts of the actors who ``wrote`` what they
        are called. Doing so again is harmless: no salt that was made since goes.

        Their bytes go when the tables are swept; until then the person is one whose erasure is not ``finished``.
        """
        await self._pool.execute("INSERT INTO erasing VALUES ($1) ON CONFLICT DO NOTHING", person)
        gone = "WITH gone AS (DELETE FROM key WHERE person = $1 RETURNING 1)"
        salts = f"{gone} DELETE FROM salt WHERE actor = ANY($2) AND EXISTS (SELECT FROM gone)"
        await self._pool.execute(salts, person, wrote)
        for actor in wrote:
            self._salts.pop(actor, None)
        await self._pool.execute("DELETE FROM alias WHERE alias = ANY($1)", aliases)
        await log.execute("DELETE FROM hub.box WHERE person = $1", person)

    async def unfinished(self) -> list[str]:
        """Who was erased and whose last bytes wait to be gone."""
        return [row["person"] for row in await self._pool.fetch("SELECT person FROM erasing ORDER BY person")]

    async def finished(self, people: Sequence[str]) -> None:
        """The erasure of these people has left nothing."""
        await self._pool.execute("DELETE FROM erasing WHERE person = ANY($1)", people)
