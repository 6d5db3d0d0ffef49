"""Tell a story: ``given(*events).when(command, by=actor).then(*events)`` or ``.refused(code)``."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime

from domain.actions import actions
from domain.core import Event, Reason, Refusal, Sealed, State
from domain.deciding import decide

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)


def id_(kind: str, n: int = 1) -> str:
    """A literal id: ``id_("call", 2)`` is the second call of a story."""
    return f"{kind}_01{n:024d}"


def sealed(value: str) -> Sealed:
    """What a story's vault makes of a personal value."""
    return Sealed(hashlib.sha256(value.encode()).hexdigest(), len(value.encode()), "story")


class StoryAct:
    """An act whose ids count from 101 and whose seals are plain hashes."""

    def __init__(self, actor: str, at: datetime) -> None:
        self.actor, self.at = actor, at
        self._ids: dict[str, str] = {}

    def new(self, kind: str) -> str:
        return self._ids.setdefault(kind, id_(kind, 101))

    def seal(self, person: str, field: str, value: str) -> Sealed:
        return sealed(value)

    def alias(self, kind: str, value: str) -> str:
        return f"of-{value}"


class StoryModel:
    """States folded from a list of events."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.events = list(events)

    def get(self, state: type[State], id: str) -> State:
        found = state()
        for event in self.events:
            if event.type in state.types and state.kind.tag(id) in event.tags:
                found = found.evolve(event)
        return found

    def every(self, state: type[State], ids: Iterable[str]) -> list[State]:
        return [self.get(state, id) for id in ids]


class Outcome:
    def __init__(self, events: list[Event], refusal: Refusal | None) -> None:
        self.events, self.refusal = events, refusal

    def then(self, *expected: Event) -> None:
        """Exactly these events were recorded."""
        assert self.refusal is None, f"refused: {self.refusal}"
        assert self.events == list(expected)

    def refused(self, reason: Reason, *fields: str) -> None:
        """It was refused for this reason, at this field; at all of these, where there are several."""
        assert self.refusal is not None, f"not refused, but recorded {self.events}"
        assert (self.refusal.reason, self.refusal.field) == (reason, fields[0] if fields else None)
        if len(fields) > 1:
            assert [each.field for each in self.refusal.every] == [*fields]
        str(self.refusal)


class given:
    """The events that have happened."""

    def __init__(self, *events: Event) -> None:
        self.events = events

    def may(self, by: str, record: str) -> dict[str, Reason | None]:
        """What somebody may do with a record: each command by its name, with what keeps them from it for now."""
        found = actions(StoryModel(self.events), StoryAct(by, NOW), record)
        return {each.command.__name__: each.refusal and each.refusal.reason for each in found}

    def fixed(self, by: str, record: str, command: str) -> list[str | None]:
        """The fields that a command cannot change of a record."""
        found = actions(StoryModel(self.events), StoryAct(by, NOW), record)
        return [refusal.field for each in found if each.command.__name__ == command for refusal in each.fixed]

    def when(self, command, by: str, at: datetime = NOW) -> Outcome:
        """Somebody gives a command."""
        try:
            return Outcome(decide(command, StoryModel(self.events), StoryAct(by, at)), None)
        except Refusal as refusal:
            return Outcome([], refusal)
