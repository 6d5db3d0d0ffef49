"""Organizations: universities, laboratories, data centers, technology parks, ministries and their officers."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from domain.core import (
    HUB,
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
    refuse,
    ror_is_valid,
)
from domain.people import TIES, HubRole, Person

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


NAMES = {"name_ru": "ru", "name_tg": "tg"}
"""The fields in which names in other languages are given, and their languages (BCP 47)."""


def names_of(name_ru: str | None, name_tg: str | None) -> dict[str, str]:
    """Those that were given, by language."""
    return {language: name for language, name in (("ru", name_ru), ("tg", name_tg)) if name}


class OrganizationRegistered(Event):
    """An organization was registered by hand; ``by`` is who described it, where a person did."""

    organization: OrganizationId
    name: str
    names: dict[str, str]
    kind: OrganizationKind
    place: Place
    website: str | None = None
    ror: RorId | None = None
    by: PersonId | None = None


class OrganizationImported(Event):
    """An organization was taken from ROR, or its record there had changed; ``aliases`` are its further names there."""

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
    aliases: tuple[str, ...] = ()


class OrganizationAmended(Event):
    """What is said of the organization was changed; what is null stayed as it was. ``by`` is who said so."""

    organization: OrganizationId
    reason: str
    name: str | None = None
    name_ru: str | None = None
    name_tg: str | None = None
    kind: OrganizationKind | None = None
    city: str | None = None
    country: str | None = None
    website: str | None = None
    by: PersonId | None = None


class OrganizationVerified(Event):
    """The organization was verified: it is what it says."""

    organization: OrganizationId


class OrganizationSuspended(Event):
    """Nothing may be done in its name until it is verified again."""

    organization: OrganizationId
    reason: str


class OrganizationClosed(Event):
    """The organization no longer exists; ``by_ror`` is whether ROR said so, by listing it as active no more."""

    organization: OrganizationId
    reason: str
    by_ror: bool = False


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
        OrganizationAmended,
        OrganizationVerified,
        OrganizationSuspended,
        OrganizationClosed,
        OfficerAppointed,
        OfficerDismissed,
        SignatoryAuthorized,
        SignatoryRevoked,
    ),
    changed_by=(OrganizationImported, OrganizationAmended),
):
    """``registered → verified → suspended → closed``.

    ``given`` are the names that were given here, by language, ``given_website`` the website: what ROR may lack.
    ``described_by`` are those who said what it is since it was verified last, until ROR vouches for it.
    ``closed_by_ror`` says that ROR, and nobody here, closed it: ROR may list it again.
    """

    name: str = ""
    given: dict[str, str] = {}
    of_kind: str = ""
    city: str = ""
    website: str | None = None
    given_website: str | None = None
    country: str = ""
    ror: str = ""
    record: OrganizationImported | None = None
    described_by: frozenset[str] = frozenset()
    closed_by_ror: bool = False
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
                    name=event.name,
                    given=event.names,
                    of_kind=event.kind,
                    city=event.place.city,
                    website=event.website,
                    given_website=event.website,
                    country=event.place.country,
                    ror=event.ror or "",
                    described_by=frozenset({event.by} if event.by else ()),
                )
            case OrganizationImported():
                return msgspec.structs.replace(
                    self,
                    id=event.organization,
                    status=self.status if self.status not in ("", "closed") else "registered",
                    name=event.name,
                    of_kind=event.kind,
                    city=event.place.city,
                    website=event.website or self.given_website,
                    country=event.place.country,
                    ror=event.ror,
                    record=event,
                    described_by=frozenset(),
                )
            case OrganizationAmended():
                return msgspec.structs.replace(
                    self,
                    name=event.name or self.name,
                    given=self.given | names_of(event.name_ru, event.name_tg),
                    of_kind=event.kind or self.of_kind,
                    city=event.city or self.city,
                    country=event.country or self.country,
                    website=event.website or self.website,
                    given_website=event.website or self.given_website,
                    described_by=self.described_by | ({event.by} if event.by and self.record is None else set()),
                )
            case OrganizationVerified():
                return msgspec.structs.replace(self, status="verified", described_by=frozenset())
            case OrganizationSuspended():
                return msgspec.structs.replace(self, status="suspended")
            case OrganizationClosed():
                return msgspec.structs.replace(self, status="closed", closed_by_ror=event.by_ror)
            case OfficerAppointed():
                return msgspec.structs.replace(self, officers=self.officers | {event.person})
            case OfficerDismissed():
                return msgspec.structs.replace(self, officers=self.officers - {event.person})
            case SignatoryAuthorized():
                return msgspec.structs.replace(self, signatories=self.signatories | {event.person})
            case SignatoryRevoked():
                return msgspec.structs.replace(self, signatories=self.signatories - {event.person})
        return self

    def says(self) -> dict[str, str | None]:
        """What may be amended, as it is now."""
        names = self.given | (self.record.names if self.record else {})
        known = {
            "name": self.name,
            "kind": self.of_kind,
            "city": self.city,
            "country": self.country,
            "website": self.website,
        }
        return known | {field: names.get(language) for field, language in NAMES.items()}

    def at_ror(self, field: str) -> bool:
        """Whether ROR says this of it, and not we."""
        if self.record is None:
            return False
        if field == "website":
            return self.record.website is not None
        return field not in NAMES or NAMES[field] in self.record.names

    def roles(self, actor: Actor) -> Iterator[Role]:
        """Its officers, and the authority of its country."""
        if self.id in actor.offices:
            yield Role.OFFICER
        if self.country in actor.authority_of:
            yield Role.AUTHORITY


class Offices(
    State, kind=Kind("person"), on=(OfficerAppointed, OfficerDismissed, SignatoryAuthorized, SignatoryRevoked)
):
    """The organizations that a person acts for, has ever acted for, and may sign for."""

    organizations: frozenset[str] = frozenset()
    ever: frozenset[str] = frozenset()
    signs: frozenset[str] = frozenset()

    def evolve(self, event: Event) -> Self:
        """The offices after the event."""
        match event:
            case OfficerAppointed():
                now, ever = self.organizations | {event.organization}, self.ever | {event.organization}
                return msgspec.structs.replace(self, organizations=now, ever=ever)
            case OfficerDismissed():
                return msgspec.structs.replace(self, organizations=self.organizations - {event.organization})
            case SignatoryAuthorized():
                return msgspec.structs.replace(self, signs=self.signs | {event.organization})
            case SignatoryRevoked():
                return msgspec.structs.replace(self, signs=self.signs - {event.organization})
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


Name = Annotated[str, Meta(min_length=3, max_length=300, title=N_("Name of the organization"))]
NameRu = Annotated[str, Meta(min_length=3, max_length=300, title=N_("Name in Russian"))]
NameTg = Annotated[str, Meta(min_length=3, max_length=300, title=N_("Name in Tajik"))]
OfKind = Annotated[OrganizationKind, Meta(title=N_("Kind"))]
City = Annotated[str, Meta(min_length=1, max_length=100, title=N_("City"))]


class RegisterOrganization(Command, on=Organization, by=(Role.ANYONE, Role.CENTER_OFFICER)):
    """Register an organization that is not here yet."""

    name: Name
    kind: OfKind
    city: City
    country: Country
    name_ru: NameRu | None = None
    name_tg: NameTg | None = None
    website: Website | None = None
    ror: Ror | None = None

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Refusal]:
        """Its ROR id has to be one."""
        if given.get("ror") and not ror_is_valid(_ror(given["ror"])):
            yield Refusal(Reason.INVALID, N_("This is not a ROR id: please compare its nine characters."), "ror")

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One organization per ROR id; the check digits are checked."""
        refuse(self.unfit({"ror": self.ror}))
        ror = _ror(self.ror) if self.ror else None
        if ror and model.get(RorHolder, ror).status:
            raise Refusal(Reason.ALREADY_TAKEN, N_("An organization with this ROR id is already here."), "ror")
        yield OrganizationRegistered(
            organization=act.new("organization"),
            name=self.name,
            names=names_of(self.name_ru, self.name_tg),
            kind=self.kind,
            place=Place(city=self.city, country=self.country),
            website=self.website,
            ror=ror,
            by=act.actor if act.actor != HUB else None,
        )


def _ror(typed: str) -> str:
    # Also where its address was given.
    return typed.strip().rstrip("/").rpartition("/")[2].lower()


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
    aliases: tuple[str, ...] = ()

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """An unchanged record records nothing; one that ROR no longer lists as active closes the organization.

        What somebody here closed stays closed, whatever ROR says.
        """
        if not ror_is_valid(self.ror):
            raise Refusal(Reason.INVALID, N_("This is not a ROR id: please compare its nine characters."), "ror")
        holder = model.get(RorHolder, self.ror)
        id = holder.organization or act.new("organization")
        known = model.get(Organization, id) if holder.status else Organization()
        if not self.active and not holder.status:
            return
        if known.status == "closed" and not known.closed_by_ror:
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
            aliases=self.aliases,
        )
        if self.active and (known.record != imported or known.status == "closed"):
            yield imported
        if not self.active and known.status != "closed":
            yield OrganizationClosed(organization=id, reason="ROR no longer lists it as active", by_ror=True)


class VerifyOrganization(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.AUTHORITY), while_={"registered", "verified", "suspended"}
):
    """Confirm that this organization is what it says it is."""

    organization: OrganizationId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A verifier never verifies their own organization, nor what they said of one themselves."""
        organization = model.get(Organization, self.organization)
        if organization.status == "verified":
            return
        if _is_own(model, act, organization):
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody from outside this organization has to verify it."))
        if act.actor in organization.described_by:
            message = N_("You said yourself what this organization is: somebody else has to verify it.")
            raise Refusal(Reason.OWN_ORGANIZATION, message)
        yield OrganizationVerified(organization=self.organization)


def ties(model: Model, act: Act) -> frozenset[str]:
    """The organizations over which the actor has no say: all that they ever acted for, and where they worked within
    three years. Neither an office laid down nor a post left makes somebody an outsider the next day.
    """
    worked = model.get(Person, act.actor).worked_since((act.at - TIES).date())
    return model.get(Offices, act.actor).ever | worked


def _is_own(model: Model, act: Act, organization: Organization) -> bool:
    return organization.id in ties(model, act)


class AmendOrganization(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.AUTHORITY), while_={"registered", "verified", "suspended"}
):
    """Correct what is said of this organization, or name it in another language. What ROR says is corrected at ROR."""

    organization: OrganizationId
    reason: Reason_
    name: Name | None = None
    name_ru: NameRu | None = None
    name_tg: NameTg | None = None
    kind: OfKind | None = None
    city: City | None = None
    country: Country | None = None
    website: Website | None = None

    @classmethod
    def bar(cls, record: Organization, model: Model, act: Act) -> None:
        """From outside it, as for verifying."""
        if _is_own(model, act, record):
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody from outside this organization has to change this."))

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Somebody from outside it does so, as for verifying. What ROR says is corrected there."""
        organization = model.get(Organization, self.organization)
        given = ((field, getattr(self, field), known) for field, known in organization.says().items())
        changed = {field: value for field, value, known in given if value not in (None, known)}
        refuse(each for each in self.fixed(organization, model, act) if each.field in changed)
        if changed:
            by = act.actor if act.actor != HUB else None
            yield OrganizationAmended(organization=self.organization, reason=self.reason, by=by, **changed)

    @classmethod
    def fixed(cls, record: Organization, model: Model, act: Act) -> Iterator[Refusal]:
        """What ROR says; and no authority moves an organization into another country, or out of its own."""
        if not (record.at_ror("country") or (HubRole.CENTER_OFFICER, "") in model.get(Person, act.actor).hub_roles):
            message = N_("Only an officer of the Center corrects the country.")
            yield Refusal(Reason.NOT_PERMITTED, message, "country")
        for field in record.says():
            if record.at_ror(field):
                message = N_(
                    "ROR says this: correct it there, at https://ror.org/%(ror)s, and the next import brings it here."
                )
                yield Refusal(Reason.NOT_PERMITTED, message, field, ror=record.ror)


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
        """Only somebody who has joined, and appointed by somebody else."""
        if model.get(Person, self.person).status != "joined":
            raise Refusal(Reason.NOT_FOUND, N_("This person has not joined the hub yet."), "person")
        if self.person in model.get(Organization, self.organization).officers:
            return
        if self.person == act.actor:
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody else has to appoint you."), "person")
        yield OfficerAppointed(organization=self.organization, person=self.person)


class DismissOfficer(
    Command,
    on=Organization,
    by=(Role.CENTER_OFFICER, Role.OFFICER),
    while_={"registered", "verified", "suspended", "closed"},
):
    """End a person's acting for this organization."""

    organization: OrganizationId
    person: Annotated[PersonId, Meta(title=N_("Person"))]

    @classmethod
    def idle(cls, record: Organization) -> bool:
        """Where nobody acts for it."""
        return not record.officers

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

    @classmethod
    def idle(cls, record: Organization) -> bool:
        """Where nobody signs."""
        return not record.signatories

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Revoking what was not authorized changes nothing."""
        if self.person in model.get(Organization, self.organization).signatories:
            yield SignatoryRevoked(organization=self.organization, person=self.person)
