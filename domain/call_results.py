"""Publishing a call's results, and putting it away: once each of its proposals is decided, or before it is public."""

from collections.abc import Iterator

from domain.calls.events import CallArchived, ResultsPublished
from domain.calls.state import Call
from domain.core import N_, Act, CallId, Command, Event, Model, ProposalId, Reason, Refusal, Role
from domain.proposals.events import AwardPublished
from domain.proposals.state import Proposal, Submissions


def _all_decided(call: Call, model: Model) -> list[Proposal]:
    # What its authors were asked for (changes, an answer to an offer) waits for nobody's decision here.
    proposals = model.every(Proposal, sorted(model.get(Submissions, call.id).proposals))
    if count := sum(each.awaits_decision for each in proposals):
        raise Refusal(Reason.WRONG_STATUS, N_("Undecided proposals: %(count)s. Decide them first."), count=count)
    return proposals


class PublishResults(Command, on=Call, by=Role.CALL_OFFICER, while_={"closed"}, done="decided", final=True):
    """Publish the results of this call. Offers that were not answered yet stay open."""

    call: CallId

    @classmethod
    def bar(cls, record: Call, model: Model, act: Act) -> None:
        """Not while a proposal waits for a decision, or its authors still have the time that they were given."""
        if count := sum(each.granted(act.at) for each in _all_decided(record, model)):
            message = N_("Proposals whose authors still have time for changes: %(count)s.")
            raise Refusal(Reason.WRONG_STATUS, message, count=count)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whatever waits for a decision is decided first; from then on everybody may read what was awarded."""
        for each in _all_decided(model.get(Call, self.call), model):
            if each.status == "awarded" and not each.public:
                yield AwardPublished(proposal=ProposalId(each.id))
        # What is told to have been done is the last event: that of the call.
        yield ResultsPublished(call=self.call)


class ArchiveCall(
    Command, on=Call, by=Role.CALL_OFFICER, while_={"draft", "published", "decided"}, done="archived", final=True
):
    """Archive this call for good, also one that has not opened. Whoever can read it now still can."""

    call: CallId

    @classmethod
    def bar(cls, record: Call, model: Model, act: Act) -> None:
        """Not while a proposal waits for a decision."""
        _all_decided(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Nothing of it waits for a decision any more."""
        yield CallArchived(call=self.call)
