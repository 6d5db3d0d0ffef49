"""What happens to organizations and their officers."""

from typing import Any, Literal

import msgspec

from domain.core import Event, OrganizationId, PersonId, RorId

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


def names_of(said: Any) -> dict[str, str]:
    """Those that a command or an event gives, by language."""
    return {language: name for field, language in NAMES.items() if (name := getattr(said, field))}


class OrganizationRegistered(Event, becomes="registered"):
    """An organization was registered by hand; ``by`` is who described it, where a person did."""

    organization: OrganizationId
    name: str
    names: dict[str, str]
    kind: OrganizationKind
    place: Place
    website: str | None = None
    ror: RorId | None = None
    by: PersonId | None = None


class OrganizationImported(Event, becomes="registered"):
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
    """The organization's details were changed; what is null stayed as it was. ``by`` is who said so."""

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


class OrganizationVerified(Event, becomes="verified"):
    """The organization was verified: it is what it says."""

    organization: OrganizationId


class OrganizationSuspended(Event, becomes="suspended"):
    """The organization was suspended: nothing is done in its name until it is verified again."""

    organization: OrganizationId
    reason: str


class OrganizationClosed(Event, becomes="closed"):
    """The organization no longer exists; ``by_ror``: ROR said so. A mistaken registration gives back its ``ror`` id."""

    organization: OrganizationId
    reason: str
    by_ror: bool = False
    ror: RorId | None = None


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
