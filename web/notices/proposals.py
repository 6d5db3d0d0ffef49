"""What applicants and partners are told of a joint proposal."""

from collections.abc import Mapping
from typing import Any

from domain.core import N_, Event
from domain.proposals.events import (
    AwardOffered,
    DeadlineMoved,
    OfferWithdrawn,
    PartnerDeclined,
    PartnerInvited,
    ProposalDeclined,
    ProposalFoundIneligible,
    ProposalReturned,
)
from domain.proposals.state import EDITABLE
from hub.door import Hub
from hub.log import Recorded
from web.notices import Told, noticed, officers, since, written


@noticed(
    PartnerInvited,
    N_("Your organization is invited to a joint proposal"),
    N_(
        "%(lead)s invites %(organization)s to take part in the proposal “%(title)s”.\n\n"
        "Read it, and confirm or decline for your organization:\n\n%(link)s\n\n"
        "The proposal cannot be submitted before that. You get this mail as an officer of %(organization)s."
    ),
)
async def partner_invited(hub: Hub, recorded: Recorded) -> Told | None:
    """Its officers, while it has not answered and still can; of several times that it was asked, of the last."""
    row = await _answered(hub, recorded, "invited")
    return _told(await officers(hub, row["partner"]), recorded.event, row) if row else None


@noticed(
    PartnerDeclined,
    N_("A partner will not take part"),
    N_(
        "%(organization)s will not take part in your proposal “%(title)s”.\n\n"
        "See which partners there are now:\n\n%(link)s"
    ),
)
async def partner_declined(hub: Hub, recorded: Recorded) -> Told | None:
    """The principal investigator, while others can be asked; of several answers of a partner, of the last."""
    row = await _answered(hub, recorded, "declined")
    return _applicant(recorded.event, row) if row else None


@noticed(
    ProposalReturned,
    N_("Your proposal was given back for changes"),
    N_(
        "Your proposal “%(title)s” was given back for changes:\n\n%(reason)s\n\n"
        "Its next version can be submitted until %(until)s:\n\n%(link)s"
    ),
)
@noticed(
    DeadlineMoved,
    N_("The time for changes to your proposal was moved"),
    N_(
        "You may change your proposal “%(title)s” until %(until)s, and submit its next version until then:"
        "\n\n%(reason)s\n\n%(link)s"
    ),
)
async def returned(hub: Hub, recorded: Recorded) -> Told | None:
    """The principal investigator, while that is what is asked for still, and can be done."""
    row = await _row(hub, recorded.event)
    if row["status"] != "returned" or not _changeable(row):
        return None
    # A deadline is told with what is asked for; what was asked for before it was done is not told again.
    later = (type(recorded.event), ProposalReturned)
    return None if await since(hub, recorded, *later) else _applicant(recorded.event, row)


@noticed(
    AwardOffered,
    N_("Your organization is offered an award"),
    N_(
        "%(lead)s is offered an award for the proposal “%(title)s”.\n\n"
        "Accept or refuse it for your organization:\n\n%(link)s\n\n"
        "You get this mail as an officer of %(lead)s."
    ),
)
async def award_offered(hub: Hub, recorded: Recorded) -> Told | None:
    """The officers of the lead, while the offer stands."""
    row = await _row(hub, recorded.event)
    stands = row["status"] == "recommended" and row["offered"]
    return _told(await officers(hub, row["of"]), recorded.event, row) if stands else None


@noticed(
    OfferWithdrawn,
    N_("The offer of an award was taken back"),
    N_(
        "The award that %(lead)s was offered for the proposal “%(title)s” was taken back:\n\n%(reason)s\n\n%(link)s\n\n"
        "You get this mail as an officer of %(lead)s."
    ),
)
async def offer_withdrawn(hub: Hub, recorded: Recorded) -> Told | None:
    """The officers of the lead, unless it was offered once more."""
    row = await _row(hub, recorded.event)
    gone = row["status"] == "recommended" and not row["offered"]
    return _told(await officers(hub, row["of"]), recorded.event, row) if gone else None


@noticed(
    ProposalFoundIneligible,
    N_("Your proposal does not meet the conditions"),
    N_("Your proposal “%(title)s” does not meet the conditions of its call:\n\n%(reason)s\n\n%(link)s"),
)
@noticed(
    ProposalDeclined,
    N_("Your proposal was declined"),
    N_("Your proposal “%(title)s” was declined:\n\n%(reason)s\n\n%(link)s"),
)
async def ended(hub: Hub, recorded: Recorded) -> Told | None:
    """The principal investigator."""
    row = await _row(hub, recorded.event)
    return _applicant(recorded.event, row) if row["status"] in ("ineligible", "declined") else None


async def _row(hub: Hub, event: Any) -> Mapping[str, Any]:
    schema = hub.models.schema
    row = await hub.log.pool.fetchrow(
        f"""SELECT p.title, p.status, p.offered, p.returned_until, p.investigator, p.lead AS of, l.name AS lead,
                o.id AS partner, o.name AS organization, a.status AS answer, c.status AS round, c.closes_at
            FROM {schema}.proposal p
            JOIN {schema}.call c ON c.id = p.call
            JOIN {schema}.organization l ON l.id = p.lead
            LEFT JOIN {schema}.organization o ON o.id = $2
            LEFT JOIN {schema}.partner a ON a.proposal = p.id AND a.organization = $2
            WHERE p.id = $1""",
        event.proposal,
        getattr(event, "organization", None),
    )
    # A record that is parked is not there: nothing of it waits.
    return dict(row) if row else {"status": None, "offered": None, "answer": None, "round": None}


def _changeable(row: Mapping[str, Any]) -> bool:
    # Whether it can still become what is submitted.
    open = row["round"] in ("published", "open") or (row["round"] == "closed" and row["returned_until"] is not None)
    return row["status"] in EDITABLE and open


async def _answered(hub: Hub, recorded: Recorded, answer: str) -> Mapping[str, Any] | None:
    # The proposal, while this is how a partner stands to it still, and it can be changed; nothing for an earlier event.
    row = await _row(hub, recorded.event)
    again = await since(hub, recorded, type(recorded.event))
    over = any(getattr(each, "organization", None) == row.get("partner") for each in again)
    return None if over or row["answer"] != answer or not _changeable(row) else row


def _applicant(event: Event, row: Mapping[str, Any]) -> Told:
    return _told((row["investigator"],), event, row)


def _told(people: tuple[str, ...], event: Any, row: Mapping[str, Any]) -> Told:
    # What was given back can be submitted while the round is open, too.
    until = max(filter(None, (row["returned_until"], row["round"] == "open" and row["closes_at"])), default=None)
    said = {
        "title": row["title"],
        "lead": row["lead"],
        "organization": row["organization"] or "",
        "reason": getattr(event, "reason", ""),
        "until": written(until) if until else "",
    }
    return Told(people, said, f"/proposals/{event.proposal}")
