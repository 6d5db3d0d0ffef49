"""People by what they are called: names are opened in memory, and stored nowhere."""

import asyncio
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec

from domain.core import Sealed
from hub.held import Held
from hub.reading import readable
from hub.tables import TABLES
from projections import words
from projections.core import CENTER
from web.reads.plan import Plan, Values

if TYPE_CHECKING:
    from web.reads.executor import Reads
    from web.reads.viewer import Viewer

UNASKED = 600.0
"""Seconds after which names that nobody looks for are let go."""
AT_ONCE = 200
"""So many are opened before anything else has its turn."""
LIKE, ALIKE = 0.8, 20
"""How like a misspelled word is to what is meant, as ``difflib`` counts: of five letters one may be another. So many
words are taken for one."""
Own = list[tuple[str, frozenset[str]]]
"""People, each with the words by which their name is found: none, where it cannot be opened."""


class Names:
    """What the people of a hub are called, for the viewers of one process."""

    def __init__(self, reads: "Reads") -> None:
        self._reads = reads
        self.opened: Held[str, frozenset[str]] = Held()
        """The words of each sealed name that was opened."""
        self.known: tuple[Any, Own] = None, []
        """The people of whoever looked last."""
        self._ends: asyncio.TimerHandle | None = None

    async def find(self, plan: Plan, values: Values, viewer: "Viewer") -> None:
        """Let values say who is called as this plan asks, before they are bound."""
        for asked in plan.called:
            if (text := asked(values)) not in values.called:
                values.called[text] = await self._called(text, viewer)

    async def _called(self, text: str, viewer: "Viewer") -> list[str]:
        # Those whom the viewer may know, and whose name has words that begin with all of these; or are like them, where
        # there is nobody else.
        if not (sought := tuple(words.words(text[: words.LOOKED_FOR]))):
            return []
        key = "called", sought, viewer.key, viewer.position(["person"])
        found: list[str] | None = self._reads.kept.get(key)
        if found is None:
            found = await asyncio.to_thread(_fitting, sought, await self._people(viewer))
            self._reads.kept.put(key, found, 500 + 100 * len(found))
        return found

    async def _people(self, viewer: "Viewer") -> Own:
        # Who is of the Center knows all, whoever they are.
        every = CENTER in viewer.principals
        key = every or viewer.key, viewer.position(["person"])
        if self._ends is not None:
            self._ends.cancel()
        self._ends = asyncio.get_running_loop().call_later(UNASKED, self._let_go)
        if self.known[0] != key:
            hub = self._reads.hub
            own = readable(hub.models.schema, TABLES["person"], alias="p", filtered=every)
            sealed = await hub.log.pool.fetch(f"SELECT p.id, p.name::text {own} AND p.name IS NOT NULL", viewer.list)
            if every:
                # What else is here was corrected, or erased.
                for name in self.opened.keys() - {name for _, name in sealed}:
                    del self.opened[name]
            found: Own = []
            for at in range(0, len(sealed), AT_ONCE):
                found += await self._opened(sealed[at : at + AT_ONCE])
                await asyncio.sleep(0)
            self.known = key, found
        return self.known[1]

    async def _opened(self, sealed: Sequence[Any]) -> Own:
        missing = [
            (id, "name", msgspec.json.decode(name, type=Sealed)) for id, name in sealed if name not in self.opened
        ]
        if not missing:
            return [(id, self.opened[name]) for id, name in sealed]
        known = {name: self.opened[name] for _, name in sealed if name in self.opened}
        plain = await self._reads.hub.vault.read(self._reads.hub.log.pool, missing)
        read = {id: frozenset(words.found_by(text or "")) for (id, *_), text in zip(missing, plain, strict=True)}
        for id, name in sealed:
            if id in read:
                known[name] = self.opened[name] = read[id]
        self.opened.trim(len(missing))
        return [(id, known[name]) for id, name in sealed]

    def _let_go(self) -> None:
        self.opened.clear()
        self.known = None, []


def _fitting(sought: Sequence[str], people: Own) -> list[str]:
    begun = [id for id, own in people if all(any(word.startswith(each) for word in own) for each in sought)]
    if begun:
        return begun
    every = {word for _, own in people for word in own}
    meant = [{*get_close_matches(each, every, ALIKE, LIKE)} for each in sought]
    return [id for id, own in people if all(own & words for words in meant)]
