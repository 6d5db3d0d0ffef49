"""Opening a call's round once more: while nothing has been decided over its proposals."""

from collections.abc import Iterator

from domain.calls.commands import ClosesAt, untimely
from domain.calls.events import RoundReopened
from domain.calls.state import Call
from domain.core import N_, Act, CallId, Command, Event, Model, Reason, ReasonText, Refusal, Role, refuse
from domain.proposals.state import Proposal, Submissions


class ReopenRound(Command, on=Call, by=Role.CALL_OFFICER, while_={"closed"}):
    """Open this round once more, for everybody alike: as after the hub could not be reached before it closed."""

    call: CallId
    closes_at: ClosesAt
    reason: ReasonText

    @classmethod
    def bar(cls, record: Call, model: Model, act: Act) -> None:
        """Not once a proposal has been decided over: who knows what was chosen would write for it."""
        proposals = model.every(Proposal, sorted(model.get(Submissions, record.id).proposals))
        if any(each.decided for each in proposals):
            message = N_("Proposals of this round have been decided over: it is not opened again.")
            raise Refusal(Reason.WRONG_STATUS, message)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It closes again at a time to come; what it is judged by stays fixed, and everybody reads why."""
        refuse(untimely(self.closes_at, act.at))
        yield RoundReopened(call=self.call, closes_at=self.closes_at, reason=self.reason)
