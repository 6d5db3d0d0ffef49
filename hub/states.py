"""States in memory: a bounded cache, brought forward by the events that pass through the writer."""

from collections.abc import Iterable
from typing import TypeVar

from domain.core import Event, State, every_state, kind_named
from hub.held import Held
from hub.log import Log

S = TypeVar("S", bound=State)
Key = tuple[type[State], str]
"""A state's class and its tag."""


class Missing(Exception):
    """A decision needs states that are not in memory."""

    def __init__(self, *keys: Key) -> None:
        super().__init__(*keys)
        self.keys = keys


def _kind_of_tag(tag: str) -> str:
    kind, claim, _ = tag.partition(":")
    return kind if claim else kind_named(tag)


class States:
    """Cached states, each with the position up to which it is folded. Only the event loop's thread touches it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: Held[Key, tuple[State, int]] = Held()
        self._evolving: dict[str, dict[str, list[type[State]]]] = {}
        for cls in every_state():
            for name in cls.types:
                self._evolving.setdefault(name, {}).setdefault(cls.kind.name, []).append(cls)

    def touched(self, event: Event, tags: Iterable[str]) -> Iterable[Key]:
        """The keys of all states that evolve on this event."""
        by_kind = self._evolving.get(event.type, {})
        for tag in tags:
            for cls in by_kind.get(_kind_of_tag(tag), ()):
                yield cls, tag

    def get(self, key: Key) -> tuple[State, int] | None:
        """The state and the position it is folded up to, if it is here."""
        if (found := self._held.get(key)) is not None:
            self._held.move_to_end(key)
        return found

    def put(self, key: Key, state: State, position: int) -> None:
        """Keep a state, unless a newer one is here; the one unused for longest gives way."""
        old = self._held.get(key)
        if old is not None and old[1] > position:
            return
        self._held[key] = state, position
        self._held.move_to_end(key)
        self._held.trim()

    def apply(self, position: int, event: Event, tags: Iterable[str]) -> None:
        """Bring forward what is here; a state that has seen this position already stays."""
        for key in self.touched(event, tags):
            if (held := self._held.get(key)) is not None and held[1] < position:
                self._held[key] = held[0].evolve(event), position

    def drop(self) -> None:
        """Forget everything: the next decision reads the log anew."""
        self._held.clear()

    async def load(self, key: tuple[type[S], str]) -> tuple[S, int]:
        """Fold a state from the log; it comes with the head at which it was read."""
        cls, tag = key
        state = cls()
        async with self._log.pool.acquire() as db, db.transaction(isolation="repeatable_read", readonly=True):
            head = await db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")
            rows = await db.fetch(
                """SELECT e.type, e.data::text FROM hub.tag t JOIN hub.event e USING (position)
                   WHERE t.tag = $1 AND t.type = ANY($2) ORDER BY position""",
                tag,
                list(cls.types),
            )
        for row in rows:
            state = state.evolve(self._log.codec.decode(row["type"], row["data"]))
        return state, head
