"""Erasing a person: what they held ends with it, in whatever subject that was."""

from collections.abc import Iterator

from domain.core import N_, Act, Command, Event, HubRole, Model, PersonId, Reason, Refusal, Role, giver
from domain.organizations.events import OfficerDismissed, SignatoryRevoked
from domain.organizations.state import OrganizationOffices
from domain.people.events import PersonErased, RoleProposalWithdrawn, RoleRevoked
from domain.people.state import Person


class ErasePerson(
    Command, on=Person, by=(Role.SELF, Role.CENTER_OFFICER), while_={"invited", "joined"}, done="erased", final=True
):
    """Erase a person's name, e-mail and ORCID iD for good; what they did stays, under a number."""

    person: PersonId

    @classmethod
    def bar(cls, record: Person, model: Model, act: Act) -> None:
        """An officer of the Center remains: nobody takes that from themselves."""
        if record.of_the_center and record.id == act.actor:
            message = N_("You are an officer of the Center: another one has to take that role back first.")
            raise Refusal(Reason.NOT_PERMITTED, message)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Their offices, their right to sign and their roles end."""
        person = model.get(Person, self.person)
        held = model.get(OrganizationOffices, self.person)
        for organization in sorted(held.organizations):
            yield OfficerDismissed(organization=organization, person=self.person)
        for organization in sorted(held.signs):
            yield SignatoryRevoked(organization=organization, person=self.person)
        for role, country in sorted(person.proposed_roles):
            yield RoleProposalWithdrawn(person=self.person, role=HubRole(role), country=country or None)
        for role, country in sorted(person.hub_roles):
            yield RoleRevoked(person=self.person, role=HubRole(role), country=country or None, by=giver(act))
        yield PersonErased(person=self.person)
