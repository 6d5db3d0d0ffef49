"""Who runs a call: officers of the Center, each of whom may let others in."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from domain.calls.events import CallOfficerAppointed, CallOfficerDismissed
from domain.calls.state import Call
from domain.core import HUB, N_, NOT_HERE, Act, CallId, Command, Event, Model, PersonId, Reason, Refusal, Role
from domain.people.state import Person

_LAST = N_("Nobody else runs this call: appoint somebody first.")


class AppointCallOfficer(
    Command,
    on=Call,
    by=(Role.CALL_OFFICER, Role.CENTER_OFFICER),
    while_={"draft", "published", "open", "closed", "decided"},
):
    """Let another officer of the Center run this call too."""

    call: CallId
    officer: Annotated[PersonId, Meta(title=N_("Person"))]

    @classmethod
    def bar(cls, record: Call, model: Model, act: Act) -> None:
        """By who runs it, as long as anybody of the Center does: whoever runs a call reads its proposals."""
        if act.actor != HUB and act.actor not in record.officers and _of_the_center(record.officers, model):
            raise Refusal(Reason.NOT_PERMITTED, NOT_HERE)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Where nobody of the Center runs it any more, another of its officers may, unless they brought that about."""
        if not model.get(Person, self.officer).of_the_center:
            raise Refusal(Reason.NOT_PERMITTED, N_("Only an officer of the Center runs a call."), "officer")
        officers = model.get(Call, self.call).officers
        if self.officer not in officers:
            if self.officer == act.actor and any(model.get(Person, each).let_go_by == act.actor for each in officers):
                raise Refusal(Reason.NOT_PERMITTED, N_("Somebody else has to appoint you."), "officer")
            yield CallOfficerAppointed(call=self.call, officer=self.officer)


def _of_the_center(officers: frozenset[str], model: Model) -> bool:
    return any(model.get(Person, each).of_the_center for each in officers)


class DismissCallOfficer(
    Command, on=Call, by=Role.CALL_OFFICER, while_={"draft", "published", "open", "closed", "decided"}
):
    """Remove a person as officer of this call; they remain an officer of the Center."""

    call: CallId
    officer: Annotated[PersonId, Meta(title=N_("Person"))]

    @classmethod
    def bar(cls, record: Call, model: Model, act: Act) -> None:
        """Not the last who runs it."""
        if len(record.officers) < 2:
            raise Refusal(Reason.NOT_PERMITTED, _LAST, "officer")

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Somebody of the Center has to go on running it. Removing somebody who does not run it changes nothing."""
        officers = model.get(Call, self.call).officers
        if self.officer not in officers:
            return
        if not _of_the_center(officers - {self.officer}, model):
            raise Refusal(Reason.NOT_PERMITTED, _LAST, "officer")
        yield CallOfficerDismissed(call=self.call, officer=self.officer)
