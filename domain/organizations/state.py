"""An organization, as decisions see it, the offices that a person holds, and who holds a ROR id."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Self

import msgspec

from domain.core import HUB, Act, Actor, Event, Kind, Model, Offices, Role, State
from domain.organizations.events import (
    NAMES,
    OfficerAppointed,
    OfficerDismissed,
    OrganizationAmended,
    OrganizationClosed,
    OrganizationImported,
    OrganizationRegistered,
    OrganizationSuspended,
    OrganizationVerified,
    SignatoryAuthorized,
    SignatoryRevoked,
    names_of,
)
from domain.people.state import Person


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
    ``from_ror`` is one that began by an import: that it has its ROR id is nobody's mistake here.
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
    from_ror: bool = False
    officers: frozenset[str] = frozenset()
    signatories: frozenset[str] = frozenset()
    revision: int = 0

    def evolve(self, event: Event) -> Self:
        """This organization after the event."""
        match event:
            case OrganizationRegistered():
                return msgspec.structs.replace(
                    self,
                    id=event.organization,
                    status=event.becomes,
                    name=event.name,
                    given=event.names,
                    of_kind=event.kind,
                    city=event.place.city,
                    website=event.website,
                    given_website=event.website,
                    country=event.place.country,
                    ror=event.ror or "",
                    described_by=frozenset({event.by} if event.by else ()),
                    revision=1,
                )
            case OrganizationImported():
                return msgspec.structs.replace(
                    self,
                    id=event.organization,
                    status=self.status if self.status not in ("", "closed") else event.becomes,
                    name=event.name,
                    of_kind=event.kind,
                    city=event.place.city,
                    website=event.website or self.given_website,
                    country=event.place.country,
                    ror=event.ror,
                    record=event,
                    from_ror=self.from_ror or not self.status,
                    described_by=frozenset(),
                    revision=self.revision + 1,
                )
            case OrganizationAmended():
                return msgspec.structs.replace(
                    self,
                    name=event.name or self.name,
                    given=self.given | names_of(event),
                    of_kind=event.kind or self.of_kind,
                    city=event.city or self.city,
                    country=event.country or self.country,
                    website=event.website or self.website,
                    given_website=event.website or self.given_website,
                    described_by=self.described_by | ({event.by} if event.by and self.record is None else set()),
                    revision=self.revision + 1,
                )
            case OrganizationVerified():
                return msgspec.structs.replace(self, status=event.becomes, described_by=frozenset())
            case OrganizationSuspended():
                return msgspec.structs.replace(self, status=event.becomes)
            case OrganizationClosed():
                ror = "" if event.ror else self.ror
                return msgspec.structs.replace(self, status=event.becomes, closed_by_ror=event.by_ror, ror=ror)
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


class OrganizationOffices(
    Offices, kind=Kind("person"), on=(OfficerAppointed, OfficerDismissed, SignatoryAuthorized, SignatoryRevoked)
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

    def held(self, model: Model, person: str) -> frozenset[str]:
        """Those of the organizations that are verified."""
        return frozenset(each for each in self.organizations if model.get(Organization, each).status == "verified")


class RorHolder(
    State, kind=Kind("ror", claim=True), on=(OrganizationRegistered, OrganizationImported, OrganizationClosed)
):
    """Which organization holds a ROR id: one organization per id, until it gives it back."""

    organization: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case OrganizationRegistered() | OrganizationImported():
                return msgspec.structs.replace(self, status="held", organization=event.organization)
            case OrganizationClosed():
                return msgspec.structs.replace(self, status="", organization="")
        return self


def belongs(model: Model, act: Act, organization: str) -> bool:
    """Whether the actor acts for an organization now, or says that they work there; the hub does everywhere."""
    if act.actor == HUB or act.actor in model.get(Organization, organization).officers:
        return True
    return model.get(Person, act.actor).works_at(organization, act.at.date())


_TIED = timedelta(days=3 * 365 + 1)


def tied_since(at: datetime) -> date:
    """Whoever worked somewhere on this day or later has a tie to it still: three years. Reviewers have those of their
    call.
    """
    return (at - _TIED).date()


def ties(model: Model, act: Act) -> frozenset[str]:
    """The organizations over which the actor has no say: all that they ever acted for, and where they worked within
    three years. Neither an office laid down nor a post left makes somebody an outsider the next day.
    """
    worked = model.get(Person, act.actor).worked_since(tied_since(act.at))
    return model.get(OrganizationOffices, act.actor).ever | worked
