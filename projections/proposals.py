"""Proposals, their partners and their submitted versions, as those concerned read them."""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from domain.core import CallId, OrganizationId, PersonId, ProposalId
from domain.proposals.events import (
    AwardAccepted,
    AwardOffered,
    AwardPublished,
    AwardRefused,
    DeadlineMoved,
    DeadlinePassed,
    EligibilityConfirmed,
    OfferWithdrawn,
    PartnerConfirmed,
    PartnerDeclined,
    PartnerInvited,
    PartnerUninvited,
    ProposalDeclined,
    ProposalDrafted,
    ProposalFoundIneligible,
    ProposalRecommended,
    ProposalReturned,
    ProposalRevised,
    ProposalSubmitted,
    ProposalWithdrawn,
    RiskAssessed,
)
from projections.core import PUBLIC, Row, office


class Version(msgspec.Struct, frozen=True):
    """What was submitted at a time; ``content`` is the SHA-256 of all of it."""

    version: int
    title: str
    abstract: str
    content: str
    submitted_at: datetime


class ProposalRow(
    Row,
    table="proposal",
    search=("title", "abstract"),
    fuzzy=("title",),
    index=("call status lead", "status", "lead", "investigator", "-changed_at"),
):
    """A proposal, for its investigator and organizations; once submitted for the call's office; once its award is
    published, for all.
    """

    id: ProposalId
    call: CallId
    lead: OrganizationId
    investigator: PersonId
    title: str
    abstract: str
    status: str
    version: int
    revision: int
    risk: RiskAssessed | None
    content: str | None
    versions: tuple[Version, ...]
    drafted_at: datetime
    changed_at: datetime
    revised_at: datetime
    submitted_at: datetime | None
    returned_until: datetime | None
    offered: bool
    status_reason: str | None
    readers: tuple[str, ...]


def _let(row: ProposalRow, *principals: str) -> tuple[str, ...]:
    return tuple(sorted({*row.readers, *principals}))


@ProposalRow.on(ProposalDrafted)
def drafted(e: ProposalDrafted, at: datetime) -> ProposalRow:
    """A draft is its authors'."""
    return ProposalRow(
        id=e.proposal,
        call=e.call,
        lead=e.lead,
        investigator=e.investigator,
        title=e.title,
        abstract=e.abstract,
        status=e.becomes,
        version=1,
        revision=1,
        risk=None,
        content=None,
        versions=(),
        drafted_at=at,
        changed_at=at,
        revised_at=at,
        submitted_at=None,
        returned_until=None,
        offered=False,
        status_reason=None,
        readers=tuple(sorted((e.investigator, office(e.lead)))),
    )


@ProposalRow.on(ProposalRevised)
def revised(row: ProposalRow, e: ProposalRevised, at: datetime) -> ProposalRow:
    """What is null stays."""
    return replace(
        row,
        title=row.title if e.title is None else e.title,
        abstract=row.abstract if e.abstract is None else e.abstract,
        revision=row.revision + 1,
        changed_at=at,
        revised_at=at,
    )


@ProposalRow.on(RiskAssessed)
def assessed(row: ProposalRow, e: RiskAssessed, at: datetime) -> ProposalRow:
    """The newest assessment counts."""
    return replace(row, risk=e, changed_at=at)


@ProposalRow.on(PartnerInvited)
def shared(row: ProposalRow, e: PartnerInvited, at: datetime) -> ProposalRow:
    """Who is asked may read what for."""
    return replace(row, readers=_let(row, office(e.organization)), changed_at=at)


@ProposalRow.on(PartnerUninvited)
def unshared(row: ProposalRow, e: PartnerUninvited, at: datetime) -> ProposalRow:
    """Who is asked no more reads no more."""
    return replace(row, readers=tuple(each for each in row.readers if each != office(e.organization)), changed_at=at)


@ProposalRow.on(PartnerConfirmed, PartnerDeclined)
def answered(row: ProposalRow, e: PartnerConfirmed | PartnerDeclined, at: datetime) -> ProposalRow:
    """An answer is news to all who take part."""
    return replace(row, changed_at=at)


@ProposalRow.on(ProposalSubmitted)
def submitted(row: ProposalRow, e: ProposalSubmitted, at: datetime) -> ProposalRow:
    """From now on the call's office reads it."""
    return replace(
        row,
        status=e.becomes,
        version=e.version,
        content=e.content,
        versions=(*row.versions, Version(e.version, row.title, row.abstract, e.content, at)),
        submitted_at=at,
        changed_at=at,
        returned_until=None,
        status_reason=None,
        readers=_let(row, office(e.call)),
    )


@ProposalRow.on(ProposalReturned)
def returned(row: ProposalRow, e: ProposalReturned, at: datetime) -> ProposalRow:
    """The next version begins."""
    return replace(
        row, status=e.becomes, version=row.version + 1, returned_until=e.until, status_reason=e.reason, changed_at=at
    )


@ProposalRow.on(DeadlineMoved)
def postponed(row: ProposalRow, e: DeadlineMoved, at: datetime) -> ProposalRow:
    """Another time: what was asked for stays."""
    return replace(row, returned_until=e.until, changed_at=at)


@ProposalRow.on(DeadlinePassed)
def lapsed(row: ProposalRow, e: DeadlinePassed, at: datetime) -> ProposalRow:
    """Nothing is waited for from its authors any more; what was asked for stays."""
    return replace(row, returned_until=None, changed_at=at)


@ProposalRow.on(AwardOffered)
def offered(row: ProposalRow, e: AwardOffered, at: datetime) -> ProposalRow:
    """The applicants answer next."""
    return replace(row, offered=True, changed_at=at)


@ProposalRow.on(OfferWithdrawn)
def taken_back(row: ProposalRow, e: OfferWithdrawn, at: datetime) -> ProposalRow:
    """Its officers decide anew."""
    return replace(row, offered=False, changed_at=at)


@ProposalRow.on(AwardAccepted)
def awarded(row: ProposalRow, e: AwardAccepted, at: datetime) -> ProposalRow:
    """An awarded project is public once the results of its call are."""
    readers = _let(row, PUBLIC) if e.published else row.readers
    return replace(row, status=e.becomes, changed_at=at, readers=readers)


@ProposalRow.on(AwardPublished)
def published(row: ProposalRow, e: AwardPublished, at: datetime) -> ProposalRow:
    """Everybody reads it."""
    return replace(row, changed_at=at, readers=_let(row, PUBLIC))


@ProposalRow.on(
    EligibilityConfirmed,
    ProposalFoundIneligible,
    ProposalRecommended,
    AwardRefused,
    ProposalDeclined,
    ProposalWithdrawn,
)
def moved(
    row: ProposalRow,
    e: EligibilityConfirmed
    | ProposalFoundIneligible
    | ProposalRecommended
    | AwardRefused
    | ProposalDeclined
    | ProposalWithdrawn,
    at: datetime,
) -> ProposalRow:
    """The next status."""
    reason = getattr(e, "reason", None)
    return replace(row, status=e.becomes, status_reason=reason, returned_until=None, changed_at=at)


class PartnerRow(
    Row, table="partner", key=("proposal", "organization"), within=ProposalRow, index=("organization status proposal",)
):
    """An organization that was asked to take part in a proposal."""

    proposal: ProposalId
    organization: OrganizationId
    country: str
    contribution: str
    status: str
    revision: int | None
    invited_at: datetime
    answered_at: datetime | None


@PartnerRow.on(PartnerInvited)
def asked(e: PartnerInvited, at: datetime) -> PartnerRow:
    """No answer yet: silence is never consent."""
    return PartnerRow(
        proposal=e.proposal,
        organization=e.organization,
        country=e.country,
        contribution=e.contribution,
        status="invited",
        revision=None,
        invited_at=at,
        answered_at=None,
    )


@PartnerRow.on(PartnerUninvited)
def uninvited(row: PartnerRow, e: PartnerUninvited, at: datetime) -> None:
    """It takes no part."""
    return None


@PartnerRow.on(PartnerConfirmed)
def agreed(row: PartnerRow, e: PartnerConfirmed, at: datetime) -> PartnerRow:
    """It takes part in what it has read."""
    return replace(row, status="confirmed", revision=e.revision, answered_at=at)


@PartnerRow.on(PartnerDeclined)
def refused(row: PartnerRow, e: PartnerDeclined, at: datetime) -> PartnerRow:
    """It does not."""
    return replace(row, status="declined", answered_at=at)
