"""Who acts and who signs for an organization."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from domain.core import N_, Act, Actor, Command, Event, Model, OrganizationId, PersonId, Reason, Refusal, Role, Word
from domain.organizations.events import OfficerAppointed, OfficerDismissed, SignatoryAuthorized, SignatoryRevoked
from domain.organizations.state import Organization
from domain.people.state import Person, of_the_center


class AppointOfficer(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.OFFICER), while_={"verified"}, seeks=("person",)
):
    """Let a person act for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """They have joined, and somebody else appoints them: the Center, or an officer of where they say they work."""
        # Who has acted for an organization never judges it: an applicant must not be able to make a judge one of its
        # own against their will.
        if self.person in model.get(Organization, self.organization).officers:
            return
        if self.person == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody else has to appoint you."), "person")
        if not of_the_center(model, act):
            _works_here(self.person, self.organization, model, act)
        _is_here(self.person, model)
        yield OfficerAppointed(organization=self.organization, person=self.person)


def _is_here(id: str, model: Model) -> None:
    status = model.get(Person, id).status
    if status == "invited":
        raise Refusal(Reason.WRONG_STATUS, N_("This person has not joined the hub yet."), "person")
    if status != "joined":
        raise Refusal(Reason.NOT_FOUND, N_("There is no such %(kind)s."), "person", kind=Word("person"))


def _works_here(id: str, organization: str, model: Model, act: Act) -> None:
    # Also where there is no such person: whom an officer may not know looks like that.
    if not model.get(Person, id).works_at(organization, act.at.date()):
        message = N_("They do not say yet that they work here: they add it on their own page first.")
        raise Refusal(Reason.NOT_PERMITTED, message, "person")


class DismissOfficer(
    Command,
    on=Organization,
    by=(Role.CENTER_OFFICER, Role.OFFICER),
    while_={"registered", "verified", "suspended", "closed"},
    seeks=("person",),
):
    """Dismiss an officer of this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    @classmethod
    def idle(cls, record: Organization, by: Actor) -> bool:
        """Where nobody acts for it."""
        return not record.officers

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Dismissing someone who is not an officer changes nothing."""
        if self.person in model.get(Organization, self.organization).officers:
            yield OfficerDismissed(organization=self.organization, person=self.person)


class AuthorizeSignatory(Command, on=Organization, by=Role.OFFICER, while_={"verified"}, seeks=("person",)):
    """Let a person sign agreements for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """They have joined and say that they work there, and somebody else authorizes them."""
        if self.person == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Another officer has to authorize you."), "person")
        _works_here(self.person, self.organization, model, act)
        _is_here(self.person, model)
        if self.person not in model.get(Organization, self.organization).signatories:
            yield SignatoryAuthorized(organization=self.organization, person=self.person)


class RevokeSignatory(Command, on=Organization, by=(Role.CENTER_OFFICER, Role.OFFICER), seeks=("person",)):
    """Revoke a person's right to sign for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    @classmethod
    def idle(cls, record: Organization, by: Actor) -> bool:
        """Where nobody signs."""
        return not record.signatories

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Revoking what was never authorized changes nothing."""
        if self.person in model.get(Organization, self.organization).signatories:
            yield SignatoryRevoked(organization=self.organization, person=self.person)
