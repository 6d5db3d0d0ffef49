"""Calls as applicants read them."""

from datetime import datetime

from msgspec.structs import replace

from domain.calls.events import (
    CallAmended,
    CallArchived,
    CallDrafted,
    CallOfficerAppointed,
    CallOfficerDismissed,
    CallPublished,
    Criterion,
    ResultsPublished,
    RoundClosed,
    RoundOpened,
    RoundReopened,
    said,
)
from domain.core import CallId, HubRole, PersonId
from projections.core import PUBLIC, Grant, Row, While, office
from projections.people import RoleRow


class CallRow(Row, table="call", search=("title", "summary"), fuzzy=("title",), index=("status", "closes_at")):
    """A call: its officers read the draft, everybody what was published."""

    id: CallId
    title: str
    summary: str
    status: str
    opens_at: datetime
    opened_at: datetime | None
    closes_at: datetime
    criteria: tuple[Criterion, ...]
    quorum: int
    blindness: str
    countries: int
    conflict_years: int
    revision: int
    readers: tuple[str, ...]


@CallRow.on(CallDrafted)
def drafted(e: CallDrafted, at: datetime) -> CallRow:
    """Only its officers see it, while they are of the Center."""
    return CallRow(
        id=e.call,
        title=e.title,
        summary=e.summary,
        status=e.becomes,
        opens_at=e.opens_at,
        opened_at=None,
        closes_at=e.closes_at,
        criteria=e.criteria,
        quorum=e.quorum,
        blindness=e.blindness,
        countries=e.countries,
        conflict_years=e.conflict_years,
        revision=1,
        readers=(office(e.call),),
    )


@CallRow.on(CallAmended)
def amended(row: CallRow, e: CallAmended, at: datetime) -> CallRow:
    """What is null stays."""
    return replace(row, revision=row.revision + 1, **said(e))


@CallRow.on(CallOfficerAppointed, CallOfficerDismissed)
def handed_over(row: CallRow, e: CallOfficerAppointed | CallOfficerDismissed, at: datetime) -> CallRow:
    """Who runs it stands in rows of their own; that this changed is read by who reads the call."""
    return row


@CallRow.on(CallPublished)
def published(row: CallRow, e: CallPublished, at: datetime) -> CallRow:
    """Everybody sees it."""
    return replace(row, status=e.becomes, readers=(*row.readers, PUBLIC))


@CallRow.on(RoundOpened)
def opened(row: CallRow, e: RoundOpened, at: datetime) -> CallRow:
    """Since when it is open: an officer may have opened it sooner than was said."""
    return replace(row, status=e.becomes, opened_at=at)


@CallRow.on(RoundReopened)
def reopened(row: CallRow, e: RoundReopened, at: datetime) -> CallRow:
    """Until another time, which is a change of what the call says; since when it was open first stays."""
    return replace(row, status=e.becomes, closes_at=e.closes_at, revision=row.revision + 1)


@CallRow.on(RoundClosed, ResultsPublished, CallArchived)
def moved(row: CallRow, e: RoundClosed | ResultsPublished | CallArchived, at: datetime) -> CallRow:
    """The next status."""
    return replace(row, status=e.becomes)


class CallOfficerRow(
    Row,
    table="call_officer",
    key=("call", "officer"),
    within=CallRow,
    index=("officer",),
    grants=Grant("officer", While(RoleRow, by={"person": "officer"}, has={"role": HubRole.CENTER_OFFICER.value})),
):
    """A person who runs a call, and the principal that this gives them while they are of the Center."""

    call: CallId
    officer: PersonId
    since: datetime
    principal: str


@CallOfficerRow.on(CallDrafted, CallOfficerAppointed)
def appointed(e: CallDrafted | CallOfficerAppointed, at: datetime) -> CallOfficerRow:
    """From now on."""
    return CallOfficerRow(call=e.call, officer=e.officer, since=at, principal=office(e.call))


@CallOfficerRow.on(CallOfficerDismissed)
def dismissed(row: CallOfficerRow, e: CallOfficerDismissed, at: datetime) -> None:
    """Not any more."""
    return None
