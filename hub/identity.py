"""Who is there: one-time links, sessions and labs' tokens; only their hashes are kept."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from domain.core import stored_names
from domain.people.events import AccessEnded, PersonErased
from hub.act import new_id
from hub.locks import Lock
from hub.pool import Pool

LINK_LIVES = timedelta(days=3)
SESSION_LIVES = timedelta(days=14)
KEPT = timedelta(days=30)
"""How long what has ended is kept: until then a clock that was wrong has been found."""
TOKEN_LIVES_AT_MOST = 366
READ, EVERYTHING, MIRROR = "read", "everything", "mirror"
"""What a token may be for, besides named commands: to read, to do all that its person may, to mirror sealed values."""


@dataclass(frozen=True)
class Access:
    """A secret that is valid now: whose it is and what it opens (``read``, ``everything``, or names of commands)."""

    id: str
    kind: str
    person: str
    label: str
    scope: frozenset[str]
    made_at: datetime
    ends_at: datetime

    def allows(self, command: str) -> bool:
        """Whether this command may be given with it."""
        return EVERYTHING in self.scope or command in self.scope


def fingerprint(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


@asynccontextmanager
async def at_once(pool: Pool) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    """A transaction that waits for no standby: signing in works while one is away. What a failover loses of it is that
    somebody has signed in, and with what; what ends access does wait.
    """
    async with pool.acquire() as db, db.transaction():
        await db.execute("SET LOCAL synchronous_commit = local")
        yield db


class Way(NamedTuple):
    """What lets somebody in: SQL that says whether it does now, and uses up what does so once."""

    sql: str
    values: tuple[Any, ...]

    async def opens(self, db: asyncpg.pool.PoolConnectionProxy | Pool) -> bool:
        """Whether it lets somebody in; where it does so once, it is used up."""
        return bool(await db.fetchval(self.sql, *self.values))


def by_link(link: str) -> Way:
    """A link that signs in once, and with it all others of its person: who else holds one comes too late."""
    return Way(
        """DELETE FROM hub.access WHERE kind = 'link' AND person =
            (SELECT person FROM hub.access WHERE hash = $1 AND kind = 'link' AND ends_at > now()) RETURNING true""",
        (fingerprint(link),),
    )


def by_session(id: str) -> Way:
    """A session that has not ended."""
    return Way("SELECT true FROM hub.access WHERE id = $1 AND kind = 'session' AND ends_at > now()", (id,))


def unless_ended(person: str, position: int) -> Way:
    """What a person was given by the event at this position, unless everything that lets them in has ended since."""
    ended = "SELECT FROM hub.tag WHERE tag = $1 AND position > $2 AND type = ANY($3)"
    return Way(f"SELECT NOT EXISTS ({ended})", (person, position, sorted(stored_names(AccessEnded, PersonErased))))


@asynccontextmanager
async def in_turn(pool: Pool, person: str) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
    """A transaction that lets a person in, or shuts them out: the two take turns, so that whoever is shut out is let in
    by nothing that was shown before. It waits for no standby, since others wait for it: see ``on_standbys``.
    """
    async with at_once(pool) as db:
        await db.execute(f"SELECT pg_advisory_xact_lock({Lock.ENTRANCES}, hashtext($1))", person)
        yield db


async def on_standbys(pool: Pool) -> None:
    """Return once what was committed before is on the standbys, too."""
    await pool.execute("SELECT pg_logical_emit_message(true, 'hub', 'access')")


class Identity:
    """Makes, finds and revokes secrets. Each is revoked at once: nothing about them is cached."""

    def __init__(self, reading: Pool, writing: Pool) -> None:
        self._reading, self._pool = reading, writing

    async def link(self, person: str, ends: bool = True, by: Way | None = None) -> str | None:
        """A new secret for one signing in; it ``ends`` the older links of the person. ``None`` where that ``by`` which
        it is made lets nobody in any more.
        """
        async with in_turn(self._pool, person) as db:
            if by is not None and not await by.opens(db):
                return None
            if ends:
                await db.execute("DELETE FROM hub.access WHERE person = $1 AND kind = 'link'", person)
            secret = await self._make(db, "hub_link_", "link", person, "", [EVERYTHING], LINK_LIVES)
        await on_standbys(self._pool)
        return secret

    async def linked(self, link: str, least: timedelta = timedelta()) -> str | None:
        """The person whose link this is, as long as it is valid, for ``least`` so long still."""
        return await self._reading.fetchval(
            "SELECT person FROM hub.access WHERE hash = $1 AND kind = 'link' AND ends_at > now() + $2",
            fingerprint(link),
            least,
        )

    async def tidy(self) -> None:
        """Delete what has let nobody in for long: by a clock that is ahead for a moment, nothing is lost for good."""
        await self._pool.execute("DELETE FROM hub.access WHERE ends_at < now() - $1::interval", KEPT)

    async def session(self, person: str, label: str = "", by: Way | None = None, instead_of: str = "") -> str | None:
        """A session of a person who has proven who they are, ``by`` what they showed; ``None`` where that lets nobody
        in any more. ``label`` says on which device; the session ``instead_of`` which it is ends.
        """
        async with in_turn(self._pool, person) as db:
            if by is not None and not await by.opens(db):
                return None
            await db.execute("DELETE FROM hub.access WHERE hash = $1", fingerprint(instead_of))
            return await self._make(db, "hub_session_", "session", person, label, [EVERYTHING], SESSION_LIVES)

    async def end_others(self, person: str, kept: str) -> None:
        """End every session of a person but the one with this id, and every link that would begin another."""
        async with in_turn(self._pool, person) as db:
            await db.execute("DELETE FROM hub.access WHERE person = $1 AND kind <> 'token' AND id <> $2", person, kept)
        await on_standbys(self._pool)

    async def token(
        self, person: str, scope: Collection[str], label: str, days: int, key: str = "", by: Way | None = None
    ) -> str | None:
        """A token for programs, shown this once; ``days`` from 1 to 366. ``None`` where this key made one already, or
        where what they showed lets nobody in any more.
        """
        if not 1 <= days <= TOKEN_LIVES_AT_MOST:
            raise ValueError(f"a token lives from 1 to {TOKEN_LIVES_AT_MOST} days")
        id = "access_" + fingerprint(f"{person} {key}")[:26] if key else ""
        try:
            async with in_turn(self._pool, person) as db:
                if by is not None and not await by.opens(db):
                    return None
                secret = await self._make(db, "hub_", "token", person, label, sorted(scope), timedelta(days=days), id)
        except asyncpg.UniqueViolationError:
            return None
        await on_standbys(self._pool)
        return secret

    async def held(self, person: str) -> list[Access]:
        """The tokens, sessions and unused links of a person that are valid now, the newest first."""
        rows = await self._reading.fetch(
            "SELECT id, kind, person, label, scope, made_at, ends_at FROM hub.access"
            " WHERE person = $1 AND ends_at > now() ORDER BY made_at DESC, id",
            person,
        )
        return [_access(row) for row in rows]

    async def holds(self, id: str) -> bool:
        """Whether a session or token has not ended, by its own id."""
        sql = "SELECT EXISTS (SELECT FROM hub.access WHERE id = $1 AND ends_at > now())"
        return bool(await self._reading.fetchval(sql, id))

    async def revoke(self, person: str, id: str) -> bool:
        """End a token, a session or a link of this person at once; whether there was one."""
        done = await self._pool.execute("DELETE FROM hub.access WHERE person = $1 AND id = $2", person, id)
        return done != "DELETE 0"

    async def revoke_all(self, person: str) -> None:
        """End everything that lets this person in, what is being made just now too: sessions, links, tokens, passkeys,
        and what binds them to accounts at institutions.
        """
        async with in_turn(self._pool, person) as db:
            for table in ("access", "passkey", "federated"):
                await db.execute(f"DELETE FROM hub.{table} WHERE person = $1", person)
        await on_standbys(self._pool)

    async def end(self, secret: str) -> None:
        """End the session that this secret is."""
        await self._pool.execute("DELETE FROM hub.access WHERE hash = $1", fingerprint(secret))

    async def _make(
        self,
        db: asyncpg.pool.PoolConnectionProxy,
        prefix: str,
        kind: str,
        person: str,
        label: str,
        scope: list[str],
        lives: timedelta,
        id: str = "",
    ) -> str:
        secret = prefix + secrets.token_urlsafe(32)
        await db.execute(
            "INSERT INTO hub.access (hash, id, kind, person, label, scope, ends_at) VALUES ($1,$2,$3,$4,$5,$6,$7)",
            fingerprint(secret),
            id or new_id("access"),
            kind,
            person,
            label,
            scope,
            datetime.now(UTC) + lives,
        )
        return secret


def _access(row: asyncpg.Record) -> Access:
    return Access(**{**dict(row), "scope": frozenset(row["scope"])})
