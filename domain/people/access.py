"""Ways to act as a person that others than they are given: each is recorded before it is made, so that it can be proven
who could have acted in whose name, and since when.

One is a link, for one signing in, or a token for what its ``scope`` names; valid ``until`` then, unless it is ended. It
is ``shown_to`` an officer of the Center, or, where no id stands there, to whoever gives commands at the server.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from domain.core import N_, Act, Command, Event, Model, PersonId, Reason, Refusal, Role
from domain.people.events import AccessEnded, AccessGiven
from domain.people.state import Person


class GiveAccess(Command, on=Person, by=Role.HUB, while_={"invited", "joined"}):
    """Record that somebody else is given a way to act as this person."""

    person: PersonId
    way: Literal["link", "token"]
    until: Annotated[datetime, Meta(tz=True)]
    scope: tuple[str, ...] = ()
    shown_to: PersonId | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A token acts as somebody who has joined; a link lets in whoever was invited. Nobody is shown one of somebody
        who has joined, or has a role in the whole hub.
        """
        person = model.get(Person, self.person)
        if self.way == "token" and person.status != "joined":
            raise Refusal(Reason.WRONG_STATUS, N_("They have not joined yet: only a link lets them in."), "way")
        if self.shown_to is not None and (person.status != "invited" or person.hub_roles):
            message = N_("They have joined, or have a role in the whole hub: whoever runs the hub makes their link.")
            raise Refusal(Reason.NOT_PERMITTED, message)
        yield AccessGiven(person=self.person, way=self.way, until=self.until, scope=self.scope, shown_to=self.shown_to)


class EndAccess(Command, on=Person, by=Role.HUB, while_={"invited", "joined"}):
    """Record that everything that let this person in was ended for them."""

    person: PersonId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Each time that it is done, since there may be new ones."""
        yield AccessEnded(person=self.person)
