"""Organizations as people read them, and who acts for them."""

from datetime import datetime
from functools import cache, lru_cache

import msgspec
from msgspec.structs import replace
from pyuca import Collator

from domain.core import OrganizationId, PersonId
from domain.organizations import (
    OfficerAppointed,
    OfficerDismissed,
    OrganizationClosed,
    OrganizationImported,
    OrganizationRegistered,
    OrganizationSuspended,
    OrganizationVerified,
    SignatoryAuthorized,
    SignatoryRevoked,
)
from projections.core import CENTER, PUBLIC, Row, office

_collator = cache(Collator)


class Name(msgspec.Struct, frozen=True):
    """A name in a language (BCP 47)."""

    language: str
    text: str


class OrganizationRow(
    Row,
    table="organization",
    search=("name", "other_names"),
    fuzzy=("name", "other_names"),
    index=("country", "status", "kind", "sort_en", "sort_ru", "sort_tg"),
):
    """An organization; everybody may read it.

    ``sort_ru`` orders organizations by the names that readers of Russian see, by Unicode's collation.
    """

    id: OrganizationId
    name: str
    other_names: str
    names: tuple[Name, ...]
    sort_en: str
    sort_ru: str
    sort_tg: str
    kind: str
    status: str
    city: str
    country: str
    latitude: float | None
    longitude: float | None
    website: str | None
    ror: str | None
    registered_at: datetime
    acting: int = 0
    represented: bool = False
    readers: tuple[str, ...] = (PUBLIC,)


@lru_cache(3)
def _sort(name: str) -> str:
    return "".join(f"{weight:04x}" for weight in _collator().sort_key(name))


def _row(e: OrganizationRegistered | OrganizationImported, at: datetime, status: str) -> OrganizationRow:
    return OrganizationRow(
        id=e.organization,
        name=e.name,
        other_names=" ".join(dict.fromkeys(e.names.values())),
        names=tuple(Name(language, text) for language, text in sorted(e.names.items())),
        sort_en=_sort(e.names.get("en", e.name)),
        sort_ru=_sort(e.names.get("ru", e.name)),
        sort_tg=_sort(e.names.get("tg", e.name)),
        kind=e.kind,
        status=status,
        city=e.place.city,
        country=e.place.country,
        latitude=e.place.latitude,
        longitude=e.place.longitude,
        website=e.website,
        ror=e.ror,
        registered_at=at,
    )


@OrganizationRow.on(OrganizationRegistered)
def registered(e: OrganizationRegistered, at: datetime) -> OrganizationRow:
    """It begins unverified."""
    return _row(e, at, "registered")


@OrganizationRow.on(OrganizationImported)
def imported(row: OrganizationRow | None, e: OrganizationImported, at: datetime) -> OrganizationRow:
    """A changed record keeps its status, unless the organization had been closed."""
    if row is None:
        return _row(e, at, "registered")
    again = _row(e, row.registered_at, "registered" if row.status == "closed" else row.status)
    return _acting(again, row.acting)


def _acting(row: OrganizationRow, acting: int) -> OrganizationRow:
    return replace(row, acting=acting, represented=acting > 0)


@OrganizationRow.on(OrganizationVerified)
def verified(row: OrganizationRow, e: OrganizationVerified, at: datetime) -> OrganizationRow:
    """It may act."""
    return replace(row, status="verified")


@OrganizationRow.on(OrganizationSuspended)
def suspended(row: OrganizationRow, e: OrganizationSuspended, at: datetime) -> OrganizationRow:
    """It may not act."""
    return replace(row, status="suspended")


@OrganizationRow.on(OrganizationClosed)
def closed(row: OrganizationRow, e: OrganizationClosed, at: datetime) -> OrganizationRow:
    """It is no more."""
    return replace(row, status="closed")


@OrganizationRow.on(OfficerAppointed)
def acted_for(row: OrganizationRow, e: OfficerAppointed, at: datetime) -> OrganizationRow:
    """One more acts for it: whether anybody does, everybody may know."""
    return _acting(row, row.acting + 1)


@OrganizationRow.on(OfficerDismissed)
def left(row: OrganizationRow, e: OfficerDismissed, at: datetime) -> OrganizationRow:
    """One less does."""
    return _acting(row, row.acting - 1)


class OfficerRow(Row, table="officer", key=("organization", "person"), index=("person",)):
    """Somebody who acts for an organization, and the principal that this gives them."""

    organization: OrganizationId
    person: PersonId
    since: datetime
    principal: str
    readers: tuple[str, ...]


@OfficerRow.on(OfficerAppointed)
def appointed(e: OfficerAppointed, at: datetime) -> OfficerRow:
    """The office begins."""
    principal = office(e.organization)
    return OfficerRow(
        organization=e.organization,
        person=e.person,
        since=at,
        principal=principal,
        readers=(CENTER, e.person, principal),
    )


@OfficerRow.on(OfficerDismissed)
def dismissed(row: OfficerRow, e: OfficerDismissed, at: datetime) -> None:
    """The office ends."""
    return None


class SignatoryRow(Row, table="signatory", key=("organization", "person"), index=("person",)):
    """Somebody who may sign agreements for an organization."""

    organization: OrganizationId
    person: PersonId
    since: datetime
    readers: tuple[str, ...]


@SignatoryRow.on(SignatoryAuthorized)
def authorized(e: SignatoryAuthorized, at: datetime) -> SignatoryRow:
    """The right begins."""
    readers = (CENTER, e.person, office(e.organization))
    return SignatoryRow(organization=e.organization, person=e.person, since=at, readers=readers)


@SignatoryRow.on(SignatoryRevoked)
def ended(row: SignatoryRow, e: SignatoryRevoked, at: datetime) -> None:
    """The right ends."""
    return None
