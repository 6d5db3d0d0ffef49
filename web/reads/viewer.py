"""Who reads: their principals, their language, and the position of every table when they came."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from hub.door import Hub
from hub.identity import EVERYTHING, MIRROR, READ, Access, fingerprint
from hub.reading import principals, readable
from hub.tables import TABLES
from projections.core import AUDITORS, PUBLIC, is_record

_GIVE_PRINCIPALS = ("person", "role", "officer", "organization", "call")

LOOKS = 5.0
"""How long, in seconds, looking up who asks may take."""
FEW = 1_000
"""So many rows of a table are few: sorted in no time."""
LISTED = tuple(name for name, cls in TABLES.items() if is_record(cls) or name == "entry")
"""The tables that lists are of. Found by walking along an order, for who may read few rows that is the long way."""
MIRRORS = "mirror/"
"""An auditor with a token that was made to mirror sealed values."""
_ACCESS = msgspec.json.Decoder(Access)


@dataclass(frozen=True)
class Viewer:
    """A viewer at one moment. ``positions`` were read before anything else: an answer is never older than they say.

    ``narrow`` are the tables of which they may read few rows; answers do not depend on it, only how they are found.
    """

    person: str | None
    principals: frozenset[str]
    positions: dict[str, int]
    language: str = "en"
    access: Access | None = None
    narrow: frozenset[str] = frozenset()

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
    """What the database says of who shows a secret: the positions of its tables, and what the secret opens, as JSON."""

    positions: bytes
    access: bytes | None


@dataclass
class Viewers:
    """Finds viewers. Secrets and positions are read in one round trip, principals only when they may differ."""

    hub: Hub
    _known: dict[str, tuple[int, frozenset[str]]] = field(default_factory=dict)
    _recent: dict[tuple[str, str], tuple[Seen, Viewer]] = field(default_factory=dict)
    _breadth: dict[frozenset[str], tuple[float, frozenset[str]]] = field(default_factory=dict)
    _positions: tuple[bytes, dict[str, int]] = (b"", {})
    _asked: set[str] = field(default_factory=set)
    _looking: asyncio.Task[dict[str, Seen]] | None = None
    _next: asyncio.Task[dict[str, Seen]] | None = None

    async def find(self, secret: str | None, language: str = "en") -> Viewer:
        """The viewer who shows this secret; a secret that is not valid now is none."""
        return await self.showing(self.shown(secret), language)

    async def showing(self, shown: str, language: str) -> Viewer:
        """The viewer who shows a secret of this fingerprint."""
        # Whoever comes while a look is under way shares the next one: no look began before who it is for had come.
        self._asked.add(shown)
        if self._next is None:
            self._next = asyncio.create_task(self._look(self._looking))
            self._next.add_done_callback(_heard)
        return await self.of((await asyncio.shield(self._next))[shown], shown, language)

    async def _look(self, before: asyncio.Task[dict[str, Seen]] | None) -> dict[str, Seen]:
        if before is not None and not before.done():
            await asyncio.wait((before,))
        # A look that failed holds what it failed on: the next one lets go of it.
        before = None
        asked, self._asked, self._looking, self._next = self._asked, set(), self._next, None
        sql = f"SELECT s.hash, {self.columns('s.hash')} FROM unnest($1::text[]) AS s (hash)"
        # A connection that never answers holds up whoever asked over it, and nobody else.
        async with asyncio.timeout(LOOKS):
            return {hash: Seen(*seen) for hash, *seen in await self.hub.log.pool.fetch(sql, list(asked))}

    def columns(self, parameter: str) -> str:
        """What says who shows a secret, as columns of a statement that may ask for more."""
        return f"""(SELECT json_object_agg("table", at) FROM {self.hub.models.schema}.touched) AS positions,
                   (SELECT row_to_json(a) FROM (
                        SELECT id, kind, person, label, scope, made_at, ends_at FROM hub.access
                        WHERE hash = {parameter} AND kind <> 'link' AND ends_at > now()) a) AS access"""

    @staticmethod
    def shown(secret: str | None) -> str:
        """The parameter of these columns."""
        return fingerprint(secret) if secret else ""

    def recent(self, shown: str, language: str) -> Viewer | None:
        """Who showed this last, as they were then: a guess, to be compared with who they are."""
        known = self._recent.get((shown, language))
        return known[1] if known else None

    async def of(self, seen: Seen, shown: str, language: str) -> Viewer:
        """The viewer that the columns tell of: the same one for as long as they say the same."""
        known = self._recent.get((shown, language))
        if known is not None and known[0] == seen and await self._narrow(known[1].principals) == known[1].narrow:
            return known[1]
        if self._positions[0] != seen.positions:
            self._positions = seen.positions, msgspec.json.decode(seen.positions)
        positions = self._positions[1]
        access = _ACCESS.decode(seen.access) if seen.access else None
        person = access.person if access else None
        mine = within(await self._principals(person, positions), access)
        viewer = Viewer(person, mine, positions, language, access, await self._narrow(mine))
        if len(self._recent) > 10_000:
            self._recent.clear()
        self._recent[shown, language] = seen, viewer
        return viewer

    async def person(self, person: str | None, language: str = "en") -> Viewer:
        """The viewer that a person is, without a secret: for what the hub shows by itself."""
        found = await self.find(None, language)
        mine = await self._principals(person, found.positions)
        return Viewer(person, mine, found.positions, language, narrow=await self._narrow(mine))

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
        at = max(positions[table] for table in _GIVE_PRINCIPALS)
        known = self._known.get(person)
        if known is None or known[0] != at:
            known = at, await principals(self.hub.log, self.hub.models, person)
            if len(self._known) > 50_000:
                self._known.clear()
            self._known[person] = known
        return known[1]


def _heard(look: asyncio.Task[dict[str, Seen]]) -> None:
    # Whoever asked may have gone: a look that failed is then nobody's.
    if not look.cancelled():
        look.exception()


__all__ = ["EVERYTHING", "Viewer", "Viewers"]
