"""A call, as decisions see it, and the calls that a person runs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self

import msgspec

from domain.calls.events import (
    SAID,
    Blindness,
    CallAmended,
    CallArchived,
    CallDrafted,
    CallOfficerAppointed,
    CallOfficerDismissed,
    CallPublished,
    Criterion,
    ResultsPublished,
    RoundClosed,
    RoundOpened,
    RoundReopened,
    said,
)
from domain.core import Actor, Event, Kind, Model, Offices, Role, State
from domain.people.state import Person

FROZEN = ("opens_at", "criteria", "quorum", "countries", "blindness", "conflict_years")
"""What is frozen when a round opens."""


class Call(
    State,
    kind=Kind("call"),
    on=(
        CallDrafted,
        CallAmended,
        CallOfficerAppointed,
        CallOfficerDismissed,
        CallPublished,
        RoundOpened,
        RoundClosed,
        RoundReopened,
        ResultsPublished,
        CallArchived,
    ),
    changed_by=(CallAmended, RoundReopened),
):
    """``draft → published → open → closed → decided → archived``; also ``draft → archived`` and ``closed → open``."""

    officers: frozenset[str] = frozenset()
    title: str = ""
    summary: str = ""
    opens_at: datetime = datetime.max.replace(tzinfo=UTC)
    closes_at: datetime = datetime.max.replace(tzinfo=UTC)
    criteria: tuple[Criterion, ...] = ()
    quorum: int = 1
    blindness: Blindness = "open"
    countries: int = 1
    conflict_years: int = 0
    public: bool = False
    revision: int = 0

    def evolve(self, event: Event) -> Self:
        """This call after the event."""
        match event:
            case CallDrafted():
                return msgspec.structs.replace(
                    self,
                    id=event.call,
                    status=event.becomes,
                    officers=frozenset({event.officer}),
                    revision=1,
                    **{name: getattr(event, name) for name in SAID},
                )
            case CallAmended():
                return msgspec.structs.replace(self, revision=self.revision + 1, **said(event))
            case CallOfficerAppointed():
                return msgspec.structs.replace(self, officers=self.officers | {event.officer})
            case CallOfficerDismissed():
                return msgspec.structs.replace(self, officers=self.officers - {event.officer})
            case CallPublished():
                return msgspec.structs.replace(self, status=event.becomes, public=True)
            case RoundReopened():
                revision = self.revision + 1
                return msgspec.structs.replace(self, status=event.becomes, closes_at=event.closes_at, revision=revision)
            case RoundOpened() | RoundClosed() | ResultsPublished() | CallArchived():
                return msgspec.structs.replace(self, status=event.becomes)
        return self

    def says(self) -> dict[str, Any]:
        """What may be amended, as it is now."""
        return {name: getattr(self, name) for name in SAID}

    def roles(self, actor: Actor) -> Iterator[Role]:
        """Its officers."""
        if self.id in actor.offices:
            yield Role.CALL_OFFICER

    @property
    def mentionable(self) -> bool:
        """What was never published is its officers' alone."""
        return self.public

    @property
    def is_over(self) -> bool:
        """Whether its results are out: nothing is submitted for it any more, whatever time was given before."""
        return self.status in ("decided", "archived")

    @property
    def is_closed(self) -> bool:
        """Whether nothing is submitted for it any more, but what was given back for changes."""
        return self.status in ("closed", "decided", "archived")

    def accepts(self, at: datetime) -> bool:
        """Whether a proposal may be submitted at this time: the round has opened, not closed, and is not overdue."""
        return self.status == "open" and at < self.closes_at


class CallOffices(Offices, kind=Kind("person"), on=(CallDrafted, CallOfficerAppointed, CallOfficerDismissed)):
    """The calls whose officer a person is."""

    calls: frozenset[str] = frozenset()

    def evolve(self, event: Event) -> Self:
        """The calls after the event."""
        match event:
            case CallDrafted() | CallOfficerAppointed():
                return msgspec.structs.replace(self, calls=self.calls | {event.call})
            case CallOfficerDismissed():
                return msgspec.structs.replace(self, calls=self.calls - {event.call})
        return self

    def held(self, model: Model, person: str) -> frozenset[str]:
        """All of them, while the person is of the Center."""
        return self.calls if model.get(Person, person).of_the_center else frozenset()
