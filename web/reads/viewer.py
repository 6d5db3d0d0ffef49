"""Who reads: their principals, their language, and the position of every table when they came."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import NamedTuple

import asyncpg
import msgspec

from hub.door import Hub
from hub.identity import EVERYTHING, MIRROR, READ, Access, fingerprint
from hub.models import Models
from hub.reading import GIVE, principals, readable
from hub.tables import TABLES
from projections.core import AUDITORS, PUBLIC, is_record, tie, ties

LOOKS = 5.0
"""How long, in seconds, looking up who asks may take."""
OVERLAP = 0.2
"""So long, in seconds, a look waits for the one before it."""
TURNS = 2
"""So many turns of the loop a look waits for others who share it: one who is alone hardly notices."""
FEW = 1_000
"""So many rows of a table are few: sorted in no time."""
LISTED = tuple(name for name, cls in TABLES.items() if is_record(cls) or name == "entry")
"""The tables that lists are of. Found by walking along an order, for who may read few rows that is the long way."""
MIRRORS = "mirror/"
"""An auditor with a token that was made to mirror sealed values."""
_HOLDS = "hash = %s AND kind <> 'link' AND ends_at > now()"
_ACCESS = msgspec.json.Decoder(Access)


@dataclass(frozen=True)
class Viewer:
    """A viewer at one moment. ``positions`` were read before anything else: an answer is never older than they say.

    ``narrow`` are the tables of which they may read few rows; answers do not depend on it, only how they are found.
    ``at`` is the position of the hub then, and ``told`` what it said of the secret that was shown.
    """

    person: str | None
    principals: frozenset[str]
    positions: dict[str, int]
    language: str = "en"
    access: Access | None = None
    narrow: frozenset[str] = frozenset()
    at: int = 0
    told: bytes | None = None

    @cached_property
    def list(self) -> "list[str]":
        """The principals as a parameter."""
        return sorted(self.principals)

    @cached_property
    def key(self) -> tuple[str | None, str, frozenset[str]]:
        """What an answer depends on, apart from its position."""
        return self.person, self.language, self.principals

    def position(self, tables: Iterable[str]) -> int:
        """The position at which these tables changed last."""
        return max((self.positions.get(table, 0) for table in tables), default=0)

    @property
    def signed_in(self) -> bool:
        """Whether they are here themselves, and not a program that shows a token of theirs."""
        return self.person is not None and self.access is not None and self.access.kind == "session"

    def allows(self, command: str) -> bool:
        """Whether a command may be given with the secret that was shown."""
        return self.access is not None and self.access.allows(command)


def within(mine: frozenset[str], access: Access | None) -> frozenset[str]:
    """What of somebody's principals a secret of theirs shows. The whole log is for tokens that were made to read."""
    if access is None or AUDITORS not in mine:
        return mine
    if MIRROR in access.scope:
        mine |= {MIRRORS}
    return mine if access.scope & {READ, EVERYTHING} else mine - {AUDITORS}


class Seen(NamedTuple):
    """What the database says of who shows a secret: its position and that of each table, what the secret opens."""

    at: int
    positions: dict[str, int]
    access: bytes | None


Look = dict[str, Seen]
"""What one look at the database says of everybody it was for, by fingerprint."""


@dataclass
class Viewers:
    """Finds viewers. Secrets and positions are read in one round trip, principals only when they may differ."""

    hub: Hub
    _known: dict[str, tuple[int, date, frozenset[str]]] = field(default_factory=dict)
    _recent: dict[tuple[str, str], Viewer] = field(default_factory=dict)
    _day: date = date.min
    _breadth: dict[frozenset[str], tuple[float, frozenset[str]]] = field(default_factory=dict)
    _positions: tuple[int, dict[str, int]] = (-1, {})
    _asked: set[str] = field(default_factory=set)
    _looking: asyncio.Task[Look] | None = None
    _next: asyncio.Task[Look] | None = None

    async def find(self, secret: str | None, language: str = "en") -> Viewer:
        """The viewer who shows this secret; a secret that is not valid now is none."""
        return await self.showing(self.shown(secret), language)

    async def showing(self, shown: str, language: str) -> Viewer:
        """The viewer who shows a secret of this fingerprint."""
        return await self._of((await asyncio.shield(self.look(shown)))[shown], shown, language)

    def look(self, shown: str) -> "asyncio.Task[Look]":
        """What the database says, from now on, of whoever shows a secret of this fingerprint, and of others."""
        # Whoever comes while a look is under way shares the next one: no look began before who it is for had come.
        self._asked.add(shown)
        if self._next is None:
            self._next = asyncio.create_task(self._look(self._looking))
            self._next.add_done_callback(_heard)
        return self._next

    async def _look(self, before: asyncio.Task[Look] | None) -> Look:
        if before is not None and not before.done():
            # One whose connection never answers holds up whoever shares it, and nobody else.
            await asyncio.wait((before,), timeout=OVERLAP)
        # A look that failed holds what it failed on: the next one lets go of it.
        before = None
        for _ in range(TURNS):
            await asyncio.sleep(0)
        asked, self._asked, self._looking, self._next = self._asked, set(), self._next, None
        at, positions = self._positions
        sql = f"""SELECT s.hash, {self._moved("$2")}, (
                      SELECT row_to_json(a) FROM (
                          SELECT id, kind, person, label, scope, made_at, ends_at FROM hub.access
                          WHERE {_HOLDS % "s.hash"}) a)
                  FROM {self.hub.models.schema}.position p, unnest($1::text[]) AS s (hash)"""
        rows = await self.hub.log.pool.fetch(sql, list(asked), at, timeout=LOOKS)
        if rows[0][2] is not None:
            positions = msgspec.json.decode(rows[0][2])
            self._positions = rows[0][1], positions
        return {hash: Seen(at, positions, access) for hash, at, _, access in rows}

    def _moved(self, known: str) -> str:
        # The position, and those of the tables where it is not the one that is known.
        every = f'(SELECT json_object_agg("table", at) FROM {self.hub.models.schema}.touched)'
        return f"p.at, CASE WHEN p.at <> {known}::bigint THEN {every} END"

    def beside(self, data: str, parameters: int) -> str:
        """A statement that says with its data, for ``beheld``, whether who asks is who they were: for a guess.

        Two parameters follow those of the data: the position of the guess, and the fingerprint of what was shown.
        """
        still = f"EXISTS (SELECT FROM hub.access WHERE {_HOLDS % f'${parameters + 2}::text'})"
        known = self._moved(f"${parameters + 1}")
        return f"SELECT ({data}) AS data, {known}, {still} FROM {self.hub.models.schema}.position p"

    async def beheld(self, row: asyncpg.Record, shown: str, guess: Viewer) -> Viewer | None:
        """Who asks, as this statement saw it; ``None`` where that is more than it can tell."""
        _, at, positions, still = row
        if still != (guess.told is not None):
            return None
        # What a secret opens never changes: it is there, or not.
        seen = Seen(at, guess.positions if positions is None else msgspec.json.decode(positions), guess.told)
        return self.same(seen, shown, guess.language) or await self._of(seen, shown, guess.language)

    @staticmethod
    def shown(secret: str | None) -> str:
        """The fingerprint of a secret; empty where none was shown."""
        return fingerprint(secret) if secret else ""

    def recent(self, shown: str, language: str) -> Viewer | None:
        """Who showed this last, as they were then: a guess, to be compared with who they are."""
        return self._recent.get((shown, language))

    def same(self, seen: Seen, shown: str, language: str) -> Viewer | None:
        """The viewer that was seen, if it is the one of the last time."""
        # Where the past is shown, what somebody is changes though no position does.
        known = self._recent_of_today().get((shown, language)) if self.hub.models.until is None else None
        if known is None or known.at != seen.at or known.told != seen.access:
            return None
        breadth = self._breadth.get(known.principals)
        at_hand = breadth is not None and breadth[0] >= time.monotonic() and breadth[1] == known.narrow
        return known if at_hand else None

    def _recent_of_today(self) -> dict[tuple[str, str], Viewer]:
        # What people are depends on the day, though no position moves at midnight.
        if (today := datetime.now(UTC).date()) != self._day:
            self._day = today
            self._recent.clear()
        return self._recent

    async def _of(self, seen: Seen, shown: str, language: str) -> Viewer:
        # The same one for as long as the same is seen.
        if (same := self.same(seen, shown, language)) is not None:
            return same
        at, positions, told = seen
        access = _ACCESS.decode(told) if told else None
        person = access.person if access else None
        mine = within(await self._principals(person, positions), access)
        viewer = Viewer(person, mine, positions, language, access, await self._narrow(mine), at, told)
        if len(self._recent) > 10_000:
            self._recent.clear()
        self._recent[shown, language] = viewer
        return viewer

    async def person(self, person: str | None, language: str = "en", access: Access | None = None) -> Viewer:
        """The viewer that a person is now, within what a secret opens, where one was shown."""
        found = await self.find(None, language)
        mine = within(await self._principals(person, found.positions), access)
        return Viewer(person, mine, found.positions, language, access, await self._narrow(mine), found.at)

    async def _narrow(self, mine: frozenset[str]) -> frozenset[str]:
        now = time.monotonic()
        if (known := self._breadth.get(mine)) is None or known[0] < now:
            schema, found, until = self.hub.models.schema, set(), now + 600
            try:
                async with asyncio.timeout(0.5):
                    for table in LISTED:
                        some = f"SELECT {readable(schema, TABLES[table])} LIMIT {FEW + 1}"
                        count = await self.hub.log.counting.fetchval(f"SELECT count(*) FROM ({some}) s", sorted(mine))
                        found |= {table} if count <= FEW else set()
            except TimeoutError:
                until = now + 10
            if len(self._breadth) > 10_000:
                self._breadth.clear()
            # It may be old or missing: what is shown is the same, found on another way.
            known = self._breadth[mine] = until, frozenset(found)
        return known[1]

    async def _principals(self, person: str | None, positions: dict[str, int]) -> frozenset[str]:
        if person is None:
            return frozenset({PUBLIC})
        if self.hub.models.until is not None:
            # Secrets are those of now: they open nothing of then to somebody who may not have that any more.
            then, now = await asyncio.gather(
                principals(self.hub.log, self.hub.models, person), self._principals_now(person)
            )
            # What kept somebody from deciding then is shown as it was.
            return then & now | frozenset(map(tie, ties(then)))
        moment = max(positions[table] for table in GIVE), datetime.now(UTC).date()
        known = self._known.get(person)
        if known is None or known[:2] != moment:
            known = *moment, await principals(self.hub.log, self.hub.models, person)
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[person] = known
        return known[2]

    async def _principals_now(self, person: str) -> frozenset[str]:
        try:
            return await principals(self.hub.log, Models(self.hub.log), person)
        except asyncpg.UndefinedTableError:
            # No hub of this version has served this log yet: what they are now is not known.
            return frozenset({PUBLIC})


def _heard(look: asyncio.Task[Look]) -> None:
    # Whoever asked may have gone: a look that failed is then nobody's.
    if not look.cancelled():
        look.exception()


__all__ = ["EVERYTHING", "Viewer", "Viewers"]
