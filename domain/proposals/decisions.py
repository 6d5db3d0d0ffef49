"""What is decided over a proposal once it is submitted, and what its applicants answer."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta

from domain.calls.state import Call
from domain.core import N_, Act, Actor, Command, Due, Event, Model, ProposalId, Reason, ReasonText, Refusal, Role
from domain.organizations.state import Organization, belongs
from domain.proposals.commands import OVER, too_late
from domain.proposals.events import (
    AwardAccepted,
    AwardOffered,
    AwardRefused,
    DeadlineMoved,
    DeadlinePassed,
    EligibilityConfirmed,
    OfferWithdrawn,
    ProposalDeclined,
    ProposalFoundIneligible,
    ProposalRecommended,
    ProposalReturned,
    ProposalWithdrawn,
)
from domain.proposals.state import EDITABLE, Proposal

LONGEST = timedelta(days=183)
"""For changes that a proposal is given back for: what is further is a slip in the year."""
ChangesUntil = Annotated[
    datetime, Meta(tz=True, title=N_("Changes until"), description=N_("Date and time, within half a year."))
]


class ReturnProposal(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted", "in_review"}):
    """Give this proposal back for changes."""

    proposal: ProposalId
    reason: ReasonText
    until: ChangesUntil

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once results are out."""
        _open_still(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The deadline lies in the future, at most half a year away."""
        _fits(self.until, act.at)
        yield ProposalReturned(proposal=self.proposal, reason=self.reason, until=self.until)


class MoveDeadline(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"returned"}):
    """Move the time that the authors of this proposal have for changes."""

    proposal: ProposalId
    reason: ReasonText
    until: Annotated[
        datetime, Meta(tz=True, title=N_("New deadline"), description=N_("Date and time, within half a year."))
    ]

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once results are out."""
        _open_still(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It may be moved nearer too. The same time again changes nothing."""
        _fits(self.until, act.at)
        if self.until != model.get(Proposal, self.proposal).returned_until:
            yield DeadlineMoved(proposal=self.proposal, reason=self.reason, until=self.until)


class PassDeadline(Command, on=Proposal, by=Role.HUB, while_={"returned"}, due=Due("returned_until", "returned")):
    """Record that the time for changes to this proposal is over."""

    proposal: ProposalId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Before that time, or twice, it changes nothing."""
        until = model.get(Proposal, self.proposal).returned_until
        if until is not None and act.at >= until:
            yield DeadlinePassed(proposal=self.proposal)


def _open_still(proposal: Proposal, model: Model) -> None:
    if model.get(Call, proposal.call).is_over:
        raise Refusal(Reason.WRONG_STATUS, OVER)


def _fits(until: datetime, at: datetime) -> None:
    if until <= at:
        raise Refusal(Reason.INVALID, N_("This time has passed."), "until")
    if until > at + LONGEST:
        raise Refusal(Reason.INVALID, N_("At most half a year from now."), "until")


def _put_away(proposal: Proposal, model: Model) -> None:
    if model.get(Call, proposal.call).status == "archived":
        raise Refusal(Reason.WRONG_STATUS, N_("This call was archived."))


def _all_are_in(proposal: Proposal, model: Model) -> None:
    # Who is first to be submitted is judged beside all the others.
    if not model.get(Call, proposal.call).is_closed:
        raise Refusal(Reason.WRONG_STATUS, N_("The round is still open: proposals are decided once it has closed."))


class ConfirmEligibility(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted"}, done="in_review"):
    """Confirm that this proposal meets the formal conditions."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once the call is put away."""
        _put_away(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It goes to review."""
        yield EligibilityConfirmed(proposal=self.proposal)


class FindIneligible(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted"}, final=True):
    """Record that this proposal does not meet the formal conditions."""

    proposal: ProposalId
    reason: ReasonText

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The applicants read the reason."""
        yield ProposalFoundIneligible(proposal=self.proposal, reason=self.reason)


class RecommendProposal(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"in_review"}, done="recommended"):
    """Recommend this proposal for an award."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Once all proposals are in, and not once the call is put away."""
        _put_away(record, model)
        _all_are_in(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It has been checked, and all proposals of the round are in."""
        yield ProposalRecommended(proposal=self.proposal)


class OfferAward(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"recommended"}):
    """Offer the applicants an award; the offer stands until they answer, or you take it back."""

    proposal: ProposalId

    @classmethod
    def idle(cls, record: Proposal, by: Actor) -> bool:
        """Where one was offered."""
        return record.offered

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Once all proposals are in, not once the call is put away, and to nobody who cannot answer."""
        _put_away(record, model)
        _all_are_in(record, model)
        if model.get(Organization, record.lead).status != "verified":
            message = N_("The lead organization is not verified now: nobody could accept it.")
            raise Refusal(Reason.WRONG_STATUS, message)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Offering twice changes nothing."""
        if not model.get(Proposal, self.proposal).offered:
            yield AwardOffered(proposal=self.proposal)


class WithdrawOffer(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"recommended"}):
    """Take back an offer of an award that nobody has answered. In an archived call it can only be declined then."""

    proposal: ProposalId
    reason: ReasonText

    @classmethod
    def idle(cls, record: Proposal, by: Actor) -> bool:
        """Where none was offered."""
        return not record.offered

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not from a lead that cannot answer now, and may again."""
        _suspended(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only while the applicants have not answered."""
        _offered(model.get(Proposal, self.proposal))
        yield OfferWithdrawn(proposal=self.proposal, reason=self.reason)


class DeclineProposal(
    Command,
    on=Proposal,
    by=Role.CALL_OFFICER,
    while_={"returned", "in_review", "recommended"},
    final=True,
):
    """Decline this proposal."""

    proposal: ProposalId
    reason: ReasonText

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """An offer is the applicants' to refuse, unless their lead is no more. Changes are waited for."""
        _suspended(record, model)
        if record.offered and model.get(Organization, record.lead).status != "closed":
            message = N_("An award has been offered: the applicants answer now, or you take the offer back.")
            raise Refusal(Reason.WRONG_STATUS, message)
        if record.status != "returned":
            _all_are_in(record, model)
        if record.status == "returned" and too_late(record, model.get(Call, record.call), act.at) is None:
            raise Refusal(Reason.WRONG_STATUS, N_("Its authors still have time to change it."))

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Not while the applicants have an award to answer to, or time for changes."""
        yield ProposalDeclined(proposal=self.proposal, reason=self.reason)


def _suspended(proposal: Proposal, model: Model) -> None:
    if proposal.offered and model.get(Organization, proposal.lead).status == "suspended":
        message = N_(
            "An award has been offered, and its lead is suspended: until that is verified or closed, it waits."
        )
        raise Refusal(Reason.WRONG_STATUS, message)


def _offered(proposal: Proposal) -> None:
    if not proposal.offered:
        raise Refusal(Reason.WRONG_STATUS, N_("No award has been offered yet."))


class AcceptAward(Command, on=Proposal, by=Role.LEAD_OFFICER, while_={"recommended"}, done="awarded"):
    """Accept the award for your organization."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """There has to be one."""
        _offered(record)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only an award that was offered is accepted."""
        call = model.get(Call, model.get(Proposal, self.proposal).call)
        yield AwardAccepted(proposal=self.proposal, published=call.is_over)


class RefuseAward(Command, on=Proposal, by=Role.LEAD_OFFICER, while_={"recommended"}, final=True):
    """Refuse the award."""

    proposal: ProposalId
    reason: ReasonText

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """There has to be one."""
        _offered(record)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only an award that was offered is refused."""
        yield AwardRefused(proposal=self.proposal, reason=self.reason)


class WithdrawProposal(
    Command,
    on=Proposal,
    by=(Role.AUTHOR, Role.LEAD_OFFICER),
    while_={*EDITABLE, "submitted", "in_review", "recommended"},
    final=True,
):
    """Withdraw this proposal."""

    proposal: ProposalId
    reason: ReasonText

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not by an investigator who has left: the organization that leads it goes on without them."""
        if not belongs(model, act, record.lead):
            message = N_("You do not work any more at the organization that leads it: its officers withdraw it.")
            raise Refusal(Reason.NOT_PERMITTED, message)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It stays readable to those who could read it."""
        yield ProposalWithdrawn(proposal=self.proposal, reason=self.reason)
