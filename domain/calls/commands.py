"""What may be done with a call."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from domain.calls.events import (
    Blindness,
    CallAmended,
    CallDrafted,
    CallPublished,
    Criterion,
    RoundClosed,
    RoundOpened,
)
from domain.calls.state import FROZEN, Call
from domain.core import (
    HUB,
    N_,
    Act,
    CallId,
    Command,
    Due,
    Event,
    LongText,
    Model,
    Reason,
    ReasonText,
    Refusal,
    Role,
    StartedFrom,
    Title,
    changed,
    refuse,
    refuse_unseen,
)

PAST = timedelta(days=90)
"""An opening that lies further back than this is a slip in the year, and no round that begins late."""
AHEAD = timedelta(days=3 * 365 + 1)
"""How far away a public call may close: what is further is a slip in the year, and nothing takes it back."""


CallTitle = Annotated[Title, Meta(title=N_("Title"))]
Summary = Annotated[LongText, Meta(min_length=10, title=N_("What it is for"))]
OpensAt = Annotated[datetime, Meta(tz=True, title=N_("Opens"), description=N_("Date and time."))]
ClosesAt = Annotated[datetime, Meta(tz=True, title=N_("Closes"), description=N_("Date and time."))]
Criteria = Annotated[
    tuple[Criterion, ...],
    Meta(
        min_length=1,
        max_length=12,
        title=N_("Criteria"),
        description=N_("Together 100 percent."),
        extra_json_schema={
            "typed": N_("One per line, as “name: percent”."),
            "each": N_("Number %(number)s (“%(text)s”) needs a name of 2 to 200 characters, and 1 to 100 percent."),
        },
    ),
]
Quorum = Annotated[int, Meta(ge=1, le=12, title=N_("Reviews needed for a decision"))]
Countries = Annotated[int, Meta(ge=1, le=5, title=N_("Minimum number of countries, including the lead's"))]
ConflictYears = Annotated[int, Meta(ge=0, le=10, title=N_("Years for which a shared organization is a conflict"))]
Blind = Annotated[Blindness, Meta(title=N_("Blindness of reviews"))]


def _unfit(said: Mapping[str, Any]) -> Iterator[Refusal]:
    opens_at, closes_at = said.get("opens_at"), said.get("closes_at")
    if opens_at and closes_at and closes_at <= opens_at:
        yield Refusal(Reason.INVALID, N_("The round has to close after it opens."), "closes_at")
    if criteria := said.get("criteria"):
        total = sum(each.weight for each in criteria)
        if total != 100:
            message = N_("The weights of the criteria have to add up to 100; these are %(total)s.")
            yield Refusal(Reason.INVALID, message, "criteria", total=total)
        if len({each.name.casefold() for each in criteria}) < len(criteria):
            yield Refusal(Reason.INVALID, N_("Two criteria have the same name."), "criteria")


OVER = N_("Its closing time has passed. Set a later one first.")


def untimely(closes_at: datetime, at: datetime, passed: str = N_("This time has passed.")) -> Iterator[Refusal]:
    """Why a public round cannot close then; ``passed`` is said of a time that is over."""
    if closes_at <= at:
        yield Refusal(Reason.INVALID, passed, "closes_at")
    if closes_at > at + AHEAD:
        message = N_("This is more than three years away; check the year. An open round is never shortened.")
        yield Refusal(Reason.INVALID, message, "closes_at")


def _unpublishable(says: Mapping[str, Any], at: datetime, changed: Collection[str] = ()) -> Iterator[Refusal]:
    # What a public call must not say; what is ``changed`` is at fault itself, and not what was said before.
    yield from untimely(says["closes_at"], at) if "closes_at" in changed else untimely(says["closes_at"], at, OVER)
    if (opens_at := says["opens_at"]) < at - PAST:
        message = N_("Its opening date, %(when)s, is past, so the round would open at once. Change it first.")
        if "opens_at" in changed:
            message = N_("This date is long past: the round would open at once.")
        yield Refusal(Reason.INVALID, message, "opens_at", when=f"{opens_at:%Y-%m-%d}")


class DraftCall(Command, on=Call, by=Role.CENTER_OFFICER):
    """Draft a call for joint proposals."""

    title: CallTitle
    summary: Summary
    opens_at: OpensAt
    closes_at: ClosesAt
    criteria: Criteria
    quorum: Quorum = 3
    countries: Countries = 2
    blindness: Blind = "single_blind"
    conflict_years: ConflictYears = 3

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Refusal]:
        """Its times, and its criteria."""
        return _unfit(given)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It closes after it opens, and the weights of its criteria add up to 100."""
        refuse(self.unfit(msgspec.structs.asdict(self)))
        yield CallDrafted(
            call=act.new("call"),
            officer=act.actor,
            title=self.title,
            summary=self.summary,
            opens_at=self.opens_at,
            closes_at=self.closes_at,
            criteria=self.criteria,
            quorum=self.quorum,
            blindness=self.blindness,
            countries=self.countries,
            conflict_years=self.conflict_years,
        )


class AmendCall(Command, on=Call, by=Role.CALL_OFFICER, while_={"draft", "published", "open"}):
    """Change a call; once the round is open only its text and a later closing may change."""

    call: CallId
    reason: ReasonText
    title: CallTitle | None = None
    summary: Summary | None = None
    opens_at: OpensAt | None = None
    closes_at: ClosesAt | None = None
    criteria: Criteria | None = None
    quorum: Quorum | None = None
    countries: Countries | None = None
    blindness: Blind | None = None
    conflict_years: ConflictYears | None = None
    revision: StartedFrom | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """What froze when the round opened stays; the closing only moves away. Nobody writes over an unseen change."""
        call = model.get(Call, self.call)
        if not (new := changed(self, call)):
            return
        refuse_unseen(self.revision, call.revision)
        wrong = [each for each in self.fixed(call, model, act) if each.field in new]
        if call.status == "open" and "closes_at" in new and act.at >= call.closes_at:
            wrong.append(Refusal(Reason.FROZEN, N_("The round is over: it cannot be extended any more."), "closes_at"))
        elif call.status == "open" and new.get("closes_at", call.closes_at) < call.closes_at:
            wrong.append(Refusal(Reason.FROZEN, N_("An open round may be extended, not shortened."), "closes_at"))
        says = call.says() | new
        if call.status != "draft":
            wrong += (each for each in _unpublishable(says, act.at, new) if each.field in new)
        refuse([*wrong, *_unfit(says)])
        yield CallAmended(call=self.call, reason=self.reason, **new)

    @classmethod
    def fixed(cls, record: Call, model: Model, act: Act) -> Iterator[Refusal]:
        """What applicants and reviewers rely on, once the round is open."""
        for name in FROZEN if record.status == "open" else ():
            yield Refusal(Reason.FROZEN, N_("This was frozen when the round opened."), name)


class PublishCall(Command, on=Call, by=Role.CALL_OFFICER, while_={"draft"}, done="published"):
    """Make this call public for good; its round opens when the time comes."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Not where it would have closed already, nor with an opening that is long past: that is a slip in the year."""
        refuse(_unpublishable(model.get(Call, self.call).says(), act.at))
        yield CallPublished(call=self.call)


class OpenRound(
    Command,
    on=Call,
    by=(Role.CALL_OFFICER, Role.HUB),
    while_={"published"},
    done="open",
    due=Due("opens_at", "published"),
):
    """Open the round now; from then on what it asks for is frozen."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A round that nobody could open in time still opens, and closes at once."""
        if model.get(Call, self.call).closes_at <= act.at and act.actor != HUB:
            raise Refusal(Reason.INVALID, OVER)
        yield RoundOpened(call=self.call)


class CloseRound(Command, on=Call, by=Role.HUB, while_={"open"}, done="closed", due=Due("closes_at", "open")):
    """Close the round when its time has come; nobody closes it earlier."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Closing before the time changes nothing."""
        if act.at >= model.get(Call, self.call).closes_at:
            yield RoundClosed(call=self.call)
