"""What may be done about an organization."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from msgspec import Meta

from domain.core import (
    N_,
    Act,
    Actor,
    Command,
    Country,
    Event,
    Model,
    OrganizationId,
    Reason,
    ReasonText,
    Refusal,
    Role,
    StartedFrom,
    Title,
    bare_ror,
    changed,
    giver,
    refuse,
    refuse_unseen,
    ror_is_valid,
)
from domain.organizations.events import (
    OrganizationAmended,
    OrganizationClosed,
    OrganizationImported,
    OrganizationKind,
    OrganizationRegistered,
    OrganizationSuspended,
    OrganizationVerified,
    Place,
    names_of,
)
from domain.organizations.state import Organization, RorHolder, ties
from domain.people.state import of_the_center

Website = Annotated[
    str,
    Meta(
        max_length=500,
        pattern=r"^https?://[^\s/?#@]*[^\s/?#@.]\.[^\s/?#@.][^\s/?#@]*([/?#]\S*)?$",
        title=N_("Website"),
        description=N_("As in https://university.tj."),
        extra_json_schema={"format": "address", "asked": N_("An address like https://university.tj is asked for.")},
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
        if given.get("ror") and not ror_is_valid(bare_ror(given["ror"])):
            yield Refusal(Reason.INVALID, N_("This is not a ROR id: please compare its nine characters."), "ror")

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One organization per ROR id, whose check digits are checked."""
        refuse(self.unfit({"ror": self.ror}))
        ror = bare_ror(self.ror) if self.ror else None
        if ror and model.get(RorHolder, ror).status:
            raise Refusal(Reason.ALREADY_TAKEN, N_("An organization with this ROR id is already here."), "ror")
        yield OrganizationRegistered(
            organization=act.new("organization"),
            name=self.name,
            names=names_of(self),
            kind=self.kind,
            place=Place(city=self.city, country=self.country),
            website=self.website,
            ror=ror,
            by=giver(act),
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
    Command,
    on=Organization,
    by=(Role.CENTER_OFFICER, Role.AUTHORITY),
    while_={"registered", "suspended"},
    done="verified",
):
    """Confirm that this organization is what it says it is."""

    organization: OrganizationId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Nobody verifies their own organization, nor one that they described themselves."""
        organization = model.get(Organization, self.organization)
        if _is_own(model, act, organization):
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody from outside this organization has to verify it."))
        if act.actor in organization.described_by:
            message = N_("You entered what is said of this organization: somebody else has to verify it.")
            raise Refusal(Reason.OWN_ORGANIZATION, message)
        yield OrganizationVerified(organization=self.organization)


def _is_own(model: Model, act: Act, organization: Organization) -> bool:
    return organization.id in ties(model, act)


class AmendOrganization(
    Command, on=Organization, by=(Role.CENTER_OFFICER, Role.AUTHORITY), while_={"registered", "verified", "suspended"}
):
    """Correct what is said of this organization, or name it in another language. What ROR says is corrected at ROR."""

    organization: OrganizationId
    reason: ReasonText
    name: Name | None = None
    name_ru: NameRu | None = None
    name_tg: NameTg | None = None
    kind: OfKind | None = None
    city: City | None = None
    country: Country | None = None
    website: Website | None = None
    revision: StartedFrom | None = None

    @classmethod
    def bar(cls, record: Organization, model: Model, act: Act) -> None:
        """From outside it, as for verifying."""
        if _is_own(model, act, record):
            raise Refusal(Reason.OWN_ORGANIZATION, N_("Somebody from outside this organization has to change this."))

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only from outside it, as for verifying. Nobody writes over an unseen change."""
        organization = model.get(Organization, self.organization)
        if new := changed(self, organization):
            refuse_unseen(self.revision, organization.revision)
            refuse(each for each in self.fixed(organization, model, act) if each.field in new)
            yield OrganizationAmended(organization=self.organization, reason=self.reason, by=giver(act), **new)

    @classmethod
    def fixed(cls, record: Organization, model: Model, act: Act) -> Iterator[Refusal]:
        """What ROR says; and no authority moves an organization into another country, or out of its own."""
        if not (record.at_ror("country") or of_the_center(model, act)):
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
    reason: ReasonText

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Its officers keep their office, but can do nothing with it."""
        yield OrganizationSuspended(organization=self.organization, reason=self.reason)


class CloseOrganization(
    Command,
    on=Organization,
    by=(Role.CENTER_OFFICER, Role.AUTHORITY),
    while_={"registered", "verified", "suspended", "closed"},
    final=True,
):
    """Record that this organization no longer exists, or never did: it was registered twice, or by mistake."""

    organization: OrganizationId
    reason: ReasonText
    mistaken: Annotated[
        bool,
        Meta(
            title=N_("It was registered by mistake"), description=N_("Its ROR id is then free to be registered again.")
        ),
    ] = False

    @classmethod
    def idle(cls, record: Organization, by: Actor) -> bool:
        """Where it is closed, and has no ROR id that it could give back."""
        return record.status == "closed" and (record.from_ror or not record.ror)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Its history stays. What is closed is closed once more only to give its id of ROR back."""
        organization = model.get(Organization, self.organization)
        if self.mistaken and organization.from_ror:
            message = N_("It came here from ROR, with its id: what is wrong is corrected there.")
            raise Refusal(Reason.INVALID, message, "mistaken")
        ror = organization.ror if self.mistaken else ""
        if organization.status == "closed" and (organization.from_ror or not organization.ror):
            raise Refusal(Reason.WRONG_STATUS, N_("It is closed already."))
        if organization.status == "closed" and not self.mistaken:
            message = N_("It is closed already: what is left to say is that it was registered by mistake.")
            raise Refusal(Reason.WRONG_STATUS, message, "mistaken")
        yield OrganizationClosed(organization=self.organization, reason=self.reason, ror=ror or None)
