"""How people prove who they are besides links: passkeys, their institution's word, and the ceremonies of both."""

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hub.identity import Way, at_once, fingerprint, in_turn, on_standbys
from hub.pool import Pool

CEREMONY_LIVES = timedelta(minutes=10)
FIRST_LIVES = timedelta(days=3)
FIRST = "first"
"""The ceremony by which an empty hub gets its first administrator."""


@dataclass(frozen=True)
class Passkey:
    """A key pair of which a device holds one half; ``id`` is base64url."""

    id: str
    person: str
    public_key: bytes
    sign_count: int
    label: str
    made_at: datetime


def by_passkey(passkey: Passkey) -> Way:
    """A passkey that its person holds still."""
    return Way("SELECT true FROM hub.passkey WHERE id = $1 AND person = $2", (passkey.id, passkey.person))


def by_account(issuer: str, subject: str, person: str) -> Way:
    """An account at an institution that is bound to its person still."""
    sql = "SELECT true FROM hub.federated WHERE issuer = $1 AND subject = $2 AND person = $3"
    return Way(sql, (issuer, subject, person))


class Credentials:
    """Keeps passkeys, bindings to institutions' accounts, and what was begun; each ceremony can be ended once."""

    def __init__(self, reading: Pool, writing: Pool) -> None:
        self._reading, self._pool = reading, writing

    async def begin(self, kind: str, data: Any, lives: timedelta = CEREMONY_LIVES) -> str:
        """Remember what a ceremony needs at its end; answers the secret that ends it."""
        secret = secrets.token_urlsafe(32)
        async with at_once(self._pool) as db:
            await db.execute("DELETE FROM hub.ceremony WHERE ends_at < now() OR (kind = $1 AND kind = $2)", kind, FIRST)
            await db.execute(
                "INSERT INTO hub.ceremony (hash, kind, data, ends_at) VALUES ($1, $2, $3, $4)",
                fingerprint(secret),
                kind,
                json.dumps(data),
                datetime.now(UTC) + lives,
            )
        return secret

    async def begun(self, kind: str, secret: str) -> bool:
        """Whether such a ceremony can still be ended."""
        return await self._reading.fetchval(
            "SELECT EXISTS (SELECT FROM hub.ceremony WHERE hash = $1 AND kind = $2 AND ends_at > now())",
            fingerprint(secret),
            kind,
        )

    async def end(self, kind: str, secret: str) -> Any:
        """What was remembered, once; ``None`` where nothing was begun with this secret, or too long ago."""
        async with at_once(self._pool) as db:
            data = await db.fetchval(
                "DELETE FROM hub.ceremony WHERE hash = $1 AND kind = $2 AND ends_at > now() RETURNING data",
                fingerprint(secret),
                kind,
            )
        return None if data is None else json.loads(data)

    async def again(self, kind: str, secret: str, lives: timedelta) -> None:
        """Begin again what was ended and not carried out, with the secret that it had."""
        await self._pool.execute(
            "INSERT INTO hub.ceremony (hash, kind, data, ends_at) VALUES ($1, $2, '{}', $3) ON CONFLICT DO NOTHING",
            fingerprint(secret),
            kind,
            datetime.now(UTC) + lives,
        )

    async def add(self, id: str, person: str, public_key: bytes, sign_count: int, label: str, by: Way) -> bool:
        """Keep a passkey of whoever is there ``by`` what they showed; whether it was new, and that still holds."""
        async with in_turn(self._pool, person) as db:
            if not await by.opens(db):
                return False
            done = await db.execute(
                "INSERT INTO hub.passkey (id, person, public_key, sign_count, label) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT DO NOTHING",
                id,
                person,
                public_key,
                sign_count,
                label,
            )
        await on_standbys(self._pool)
        return done != "INSERT 0 0"

    async def passkey(self, id: str) -> Passkey | None:
        """A passkey by its id."""
        row = await self._reading.fetchrow("SELECT * FROM hub.passkey WHERE id = $1", id)
        return None if row is None else Passkey(**dict(row))

    async def passkeys(self, person: str) -> list[Passkey]:
        """The passkeys of a person, the newest first."""
        rows = await self._reading.fetch(
            "SELECT * FROM hub.passkey WHERE person = $1 ORDER BY made_at DESC, id", person
        )
        return [Passkey(**dict(row)) for row in rows]

    async def used(self, id: str, sign_count: int) -> None:
        """Remember how often a passkey says that it was used."""
        async with at_once(self._pool) as db:
            await db.execute("UPDATE hub.passkey SET sign_count = $2 WHERE id = $1", id, sign_count)

    async def remove(self, person: str, id: str) -> None:
        """Forget a passkey of this person."""
        await self._pool.execute("DELETE FROM hub.passkey WHERE person = $1 AND id = $2", person, id)

    async def known_to(self, issuer: str, subject: str) -> str | None:
        """The person whom an institution calls so."""
        return await self._reading.fetchval(
            "SELECT person FROM hub.federated WHERE issuer = $1 AND subject = $2", issuer, subject
        )

    async def bind(self, issuer: str, subject: str, person: str, by: Way) -> bool:
        """From now on this account of an institution is this person's, whatever becomes of its e-mail address.

        ``False`` where another account of it is theirs already: addresses are given to somebody else in time; and where
        what they came ``by`` lets nobody in any more.
        """
        # In turns: two accounts that sign in at once do not both see that there is none.
        async with in_turn(self._pool, person) as db:
            if not await by.opens(db):
                return False
            await db.execute(
                """INSERT INTO hub.federated (issuer, subject, person) SELECT $1, $2, $3
                   WHERE NOT EXISTS (SELECT FROM hub.federated WHERE issuer = $1 AND person = $3)
                   ON CONFLICT DO NOTHING""",
                issuer,
                subject,
                person,
            )
        return await self.known_to(issuer, subject) == person
