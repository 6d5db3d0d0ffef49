"""Organizations as people read them, and who acts for them."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace
from pyuca import Collator

from domain.core import OrganizationId, PersonId
from domain.organizations.events import (
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
from projections.core import CENTER, PUBLIC, Grant, Row, While, office
from projections.initials import initials
from projections.places import called, country_called

_collator = cache(Collator)
_READ = {"tg": ("tg", "ru")}


class Name(msgspec.Struct, frozen=True):
    """A name in a language (BCP 47)."""

    language: str
    text: str


class OrganizationRow(
    Row,
    table="organization",
    search=("name", "other_names", "initials", "cities", "countries"),
    fuzzy=("name", "other_names", "cities"),
    index=("country", "status", "kind", "sort_en", "sort_ru", "sort_tg"),
):
    """An organization; everybody may read it.

    ``given`` are the names that were given here, which a language keeps where ROR has none; ``given_website`` likewise.
    ``sort_ru`` orders organizations by the names that readers of Russian see, by Unicode's collation.
    ``aliases`` are further names that ROR knows; ``other_names`` all but the first, ``initials`` those of all of them.
    ``cities`` and ``countries`` are all that its own are called in the region's languages. ``described_by`` are those
    who said what it is since it was verified last, until ROR vouches for it: they do not verify it.
    """

    id: OrganizationId
    name: str
    other_names: str
    initials: str
    aliases: tuple[str, ...]
    names: tuple[Name, ...]
    given: tuple[Name, ...]
    sort_en: str
    sort_ru: str
    sort_tg: str
    kind: str
    status: str
    city: str
    country: str
    cities: str
    countries: str
    latitude: float | None
    longitude: float | None
    website: str | None
    given_website: str | None
    ror: str | None
    registered_at: datetime
    acting: int = 0
    represented: bool = False
    imported: bool = False
    described_by: tuple[str, ...] = ()
    revision: int = 1
    readers: tuple[str, ...] = (PUBLIC,)


@lru_cache(3)
def _sort(name: str) -> str:
    return "".join(f"{weight:04x}" for weight in _collator().sort_key(name))


def _listed(names: dict[str, str]) -> tuple[Name, ...]:
    return tuple(Name(language, text) for language, text in sorted(names.items()))


def _by_language(names: tuple[Name, ...]) -> dict[str, str]:
    return {each.language: each.text for each in names}


def name_for(language: str, name: str, names: dict[str, str]) -> str:
    """What readers of a language are shown: a name in it, or in the one that they read next; else its own ``name``."""
    return next((names[each] for each in _READ.get(language, (language,)) if each in names), name)


def _called(name: str, names: dict[str, str], aliases: tuple[str, ...]) -> dict[str, Any]:
    # All that follows from what it is called.
    others = dict.fromkeys((*names.values(), *aliases))
    return {
        "name": name,
        "other_names": " ".join(others),
        "initials": " ".join(dict.fromkeys(each for called in (name, *others) for each in initials(called))),
        "aliases": aliases,
        "names": _listed(names),
        **{f"sort_{language}": _sort(name_for(language, name, names)) for language in ("en", "ru", "tg")},
    }


def _row(
    e: OrganizationRegistered | OrganizationImported,
    at: datetime,
    status: str,
    given: dict[str, str],
    website: str | None = None,
) -> OrganizationRow:
    return OrganizationRow(
        **_called(e.name, given | e.names, e.aliases if isinstance(e, OrganizationImported) else ()),
        id=e.organization,
        given=_listed(given),
        kind=e.kind,
        status=status,
        city=e.place.city,
        country=e.place.country,
        cities=called(e.place.city),
        countries=country_called(e.place.country),
        latitude=e.place.latitude,
        longitude=e.place.longitude,
        website=e.website or website,
        given_website=website,
        ror=e.ror,
        registered_at=at,
    )


@OrganizationRow.on(OrganizationRegistered)
def registered(e: OrganizationRegistered, at: datetime) -> OrganizationRow:
    """It begins unverified."""
    return replace(_row(e, at, e.becomes, e.names, e.website), described_by=(e.by,) if e.by else ())


@OrganizationRow.on(OrganizationImported)
def imported(row: OrganizationRow | None, e: OrganizationImported, at: datetime) -> OrganizationRow:
    """A changed record keeps its status, unless the organization had been closed, and what ROR lacks."""
    if row is None:
        return replace(_row(e, at, e.becomes, {}), imported=True)
    status = e.becomes if row.status == "closed" else row.status
    new = _row(e, row.registered_at, status, _by_language(row.given), row.given_website)
    return _acting(replace(new, revision=row.revision + 1, imported=True), row.acting)


@OrganizationRow.on(OrganizationAmended)
def amended(row: OrganizationRow, e: OrganizationAmended, at: datetime) -> OrganizationRow:
    """What is null stays."""
    new = names_of(e)
    return replace(
        row,
        **_called(e.name or row.name, _by_language(row.names) | new, row.aliases),
        given=_listed(_by_language(row.given) | new),
        kind=e.kind or row.kind,
        city=e.city or row.city,
        country=e.country or row.country,
        cities=called(e.city or row.city),
        countries=country_called(e.country or row.country),
        website=e.website or row.website,
        given_website=e.website or row.given_website,
        described_by=tuple(sorted({*row.described_by, e.by})) if e.by and not row.imported else row.described_by,
        revision=row.revision + 1,
    )


def _acting(row: OrganizationRow, acting: int) -> OrganizationRow:
    return replace(row, acting=acting, represented=acting > 0)


@OrganizationRow.on(OrganizationVerified)
def verified(row: OrganizationRow, e: OrganizationVerified, at: datetime) -> OrganizationRow:
    """It may act."""
    return replace(row, status=e.becomes, described_by=())


@OrganizationRow.on(OrganizationSuspended)
def suspended(row: OrganizationRow, e: OrganizationSuspended, at: datetime) -> OrganizationRow:
    """It may not act."""
    return replace(row, status=e.becomes)


@OrganizationRow.on(OrganizationClosed)
def closed(row: OrganizationRow, e: OrganizationClosed, at: datetime) -> OrganizationRow:
    """It is no more; a ROR id that it gave back is another's."""
    return replace(row, status=e.becomes, ror=None if e.ror else row.ror)


@OrganizationRow.on(OfficerAppointed)
def acted_for(row: OrganizationRow, e: OfficerAppointed, at: datetime) -> OrganizationRow:
    """One more acts for it: whether anybody does, everybody may know."""
    return _acting(row, row.acting + 1)


@OrganizationRow.on(OfficerDismissed)
def left(row: OrganizationRow, e: OfficerDismissed, at: datetime) -> OrganizationRow:
    """One less does."""
    return _acting(row, row.acting - 1)


class OfficerRow(
    Row,
    table="officer",
    key=("organization", "person"),
    index=("person",),
    grants=Grant("person", While(OrganizationRow, by={"id": "organization"}, has={"status": "verified"})),
):
    """Somebody who acts for an organization, and the principal that this gives them while it is verified."""

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


class TieRow(Row, table="tie", key=("organization", "person"), index=("person",)):
    """An organization that somebody acts for, or ever acted for: an office laid down leaves the tie."""

    organization: OrganizationId
    person: PersonId
    readers: tuple[str, ...]


@TieRow.on(OfficerAppointed)
def tied(e: OfficerAppointed, at: datetime) -> TieRow:
    """The same each time."""
    return TieRow(organization=e.organization, person=e.person, readers=(CENTER, e.person, office(e.organization)))


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
