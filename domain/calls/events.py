"""What happens to calls for proposals and their rounds."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain.core import CallId, Event, PersonId

Blindness = Literal["open", "single_blind", "double_blind"]


class Criterion(msgspec.Struct, frozen=True):
    """What reviewers judge, and how much it counts (percent)."""

    name: Annotated[str, Meta(min_length=2, max_length=200)]
    weight: Annotated[int, Meta(ge=1, le=100)]

    def __str__(self) -> str:
        return f"{self.name}: {self.weight}"

    @classmethod
    def parts(cls, line: str) -> dict[str, Any]:
        """What a line as “Excellence: 60” says, still to be checked: what is no number stays as it was."""
        name, _, weight = line.rpartition(":")
        number = weight.strip().removesuffix("%").strip()
        return {"name": name.strip(), "weight": int(number) if number.isdecimal() and len(number) < 5 else number}


class CallDrafted(Event, becomes="draft"):
    """A call was drafted; its drafter is its officer."""

    call: CallId
    officer: PersonId
    title: str
    summary: str
    opens_at: datetime
    closes_at: datetime
    criteria: tuple[Criterion, ...]
    quorum: int
    blindness: Blindness
    countries: int
    conflict_years: int


class CallAmended(Event):
    """A call was changed; what is null stayed as it was."""

    call: CallId
    reason: str
    title: str | None = None
    summary: str | None = None
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    criteria: tuple[Criterion, ...] | None = None
    quorum: int | None = None
    blindness: Blindness | None = None
    countries: int | None = None
    conflict_years: int | None = None


class CallOfficerAppointed(Event):
    """A person may run the call, beside those who do already."""

    call: CallId
    officer: PersonId


class CallOfficerDismissed(Event):
    """A person no longer runs the call."""

    call: CallId
    officer: PersonId


class CallPublished(Event, becomes="published"):
    """A call became public."""

    call: CallId


class RoundOpened(Event, becomes="open"):
    """The round opened: proposals may be submitted; criteria, quorum, blindness and conflict policy are frozen."""

    call: CallId


class RoundClosed(Event, becomes="closed"):
    """The round closed: nothing more may be submitted."""

    call: CallId


class RoundReopened(Event, becomes="open"):
    """The round was opened once more: proposals may be submitted again."""

    call: CallId
    closes_at: datetime
    reason: str


class ResultsPublished(Event, becomes="decided"):
    """The results of the call were published."""

    call: CallId


class CallArchived(Event, becomes="archived"):
    """The call was archived."""

    call: CallId


SAID = tuple(name for name in CallAmended.__struct_fields__ if name not in ("call", "reason"))
"""What is said of a call, and may be amended."""


def said(amendment: CallAmended) -> dict[str, Any]:
    """What an amendment says; what is null stays as it was."""
    return {name: value for name in SAID if (value := getattr(amendment, name)) is not None}
