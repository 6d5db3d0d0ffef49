"""What may be done with a call."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from domain.calls.events import (
    Blindness,
    CallAmended,
    CallDrafted,
    CallOfficerAppointed,
    CallOfficerDismissed,
    CallPublished,
    Criterion,
    RoundClosed,
    RoundOpened,
    said,
)
from domain.calls.state import FROZEN, Call
from domain.core import (
    N_,
    Act,
    CallId,
    Command,
    Due,
    Event,
    LongText,
    Model,
    PersonId,
    Reason,
    ReasonText,
    Refusal,
    Role,
    StartedFrom,
    Title,
    refuse,
    refuse_unseen,
)
from domain.people.state import Person

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
Countries = Annotated[
    int, Meta(ge=1, le=5, title=N_("Countries that its organizations come from, the lead's included, at least"))
]
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


def _far() -> Refusal:
    message = N_("This is more than three years away: is the year right? A round that is open is never shortened.")
    return Refusal(Reason.INVALID, message, "closes_at")


def _slips(changed: Mapping[str, Any], at: datetime) -> Iterator[Refusal]:
    # What a call that is public must not be made to say.
    opens_at, closes_at = changed.get("opens_at"), changed.get("closes_at")
    if closes_at and closes_at <= at:
        yield Refusal(Reason.INVALID, N_("This time has passed."), "closes_at")
    if opens_at and opens_at < at - PAST:
        yield Refusal(Reason.INVALID, N_("This is long past: the round would open at once, for good."), "opens_at")
    if closes_at and closes_at > at + AHEAD:
        yield _far()


def _past(said: Mapping[str, Any], at: datetime) -> Iterator[Refusal]:
    # What a call that is public must not say.
    if said["closes_at"] <= at:
        yield Refusal(Reason.INVALID, N_("Its closing time has passed: change it first."), "closes_at")
    if said["closes_at"] > at + AHEAD:
        yield _far()
    if said["opens_at"] < at - PAST:
        message = N_("It would open at once, for good: its opening, %(when)s, is past. Change it first.")
        yield Refusal(Reason.INVALID, message, "opens_at", when=f"{said['opens_at']:%Y-%m-%d}")


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
        """It closes after it opens, and the weights add up to 100."""
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
        """What froze when the round opened stays, a deadline only moves away; not over a change that was not seen."""
        call = model.get(Call, self.call)
        changed = {name: value for name, value in said(self).items() if value != call.says()[name]}
        if changed:
            refuse_unseen(self.revision, call.revision)
        wrong = [each for each in self.fixed(call, model, act) if each.field in changed]
        if call.status == "open" and "closes_at" in changed and act.at >= call.closes_at:
            wrong.append(Refusal(Reason.FROZEN, N_("The round is over: it cannot be extended any more."), "closes_at"))
        elif call.status == "open" and changed.get("closes_at", call.closes_at) < call.closes_at:
            wrong.append(Refusal(Reason.FROZEN, N_("An open round may be extended, not shortened."), "closes_at"))
        if call.status != "draft":
            wrong += _slips(changed, act.at)
        refuse([*wrong, *_unfit(call.says() | changed)])
        if changed:
            yield CallAmended(call=self.call, reason=self.reason, **changed)

    @classmethod
    def fixed(cls, record: Call, model: Model, act: Act) -> Iterator[Refusal]:
        """What applicants and reviewers rely on, once the round is open."""
        for name in FROZEN if record.status == "open" else ():
            yield Refusal(Reason.FROZEN, N_("This was frozen when the round opened."), name)


class AppointCallOfficer(
    Command,
    on=Call,
    by=(Role.CALL_OFFICER, Role.CENTER_OFFICER),
    while_={"draft", "published", "open", "closed", "decided"},
):
    """Let another officer of the Center run this call too."""

    call: CallId
    officer: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """So that a call outlives the office of whoever began it, and a conflict of interest has somebody else. Nobody
        appoints themselves while another runs it: who does reads the proposals.
        """
        if not model.get(Person, self.officer).of_the_center:
            raise Refusal(Reason.NOT_PERMITTED, N_("Only an officer of the Center runs a call."), "officer")
        officers = model.get(Call, self.call).officers
        if self.officer not in officers:
            if self.officer == act.actor and any(model.get(Person, each).of_the_center for each in officers):
                raise Refusal(Reason.NOT_PERMITTED, N_("Somebody else has to appoint you."), "officer")
            yield CallOfficerAppointed(call=self.call, officer=self.officer)


class DismissCallOfficer(
    Command, on=Call, by=Role.CALL_OFFICER, while_={"draft", "published", "open", "closed", "decided"}
):
    """End a person's running of this call; they stay an officer of the Center."""

    call: CallId
    officer: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Somebody of the Center goes on running it; whoever does not run it stays as they are."""
        officers = model.get(Call, self.call).officers
        if self.officer not in officers:
            return
        if not any(model.get(Person, each).of_the_center for each in officers - {self.officer}):
            message = N_("Nobody else runs this call: appoint somebody first.")
            raise Refusal(Reason.NOT_PERMITTED, message, "officer")
        yield CallOfficerDismissed(call=self.call, officer=self.officer)


class PublishCall(Command, on=Call, by=Role.CALL_OFFICER, while_={"draft"}):
    """Make this call public for good; its round opens when the time comes."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Not when it would have closed already; nor with an opening that is long past, which is a slip in the year."""
        refuse(_past(model.get(Call, self.call).says(), act.at))
        yield CallPublished(call=self.call)


class OpenRound(
    Command,
    on=Call,
    by=(Role.CALL_OFFICER, Role.HUB),
    while_={"published", "open"},
    due=Due("opens_at", "published", until="closes_at"),
):
    """Open the round now; from then on what it asks for is frozen."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Opening twice changes nothing."""
        call = model.get(Call, self.call)
        if call.status == "published":
            if call.closes_at <= act.at:
                raise Refusal(Reason.INVALID, N_("Its closing time has passed: change it first."))
            yield RoundOpened(call=self.call)


class CloseRound(Command, on=Call, by=Role.HUB, while_={"open", "closed"}, due=Due("closes_at", "open")):
    """Close the round when its time has come; nobody closes it earlier."""

    call: CallId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Closing before the time, or twice, changes nothing."""
        call = model.get(Call, self.call)
        if call.status == "open" and act.at >= call.closes_at:
            yield RoundClosed(call=self.call)
