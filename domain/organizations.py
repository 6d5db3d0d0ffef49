"""Organizations: universities, laboratories, data centers, technology parks, ministries and their officers."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from domain.core import (
    N_,
    Act,
    Actor,
    Command,
    Country,
    Event,
    Kind,
    Model,
    OrganizationId,
    PersonId,
    Reason,
    Reason_,
    Refusal,
    Role,
    RorId,
    State,
    Title,
    ror_is_valid,
)
from domain.people import Person

OrganizationKind = Literal[
    "university",
    "laboratory",
    "data_center",
    "technology_park",
    "company",
    "ministry",
    "international_organization",
    "center",
    "hospital",
    "archive",
    "nonprofit",
    "funder",
    "other",
]


class Place(msgspec.Struct, frozen=True):
    """Where an organization is; WGS 84 degrees."""

    city: str
    country: str
    latitude: float | None = None
    longitude: float | None = None


class OrganizationRegistered(Event):
    """An organization was registered by hand."""

    organization: OrganizationId
    name: str
    names: dict[str, str]
    kind: OrganizationKind
    place: Place
    website: str | None = None
    ror: RorId | None = None


class OrganizationImported(Event):
    """An organization was taken from ROR, or its record there had changed."""

    organization: OrganizationId
    name: str
    names: dict[str, str]
    kind: OrganizationKind
    place: Place
    ror: RorId
    website: str | None = None
    domains: tuple[str, ...] = ()
    established: int | None = None
    modified: str = ""


class OrganizationVerified(Event):
    """The organization was verified: it is what it says."""

    organization: OrganizationId


class OrganizationSuspended(Event):
    """Nothing may be done in its name until it is verified again."""

    organization: OrganizationId
    reason: str


class OrganizationClosed(Event):
    """The organization no longer exists."""

    organization: OrganizationId
    reason: str


class OfficerAppointed(Event):
    """A person may act for the organization."""

    organization: OrganizationId
    person: PersonId


class OfficerDismissed(Event):
    """A person no longer acts for the organization."""

    organization: OrganizationId
    person: PersonId


class SignatoryAuthorized(Event):
    """A person may sign for the organization."""

    organization: OrganizationId
    person: PersonId


class SignatoryRevoked(Event):
    """A person may no longer sign for the organization."""

    organization: OrganizationId
    person: PersonId


class Organization(
    State,
    kind=Kind("organization"),
    on=(
        OrganizationRegistered,
        OrganizationImported,
        OrganizationVerified,
        OrganizationSuspended,
        OrganizationClosed,
        OfficerAppointed,
        OfficerDismissed,
        SignatoryAuthorized,
        SignatoryRevoked,
    ),
):
    """``registered → verified → suspended → closed``."""

    country: str = ""
    ror: str = ""
    record: OrganizationImported | None = None
    officers: frozenset[str] = frozenset()
    signatories: frozenset[str] = frozenset()

    def evolve(self, event: Event) -> Self:
        """This organization after the event."""
        match event:
            case OrganizationRegistered():
                return msgspec.structs.replace(
                    self,
                    id=event.organization,
                    status="registered",
                    country=event.place.country,
                    ror=event.ror or "",
                )
            case OrganizationImported():
                return msgspec.structs.replace(
                    self,
                    id=event.organization,
                    status=self.status if self.status not in ("", "closed") else "registered",
                    country=event.place.country,
                    ror=event.ror,
                    record=event,
                )
            case OrganizationVerified():
                return msgspec.structs.replace(self, status="verified")
            case OrganizationSuspended():
                return msgspec.structs.replace(self, status="suspended")
            case OrganizationClosed():
                return msgspec.structs.replace(self, status="closed")
            case OfficerAppointed():
                return msgspec.structs.replace(self, officers=self.officers | {event.person})
            case OfficerDismissed():
                return msgspec.structs.replace(self, officers=self.officers - {event.person})
            case SignatoryAuthorized():
                return msgspec.structs.replace(self, signatories=self.signatories | {event.person})
            case SignatoryRevoked():
                return msgspec.structs.replace(self, signatories=self.signatories - {event.person})
        return self

    def roles(self, actor: Actor) -> Iterator[Role]:
        """Its officers, and the authority of its country."""
        if self.id in actor.offices:
            yield Role.OFFICER
        if self.country in actor.authority_of:
            yield Role.AUTHORITY


class Offices(State, kind=Kind("person"), on=(OfficerAppointed, OfficerDismissed)):
    """The organizations that a person acts for."""

    organizations: frozenset[str] = frozenset()

    def evolve(self, event: Event) -> Self:
        """The offices after the event."""
        match event:
            case OfficerAppointed():
                return msgspec.structs.replace(self, organizations=self.organizations | {event.organization})
            case OfficerDismissed():
                return msgspec.structs.replace(self, organizations=self.organizations - {event.organization})
        return self


class RorHolder(State, kind=Kind("ror", claim=True), on=(OrganizationRegistered, OrganizationImported)):
    """Which organization holds a ROR id: one organization per id."""

    organization: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case OrganizationRegistered() | OrganizationImported():
                return msgspec.structs.replace(self, status="held", organization=event.organization)
        return self


Website = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=r"^https?://\S+$",
        title=N_("Website"),
        description=N_("Begins with https:// or http://."),
        extra_json_schema={"asked": N_("An address like https://university.tj is asked for.")},
    ),
]
Ror = Annotated[
    str, Meta(max_length=40, title=N_("ROR id"), description=N_("If it has one; the address form is accepted too."))
]


class RegisterOrganization(Command, on=Organization, by=(Role.ANYONE, Role.CENTER_OFFICER)):
    """Register an organization that is not here yet."""

    name: Annotated[str, Meta(min_length=3, max_length=300, title=N_("Name of the organization"))]
    kind: Annotated[OrganizationKind, Meta(title=N_("Kind"))]
    city: Annotated[str, Meta(min_length=1, max_length=100, title=N_("City"))]
    country: Country
    name_ru: Annotated[str, Meta(max_length=300, title=N_("Name in Russian"))] | None = None
    name_tg: Annotated[str, Meta(max_length=300, title=N_("Name in Tajik"))] | None = None
    website: Website | None = None
    ror: Ror | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One organization per ROR id; the check digits are checked."""
        ror = None
        if self.ror:
            ror = self.ror.strip().rstrip("/").rpartition("/")[2].lower()
            if not ror_is_valid(ror):
                raise Refusal(Reason.INVALID, N_("This is not a ROR id: please compare its nine characters."), "ror")
            if model.get(RorHolder, ror).status:
                raise Refusal(Reason.ALREADY_TAKEN, N_("An organization with this ROR id is already here."), "ror")
        names = {lang: name for lang, name in (("ru", self.name_ru), ("tg", self.name_tg)) if name}
        yield OrganizationRegistered(
            organization=act.new("organization"),
            name=self.name,
            names=names,
            kind=self.kind,
            place=Place(city=self.city, country=self.country),
            website=self.website,
            ror=ror,
        )


class ImportOrganization(Command, on=Organization, by=Role.HUB):
    """Take an organization from ROR as it stands there now."""

    ror: str
    name: Title
    names: dict[str, str]
    kind: OrganizationKind
    city: str
    country: Country
    active: bool = True
    latitude: float | None = None
    longitude: float | None = None
    website: str | None = None
    domains: tuple[str, ...] = ()
    established: int | None = None
    modified: str = ""

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """An unchanged record records nothing; one that ROR no longer lists as active closes the organization."""
        if not ror_is_valid(self.ror):
            raise Refusal(Reason.INVALID, N_("This is not a ROR id: please compare its nine characters."), "ror")
        holder = model.get(RorHolder, self.ror)
        id = holder.organization or act.new("organization")
        known = model.get(Organization, id) if holder.status else Organization()
        if not self.active and not holder.status:
            return
        imported = OrganizationImported(
            organization=id,
            name=self.name,
            names=self.names,
            kind=self.kind,
            place=Place(self.city, self.country, self.latitude, self.longitude),
            ror=self.ror,
            website=self.website,
            domains=self.domains,
            established=self.established,
            modified=self.modified,
        )
        if self.active and (known.record != imported or known.status == "closed"):
            yield imported
        if not self.active and known.status != "closed":
            yield OrganizationClosed(organization=id, reason="ROR no longer lists it as active")


class VerifyOrganization(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.AUTHORITY), while_={"registered", "verified", "suspended"}
):
    """Confirm that this organization is what it says it is."""

    organization: OrganizationId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A verifier never verifies their own organization."""
        organization = model.get(Organization, self.organization)
        if organization.status == "verified":
            return
        if act.actor in organization.officers or model.get(Person, act.actor).works_at(
            self.organization, act.at.date()
        ):
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody from outside this organization has to verify it."))
        yield OrganizationVerified(organization=self.organization)


class SuspendOrganization(Command, on=Organization, by=(Role.CENTER_OFFICER, Role.AUTHORITY), while_={"verified"}):
    """Stop all activity in this organization's name."""

    organization: OrganizationId
    reason: Reason_

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Its officers keep their office but can do nothing by it."""
        yield OrganizationSuspended(organization=self.organization, reason=self.reason)


class CloseOrganization(
    Command,
    on=Organization,
    by=(Role.CENTER_OFFICER, Role.AUTHORITY),
    while_={"registered", "verified", "suspended"},
    final=True,
):
    """Record that this organization no longer exists."""

    organization: OrganizationId
    reason: Reason_

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Its history stays."""
        yield OrganizationClosed(organization=self.organization, reason=self.reason)


class AppointOfficer(Command, on=Organization, by=(Role.CENTER_OFFICER, Role.OFFICER), while_={"verified"}):
    """Let a person act for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only somebody who has joined."""
        if model.get(Person, self.person).status != "joined":
            raise Refusal(Reason.NOT_FOUND, N_("This person has not joined the hub yet."), "person")
        if self.person not in model.get(Organization, self.organization).officers:
            yield OfficerAppointed(organization=self.organization, person=self.person)


class DismissOfficer(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.OFFICER), while_={"verified", "suspended", "closed"}
):
    """End a person's acting for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Dismissing who is no officer changes nothing."""
        if self.person in model.get(Organization, self.organization).officers:
            yield OfficerDismissed(organization=self.organization, person=self.person)


class AuthorizeSignatory(Command, on=Organization, by=Role.OFFICER, while_={"verified"}):
    """Let a person sign agreements for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only somebody who has joined, and authorized by somebody else."""
        if self.person == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Another officer has to authorize you."), "person")
        if model.get(Person, self.person).status != "joined":
            raise Refusal(Reason.NOT_FOUND, N_("This person has not joined the hub yet."), "person")
        if self.person not in model.get(Organization, self.organization).signatories:
            yield SignatoryAuthorized(organization=self.organization, person=self.person)


class RevokeSignatory(Command, on=Organization, by=(Role.CENTER_OFFICER, Role.OFFICER)):
    """End a person's signing for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Revoking what was not authorized changes nothing."""
        if self.person in model.get(Organization, self.organization).signatories:
            yield SignatoryRevoked(organization=self.organization, person=self.person)
