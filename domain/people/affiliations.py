"""Where people work: they say so, the organization confirms it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import Annotated

from msgspec import Meta

from domain.core import (
    N_,
    Act,
    Actor,
    AffiliationId,
    Command,
    Event,
    Model,
    OrganizationId,
    PersonId,
    Reason,
    Refusal,
    Role,
)
from domain.organizations.state import Organization
from domain.people.events import AffiliationConfirmed, AffiliationDeclared, AffiliationEnded, AffiliationRefused
from domain.people.state import Affiliation, Person

DAY = timedelta(days=1)
"""Where people are it may be tomorrow already, or still yesterday."""
LATE = timedelta(days=366)
"""How long after the end of a confirmed post its organization may still say so."""
WITHDRAWN = N_("This was taken back, or refused, before it was confirmed. Declare it again.")
AHEAD = timedelta(days=366)
"""How long before it begins a post may be said to be one's own."""
AffiliationField = Annotated[AffiliationId, Meta(description=N_("Its id, from `Person.affiliations`."))]
Position = Annotated[str, Meta(min_length=2, max_length=200, title=N_("Position"))]
Since = Annotated[date, Meta(title=N_("Since"))]
Until = Annotated[date, Meta(title=N_("Until"))]


class DeclareAffiliation(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Say where you work; the organization confirms it."""

    person: PersonId
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]
    position: Position
    since: Since
    until: Until | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The same again changes nothing. One current post at each organization; it never ends before it begins.
        Where the organization is no more, it has ended.
        """
        if self.until and self.until < self.since:
            raise Refusal(Reason.INVALID, N_("It cannot end before it begins."), "until")
        if self.since > act.at.date() + AHEAD:
            raise Refusal(Reason.INVALID, N_("At most a year from now."), "since")
        person = model.get(Person, self.person)
        same = Affiliation(self.organization, self.since, self.until, False, self.position)
        if any(replace(each, confirmed=False) == same for each in person.affiliations.values()):
            return
        today = act.at.date()
        if model.get(Organization, self.organization).status == "closed" and (self.until is None or self.until > today):
            message = N_("This organization is closed: say until when you worked there.")
            raise Refusal(Reason.WRONG_STATUS, message, "until")
        if self.until is None and person.works_at(self.organization, max(today, self.since)):
            message = N_("You already say that you work there. End that first if this is another post.")
            raise Refusal(Reason.ALREADY_TAKEN, message, "organization")
        yield AffiliationDeclared(
            person=self.person,
            affiliation=act.new("affiliation"),
            organization=self.organization,
            position=self.position,
            since=self.since,
            until=self.until,
        )


def _affiliation(model: Model, person: str, affiliation: str, organization: str) -> Affiliation:
    found = model.get(Person, person).affiliations.get(affiliation)
    if found is None or found.organization != organization:
        raise Refusal(Reason.NOT_FOUND, N_("This person has no such affiliation."), "affiliation")
    return found


class _Answer:
    # What an organization says of somebody who says that they work there.
    @classmethod
    def idle(cls, record: Person, by: Actor) -> bool:
        """Where nothing waits for an organization for which they act."""
        theirs = (each for each in record.affiliations.values() if each.organization in by.offices)
        return all(each.confirmed or each.withdrawn for each in theirs)

    @classmethod
    def bar(cls, record: Person, model: Model, act: Act) -> None:
        """Never the person for themselves."""
        if record.id == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Another officer of the organization has to confirm this."))


class ConfirmAffiliation(_Answer, Command, on=Person, by=Role.OFFICER, while_={"joined"}, office="organization"):
    """Confirm, for your organization, that this person works there."""

    person: PersonId
    affiliation: AffiliationField
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only the organization that it names confirms it."""
        found = _affiliation(model, self.person, self.affiliation, self.organization)
        if found.withdrawn:
            raise Refusal(Reason.WRONG_STATUS, WITHDRAWN, "affiliation")
        if not found.confirmed:
            yield AffiliationConfirmed(person=self.person, affiliation=self.affiliation, organization=self.organization)


class RefuseAffiliation(_Answer, Command, on=Person, by=Role.OFFICER, while_={"joined"}, office="organization"):
    """Say, for your organization, that this person does not work there as they say."""

    person: PersonId
    affiliation: AffiliationField
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only the organization that it names refuses it, and nothing that it has confirmed: that ends."""
        found = _affiliation(model, self.person, self.affiliation, self.organization)
        if found.confirmed:
            message = N_("Your organization has confirmed this: say when it ended.")
            raise Refusal(Reason.WRONG_STATUS, message, "affiliation")
        if not found.withdrawn:
            today = max(act.at.date(), found.since)
            until = today if found.until is None else min(found.until, today)
            yield AffiliationRefused(
                person=self.person, affiliation=self.affiliation, organization=self.organization, until=until
            )


class EndAffiliation(Command, on=Person, by=(Role.SELF, Role.OFFICER), while_={"joined"}, office="organization"):
    """Say when an affiliation ended."""

    person: PersonId
    affiliation: AffiliationField
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]
    until: Until

    @classmethod
    def idle(cls, record: Person, by: Actor) -> bool:
        """Where there is none of theirs, or of an organization for which they act."""
        named = {each.organization for each in record.affiliations.values()}
        return not (named if record.id == by.id else named & by.offices)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It never ends before it began, nor (conflicts of interest rest on it) more than a year before that is said.
        What the organization has confirmed, the person ends from today on, never later than it says; what it has not
        confirmed is taken back by that, also before it begins. What has ended is never made to last longer: whoever
        works there still says so.
        """
        found = _affiliation(model, self.person, self.affiliation, self.organization)
        today = act.at.date()
        begun = found.confirmed or found.since <= today
        until = self.until if begun else max(self.until, found.since)
        if not (found.confirmed or found.withdrawn) and found.until is not None and found.until < today:
            # It is taken back as it was said: that it ended then is no more than they said themselves.
            until = found.until
        if until < found.since:
            raise Refusal(Reason.INVALID, N_("It cannot end before it begins."), "until")
        if found.until == until and (found.confirmed or found.withdrawn):
            return
        if found.withdrawn:
            raise Refusal(Reason.WRONG_STATUS, WITHDRAWN, "affiliation")
        if not found.confirmed and until > max(today + DAY, found.since):
            message = N_("What has not been confirmed cannot end in the future.")
            raise Refusal(Reason.INVALID, message, "until")
        if until < min(today - LATE, found.until or today) and not (found.confirmed and act.actor == self.person):
            message = N_("An end more than a year ago can no longer be recorded.")
            raise Refusal(Reason.INVALID, message, "until")
        if found.confirmed and act.actor == self.person:
            if found.until is not None and found.until < today:
                message = N_("It has ended: another day can only be said by an officer of the organization.")
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
            if until < today - DAY:
                message = N_(
                    "The organization has confirmed it: you can end it from today on, its officers also earlier."
                )
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
            if found.until is not None and until > found.until:
                message = N_("Only an officer of the organization can extend it.")
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
        if found.until is not None and found.until < min(today, until):
            # Who worked somewhere does not judge it for years: an applicant must not be able to make them last.
            raise Refusal(Reason.INVALID, N_("It has ended: whoever works there still says so anew."), "until")
        yield AffiliationEnded(
            person=self.person, affiliation=self.affiliation, organization=self.organization, until=until
        )
