"""People as others may see them; personal values stay sealed."""

from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from domain.core import AffiliationId, HubRole, OrganizationId, PersonId, Sealed
from domain.people.events import (
    AccessEnded,
    AccessGiven,
    AffiliationConfirmed,
    AffiliationDeclared,
    AffiliationEnded,
    AffiliationRefused,
    NameCorrected,
    NoticesChosen,
    OrcidLinked,
    OrcidUnlinked,
    PersonErased,
    PersonInvited,
    PersonJoined,
    RoleAgreed,
    RoleGranted,
    RoleProposalWithdrawn,
    RoleProposed,
    RoleRevoked,
)
from projections.core import CENTER, Grant, KeyOf, Row, office


class Claim(msgspec.Struct, frozen=True):
    """An organization that a person named; one that it never confirmed counts until it ends."""

    affiliation: str
    organization: str
    confirmed: bool = False
    ended: bool = False


class PersonRow(Row, table="person", index=("status",)):
    """A person: they themselves and the Center may read it, and the organizations that they name.

    ``claims`` are those that they named, and whether these have to do with them.
    """

    id: PersonId
    name: Sealed | None
    email: Sealed | None
    orcid: Sealed | None
    email_alias: str | None
    status: str
    mailed: bool
    language: str
    readers: tuple[str, ...]
    claims: tuple[Claim, ...] = ()


@PersonRow.on(PersonInvited)
def invited(e: PersonInvited, at: datetime) -> PersonRow:
    """The invitation."""
    return PersonRow(
        id=e.person,
        name=e.name,
        email=e.email,
        orcid=None,
        email_alias=e.email_alias,
        status=e.becomes,
        mailed=True,
        language=e.language,
        readers=(CENTER, e.person),
    )


@PersonRow.on(PersonJoined)
def joined(row: PersonRow, e: PersonJoined, at: datetime) -> PersonRow:
    """The person came."""
    return replace(row, status=e.becomes)


@PersonRow.on(NameCorrected)
def called(row: PersonRow, e: NameCorrected, at: datetime) -> PersonRow:
    """The name, sealed."""
    return replace(row, name=e.name)


@PersonRow.on(OrcidLinked)
def linked(row: PersonRow, e: OrcidLinked, at: datetime) -> PersonRow:
    """The iD, sealed."""
    return replace(row, orcid=e.orcid)


@PersonRow.on(OrcidUnlinked)
def unlinked(row: PersonRow, e: OrcidUnlinked, at: datetime) -> PersonRow:
    """None is theirs."""
    return replace(row, orcid=None)


@PersonRow.on(NoticesChosen)
def chosen(row: PersonRow, e: NoticesChosen, at: datetime) -> PersonRow:
    """As the person wants it."""
    return replace(row, mailed=e.mailed, language=e.language)


@PersonRow.on(AffiliationDeclared)
def named(row: PersonRow, e: AffiliationDeclared, at: datetime) -> PersonRow:
    """The organization's officers have to know whom they are asked to confirm."""
    return _claiming(row, (*row.claims, Claim(e.affiliation, e.organization)))


@PersonRow.on(AffiliationConfirmed)
def acknowledged(row: PersonRow, e: AffiliationConfirmed, at: datetime) -> PersonRow:
    """Who worked there is known there."""
    return _changed(row, e.affiliation, confirmed=True)


@PersonRow.on(AffiliationEnded, AffiliationRefused)
def parted(row: PersonRow, e: AffiliationEnded | AffiliationRefused, at: datetime) -> PersonRow:
    """Who was never confirmed is nobody of theirs any more."""
    return _changed(row, e.affiliation, ended=True)


def _changed(row: PersonRow, affiliation: str, **to: bool) -> PersonRow:
    return _claiming(row, tuple(replace(c, **to) if c.affiliation == affiliation else c for c in row.claims))


def _claiming(row: PersonRow, claims: tuple[Claim, ...]) -> PersonRow:
    offices = {office(each.organization) for each in claims if each.confirmed or not each.ended}
    return replace(row, claims=claims, readers=tuple(sorted({CENTER, row.id, *offices})))


@PersonRow.on(PersonErased)
def erased(row: PersonRow, e: PersonErased, at: datetime) -> PersonRow:
    """Nothing personal remains."""
    return replace(
        row, status=e.becomes, name=None, email=None, orcid=None, email_alias=None, mailed=False, language="en"
    )


class AffiliationRow(Row, table="affiliation", index=("person", "organization")):
    """Where a person works or worked; ``withdrawn`` is one that was ended, or ``refused``, before it was confirmed."""

    id: AffiliationId
    person: PersonId
    organization: OrganizationId
    position: str
    since: date
    until: date | None
    confirmed: bool
    withdrawn: bool
    refused: bool
    readers: tuple[str, ...]


@AffiliationRow.on(AffiliationDeclared)
def declared(e: AffiliationDeclared, at: datetime) -> AffiliationRow:
    """As the person says."""
    return AffiliationRow(
        id=e.affiliation,
        person=e.person,
        organization=e.organization,
        position=e.position,
        since=e.since,
        until=e.until,
        confirmed=False,
        withdrawn=False,
        refused=False,
        readers=(CENTER, office(e.organization), e.person),
    )


@AffiliationRow.on(AffiliationConfirmed)
def confirmed(row: AffiliationRow, e: AffiliationConfirmed, at: datetime) -> AffiliationRow:
    """The organization agrees."""
    return replace(row, confirmed=True, withdrawn=False, refused=False)


@AffiliationRow.on(AffiliationEnded)
def ended(row: AffiliationRow, e: AffiliationEnded, at: datetime) -> AffiliationRow:
    """It has an end; what was never confirmed is taken back by that."""
    return replace(row, until=e.until, withdrawn=not row.confirmed)


@AffiliationRow.on(AffiliationRefused)
def refused(row: AffiliationRow, e: AffiliationRefused, at: datetime) -> AffiliationRow:
    """The organization does not agree."""
    return replace(row, until=e.until, withdrawn=True, refused=True)


class RoleRow(Row, table="role", key=("person", "role", "country"), grants=Grant("person")):
    """A hub-wide role, and the principal that it gives; a role of no country has an empty one."""

    person: PersonId
    role: str
    country: str
    principal: str
    readers: tuple[str, ...]

    @classmethod
    def keyed(cls) -> KeyOf:
        """Person, role, and the country or an empty text."""
        return _of_role(cls.table)


@RoleRow.on(RoleGranted)
def granted(e: RoleGranted, at: datetime) -> RoleRow:
    """The role begins."""
    principal = CENTER if e.role == HubRole.CENTER_OFFICER else f"{e.role.value}/{e.country or ''}"
    return RoleRow(
        person=e.person,
        role=e.role.value,
        country=e.country or "",
        principal=principal,
        readers=(CENTER, e.person),
    )


@RoleRow.on(RoleRevoked)
def revoked(row: RoleRow, e: RoleRevoked, at: datetime) -> None:
    """The role ends."""
    return None


class RoleProposalRow(Row, table="role_proposal", key=("person", "role", "country")):
    """A role that was proposed, and waits for a second officer of the Center; one of no country has an empty one."""

    person: PersonId
    role: str
    country: str
    proposed_by: PersonId
    proposed_at: datetime
    readers: tuple[str, ...]

    @classmethod
    def keyed(cls) -> KeyOf:
        """Person, role, and the country or an empty text."""
        return _of_role(cls.table)


def _of_role(table: str) -> KeyOf:
    return lambda event: (table, (event.person, event.role.value, event.country or ""))


@RoleProposalRow.on(RoleProposed)
def proposed(e: RoleProposed, at: datetime) -> RoleProposalRow:
    """It waits; proposed anew, it is who did last that counts."""
    return RoleProposalRow(
        person=e.person,
        role=e.role.value,
        country=e.country or "",
        proposed_by=e.by,
        proposed_at=at,
        readers=(CENTER, e.person),
    )


@RoleProposalRow.on(RoleAgreed, RoleProposalWithdrawn)
def answered(row: RoleProposalRow, e: RoleAgreed | RoleProposalWithdrawn, at: datetime) -> None:
    """It waits no more."""
    return None


class ChoiceRow(Row, table="choice", key=("person",)):
    """Who hears of what somebody chose for themselves alone: nobody else."""

    person: PersonId
    readers: tuple[str, ...]


@ChoiceRow.on(NoticesChosen)
def own(e: NoticesChosen, at: datetime) -> ChoiceRow:
    """The same each time."""
    return ChoiceRow(person=e.person, readers=(e.person,))


class AccessRow(Row, table="access", key=("person",)):
    """Who hears of the ways to act as a person that others are given: they themselves and the Center.

    Not the organizations that they name, which read whatever else there is of them.
    """

    person: PersonId
    readers: tuple[str, ...]


@AccessRow.on(AccessGiven, AccessEnded)
def heard(e: AccessGiven | AccessEnded, at: datetime) -> AccessRow:
    """The same each time."""
    return AccessRow(person=e.person, readers=(CENTER, e.person))
