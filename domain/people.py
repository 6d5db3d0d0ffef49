"""People: invited, joined, affiliated; their personal data stand in events sealed only."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from domain.core import (
    N_,
    Act,
    Actor,
    AffiliationId,
    Command,
    Country,
    EmailAlias,
    Event,
    Kind,
    Language,
    Model,
    OrcidAlias,
    OrganizationId,
    PersonId,
    Reason,
    Refusal,
    Role,
    Sealed,
    State,
    orcid_is_valid,
)


class HubRole(StrEnum):
    """A role that a person has in the whole hub."""

    CENTER_OFFICER = "center_officer"
    AUDITOR = "auditor"
    NATIONAL_AUTHORITY = "national_authority"


class PersonInvited(Event):
    """A person was invited to the hub."""

    person: PersonId
    name: Sealed
    email: Sealed
    email_alias: EmailAlias
    language: Language = "en"


class PersonJoined(Event):
    """A person accepted the invitation."""

    person: PersonId


class OrcidLinked(Event):
    """A person linked their ORCID iD."""

    person: PersonId
    orcid: Sealed
    orcid_alias: OrcidAlias


class OrcidUnlinked(Event):
    """A person unlinked their ORCID iD; also where another one takes its place."""

    person: PersonId
    orcid_alias: OrcidAlias


class NoticesChosen(Event):
    """A person chose whether what waits for them is mailed to them, and in which language."""

    person: PersonId
    mailed: bool
    language: Language


class AffiliationDeclared(Event):
    """A person said that they work at an organization."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId
    position: str
    since: date
    until: date | None = None


class AffiliationConfirmed(Event):
    """The organization confirmed an affiliation."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId


class AffiliationEnded(Event):
    """An affiliation ended."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId
    until: date


class RoleGranted(Event):
    """A person was given a role in the whole hub."""

    person: PersonId
    role: HubRole
    country: str | None = None


class RoleRevoked(Event):
    """A hub-wide role was taken back."""

    person: PersonId
    role: HubRole
    country: str | None = None


class PersonErased(Event):
    """A person's key and personal data were destroyed; what they did stays under their id."""

    person: PersonId


TIES = timedelta(days=3 * 365 + 1)
"""For how long whoever worked somewhere has no say over it: three years, as for any conflict of interest."""
LATE = timedelta(days=366)
"""How long after the end of a confirmed post its organization may still say so."""
WITHDRAWN = N_("This was taken back before it was confirmed: it has to be said anew.")
AHEAD = timedelta(days=366)
"""How long before it begins a post may be said to be one's own."""


@dataclass(frozen=True)
class Affiliation:
    """Where a person works, as decisions see it; ``withdrawn`` is one that was ended before it was confirmed."""

    organization: str
    since: date
    until: date | None
    confirmed: bool
    position: str = ""
    withdrawn: bool = False

    def lasts(self, on: date) -> bool:
        """Whether it has not ended before that day."""
        return self.until is None or self.until >= on


class Person(
    State,
    kind=Kind("person"),
    on=(
        PersonInvited,
        PersonJoined,
        OrcidLinked,
        OrcidUnlinked,
        NoticesChosen,
        AffiliationDeclared,
        AffiliationConfirmed,
        AffiliationEnded,
        RoleGranted,
        RoleRevoked,
        PersonErased,
    ),
):
    """``invited → joined → erased``."""

    orcid: str = ""
    notices: tuple[bool, str] = True, "en"
    affiliations: dict[str, Affiliation] = {}
    hub_roles: frozenset[tuple[str, str]] = frozenset()

    def evolve(self, event: Event) -> Self:
        """This person after the event."""
        match event:
            case PersonInvited():
                return msgspec.structs.replace(self, id=event.person, status="invited", notices=(True, event.language))
            case PersonJoined():
                return msgspec.structs.replace(self, status="joined")
            case OrcidLinked():
                return msgspec.structs.replace(self, orcid=event.orcid_alias)
            case OrcidUnlinked():
                return msgspec.structs.replace(self, orcid="")
            case NoticesChosen():
                return msgspec.structs.replace(self, notices=(event.mailed, event.language))
            case AffiliationDeclared():
                new = Affiliation(event.organization, event.since, event.until, False, event.position)
                return self._with(event.affiliation, new)
            case AffiliationConfirmed():
                old = self.affiliations[event.affiliation]
                return self._with(event.affiliation, replace(old, confirmed=True))
            case AffiliationEnded():
                old = self.affiliations[event.affiliation]
                ended = replace(old, until=event.until, withdrawn=not old.confirmed)
                return self._with(event.affiliation, ended)
            case RoleGranted():
                return msgspec.structs.replace(self, hub_roles=self.hub_roles | {(event.role, event.country or "")})
            case RoleRevoked():
                return msgspec.structs.replace(self, hub_roles=self.hub_roles - {(event.role, event.country or "")})
            case PersonErased():
                return msgspec.structs.replace(self, status="erased", hub_roles=frozenset())
        return self

    def _with(self, id: str, affiliation: Affiliation) -> Self:
        return msgspec.structs.replace(self, affiliations={**self.affiliations, id: affiliation})

    def roles(self, actor: Actor) -> Iterator[Role]:
        """The person themselves, and the officers of the organizations that they name."""
        if self.id == actor.id:
            yield Role.SELF
        if any(each.organization in actor.offices for each in self.affiliations.values()):
            yield Role.OFFICER

    def worked_since(self, day: date) -> frozenset[str]:
        """The organizations where they say that they worked on that day or later, confirmed or not."""
        return frozenset(a.organization for a in self.affiliations.values() if a.lasts(day))

    def works_at(self, organization: str, on: date) -> bool:
        """Whether they name this organization, confirmed or not, as one where they work on that day or later."""
        return organization in self.worked_since(on)

    def confirmed_at(self, organization: str, on: date) -> bool:
        """Whether the organization has confirmed that they work there on that day."""
        return any(
            a.organization == organization and a.confirmed and a.since <= on and a.lasts(on)
            for a in self.affiliations.values()
        )


class OrcidHolder(State, kind=Kind("orcid", claim=True), on=(OrcidLinked, OrcidUnlinked)):
    """Who holds an ORCID iD: one person per iD, and one iD per person."""

    person: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case OrcidLinked():
                return msgspec.structs.replace(self, status="held", person=event.person)
            case OrcidUnlinked():
                return msgspec.structs.replace(self, status="", person="")
        return self


class EmailHolder(State, kind=Kind("email", claim=True), on=(PersonInvited,)):
    """Who was invited under an e-mail address: one person per address."""

    person: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case PersonInvited():
                return msgspec.structs.replace(self, status="held", person=event.person)
        return self


Name = Annotated[
    str,
    Meta(
        min_length=2, max_length=200, title=N_("Full name"), description=N_("As the person writes it, in any script.")
    ),
]
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
MAILABLE = rf"^(?!.*=\?)[\w.!#$%&'*+/=?^`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+$"
"""An address that mail can be sent to, in any script; read as a header it is that address and no other."""
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=MAILABLE,
        title=N_("E-mail"),
        extra_json_schema={"widget": "email", "asked": N_("An address like name@university.tj is asked for.")},
    ),
]
Orcid = Annotated[
    str,
    Meta(
        max_length=40,
        title=N_("ORCID iD"),
        description=N_("Sixteen characters, as in 0000-0002-1825-0097; the address form is accepted too."),
    ),
]
Position = Annotated[str, Meta(min_length=2, max_length=200, title=N_("Position"))]
Since = Annotated[date, Meta(title=N_("Since"))]
Until = Annotated[date, Meta(title=N_("Until"))]


class InvitePerson(Command, on=Person, by=(Role.ANYONE, Role.CENTER_OFFICER)):
    """Invite a person to the hub."""

    name: Name
    email: Email
    language: Annotated[Language, Meta(title=N_("Language of the invitation"))] = "en"

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One person per e-mail address."""
        alias = act.alias("email", self.email.strip().casefold())
        if model.get(EmailHolder, alias).status:
            raise Refusal(Reason.ALREADY_TAKEN, N_("Somebody with this e-mail address is already here."), "email")
        person = act.new("person")
        yield PersonInvited(
            person=person,
            name=act.seal(person, "name", " ".join(self.name.split())),
            email=act.seal(person, "email", self.email.strip()),
            email_alias=alias,
            language=self.language,
        )


class JoinHub(Command, on=Person, by=Role.SELF, while_={"invited", "joined"}):
    """Accept the invitation and join the hub."""

    person: PersonId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Joining twice changes nothing."""
        if model.get(Person, self.person).status == "invited":
            yield PersonJoined(person=self.person)


class LinkOrcid(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Link your ORCID iD."""

    person: PersonId
    orcid: Orcid

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One person per ORCID iD, which another one takes the place of; the check digit is checked."""
        orcid = self.orcid.strip().rstrip("/").rpartition("/")[2].upper()
        if not orcid_is_valid(orcid):
            raise Refusal(
                Reason.INVALID, N_("This is not an ORCID iD: please compare its sixteen characters."), "orcid"
            )
        alias = act.alias("orcid", orcid)
        holder, before = model.get(OrcidHolder, alias), model.get(Person, self.person).orcid
        if holder.person == self.person and before == alias:
            return
        if holder.status and holder.person != self.person:
            raise Refusal(Reason.ALREADY_TAKEN, N_("This ORCID iD is linked to somebody else."), "orcid")
        if before:
            yield OrcidUnlinked(person=self.person, orcid_alias=before)
        yield OrcidLinked(person=self.person, orcid=act.seal(self.person, "orcid", orcid), orcid_alias=alias)


class UnlinkOrcid(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Unlink your ORCID iD."""

    person: PersonId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whose it is may link it then; without one, nothing changes."""
        if linked := model.get(Person, self.person).orcid:
            yield OrcidUnlinked(person=self.person, orcid_alias=linked)


class ChooseNotices(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Choose whether what waits for you is mailed to you, and in which language."""

    person: PersonId
    mailed: Annotated[
        bool,
        Meta(
            title=N_("Mail me what waits for me"),
            description=N_(
                "Where the hub sends mails: what your organization is asked, and what became of your proposal. "
                "Links to sign in come whenever you ask for them."
            ),
        ),
    ]
    language: Annotated[
        Language,
        Meta(
            title=N_("Language of these mails"),
            description=N_("Where the hub does not speak it yet, they come in English and Russian."),
        ),
    ]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Choosing what is chosen already changes nothing."""
        if model.get(Person, self.person).notices != (self.mailed, self.language):
            yield NoticesChosen(person=self.person, mailed=self.mailed, language=self.language)


class DeclareAffiliation(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Say where you work; the organization confirms it."""

    person: PersonId
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]
    position: Position
    since: Since
    until: Until | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The same again changes nothing; one post at a time, and it never ends before it begins."""
        if self.until and self.until < self.since:
            raise Refusal(Reason.INVALID, N_("It cannot end before it begins."), "until")
        if self.since > act.at.date() + AHEAD:
            raise Refusal(Reason.INVALID, N_("At most a year from now."), "since")
        person = model.get(Person, self.person)
        same = Affiliation(self.organization, self.since, self.until, False, self.position)
        if any(replace(each, confirmed=False) == same for each in person.affiliations.values()):
            return
        if self.until is None and person.works_at(self.organization, act.at.date()):
            message = N_("You say already that you work there: end that first, where this is another post.")
            raise Refusal(Reason.ALREADY_TAKEN, message, "organization")
        yield AffiliationDeclared(
            person=self.person,
            affiliation=act.new("affiliation"),
            organization=self.organization,
            position=self.position,
            since=self.since,
            until=self.until,
        )


def _affiliation(model: Model, person: str, affiliation: str) -> Affiliation:
    found = model.get(Person, person).affiliations.get(affiliation)
    if found is None:
        raise Refusal(Reason.NOT_FOUND, N_("This person has no such affiliation."), "affiliation")
    return found


class ConfirmAffiliation(Command, on=Person, by=Role.OFFICER, while_={"joined"}, office="organization"):
    """Confirm, for your organization, that this person works there."""

    person: PersonId
    affiliation: AffiliationId
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only the named organization confirms, and never the person for themselves."""
        found = _affiliation(model, self.person, self.affiliation)
        if found.organization != self.organization:
            raise Refusal(Reason.NOT_FOUND, N_("This person has no such affiliation."), "affiliation")
        if self.person == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Another officer of the organization has to confirm this."))
        if found.withdrawn:
            raise Refusal(Reason.WRONG_STATUS, WITHDRAWN, "affiliation")
        if not found.confirmed:
            yield AffiliationConfirmed(person=self.person, affiliation=self.affiliation, organization=self.organization)


class EndAffiliation(Command, on=Person, by=(Role.SELF, Role.OFFICER), while_={"joined"}, office="organization"):
    """Say when an affiliation ended."""

    person: PersonId
    affiliation: AffiliationId
    organization: Annotated[OrganizationId, Meta(title=N_("Organization"))]
    until: Until

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It never ends before it began. What the organization confirmed, the person ends from today on, and not later
        than it says, and the organization at most a year back: conflicts of interest rest on it. What it has not
        confirmed is taken back by that.
        """
        found = _affiliation(model, self.person, self.affiliation)
        if found.organization != self.organization:
            raise Refusal(Reason.NOT_FOUND, N_("This person has no such affiliation."), "affiliation")
        if self.until < found.since:
            raise Refusal(Reason.INVALID, N_("It cannot end before it begins."), "until")
        if found.until == self.until and (found.confirmed or found.withdrawn):
            return
        today = act.at.date()
        if found.withdrawn:
            raise Refusal(Reason.WRONG_STATUS, WITHDRAWN, "affiliation")
        if not found.confirmed and self.until > today:
            message = N_("It has not been confirmed: it ends today or before, as if it had not been said.")
            raise Refusal(Reason.INVALID, message, "until")
        if found.confirmed and act.actor != self.person and self.until < today - LATE:
            message = N_("It was confirmed: that it ended more than a year ago is not said any more.")
            raise Refusal(Reason.INVALID, message, "until")
        if found.confirmed and act.actor == self.person:
            if found.until is not None and found.until < today:
                message = N_("It has ended: another day can only be said by an officer of the organization.")
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
            if self.until < today:
                message = N_(
                    "The organization has confirmed it: you can end it from today on, its officers also earlier."
                )
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
            if found.until is not None and self.until > found.until:
                message = N_("That it lasts longer can only be said by an officer of the organization.")
                raise Refusal(Reason.OWN_ORGANIZATION, message, "until")
        yield AffiliationEnded(
            person=self.person, affiliation=self.affiliation, organization=self.organization, until=self.until
        )


class GrantRole(Command, on=Person, by=Role.CENTER_OFFICER, while_={"invited", "joined"}):
    """Give a person a role in the whole hub."""

    person: PersonId
    role: Annotated[Literal["center_officer", "auditor", "national_authority"], Meta(title=N_("Role"))]
    country: Country | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A national authority is one of a country; the other roles are not."""
        if (self.role == "national_authority") != (self.country is not None):
            raise Refusal(
                Reason.INVALID, N_("Name a country for a national authority, and for no other role."), "country"
            )
        if (self.role, self.country or "") not in model.get(Person, self.person).hub_roles:
            yield RoleGranted(person=self.person, role=HubRole(self.role), country=self.country)


class RevokeRole(Command, on=Person, by=Role.CENTER_OFFICER, while_={"invited", "joined"}):
    """Take back a role in the whole hub."""

    person: PersonId
    role: Annotated[Literal["center_officer", "auditor", "national_authority"], Meta(title=N_("Role"))]
    country: Country | None = None

    @classmethod
    def idle(cls, record: Person) -> bool:
        """Where somebody has none."""
        return not record.hub_roles

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Revoking what was not granted changes nothing."""
        if (self.role, self.country or "") in model.get(Person, self.person).hub_roles:
            yield RoleRevoked(person=self.person, role=HubRole(self.role), country=self.country)
