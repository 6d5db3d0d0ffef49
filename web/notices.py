"""What is mailed to whom when something waits for them: the same as their first page says, before they open it."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.core import N_, Event
from domain.people.events import AccessGiven
from domain.proposals.events import (
    AwardOffered,
    DeadlineMoved,
    PartnerDeclined,
    PartnerInvited,
    ProposalDeclined,
    ProposalFoundIneligible,
    ProposalReturned,
)
from domain.proposals.state import EDITABLE
from hub.door import Hub
from web.preferences import HOME_ZONE

MOST = 50
"""An organization's officers of whom each gets a mail: no more of them than so many."""


class Notice(NamedTuple):
    """A mail to some people; ``words`` stand in its text, whose ``link`` is a path on the hub."""

    people: tuple[str, ...]
    subject: str
    text: str
    words: Mapping[str, str]
    link: str


NOTICED: dict[type[Event], tuple[str, str]] = {
    AccessGiven: (
        N_("Somebody else was given a way to act as you"),
        N_(
            "Whoever runs the hub made a link or a token that acts as you on the hub, valid until %(until)s.\n\n"
            "If you did not ask for it, ask them why, and end it on your page:\n\n%(link)s"
        ),
    ),
    PartnerInvited: (
        N_("Your organization is invited to a joint proposal"),
        N_(
            "%(lead)s invites %(organization)s to take part in the proposal “%(title)s”.\n\n"
            "Read it, and confirm or decline for your organization:\n\n%(link)s\n\n"
            "The proposal cannot be submitted before that. You get this mail as an officer of %(organization)s."
        ),
    ),
    PartnerDeclined: (
        N_("A partner will not take part"),
        N_(
            "%(organization)s will not take part in your proposal “%(title)s”.\n\n"
            "See which partners there are now:\n\n%(link)s"
        ),
    ),
    ProposalReturned: (
        N_("Your proposal was given back for changes"),
        N_(
            "Your proposal “%(title)s” was given back for changes:\n\n%(reason)s\n\n"
            "Its next version can be submitted until %(until)s:\n\n%(link)s"
        ),
    ),
    DeadlineMoved: (
        N_("The time for changes to your proposal was moved"),
        N_(
            "You may change your proposal “%(title)s” until %(until)s, and submit its next version until then:"
            "\n\n%(reason)s\n\n%(link)s"
        ),
    ),
    AwardOffered: (
        N_("Your organization is offered an award"),
        N_(
            "%(lead)s is offered an award for the proposal “%(title)s”.\n\n"
            "Accept or refuse it for your organization:\n\n%(link)s\n\n"
            "You get this mail as an officer of %(lead)s."
        ),
    ),
    ProposalFoundIneligible: (
        N_("Your proposal does not meet the conditions"),
        N_("Your proposal “%(title)s” does not meet the conditions of its call:\n\n%(reason)s\n\n%(link)s"),
    ),
    ProposalDeclined: (
        N_("Your proposal was declined"),
        N_("Your proposal “%(title)s” was declined:\n\n%(reason)s\n\n%(link)s"),
    ),
}
"""The events of which somebody is told, with the subject and the text of the mail."""


_Noticed = (
    PartnerInvited
    | PartnerDeclined
    | ProposalReturned
    | DeadlineMoved
    | AwardOffered
    | ProposalFoundIneligible
    | ProposalDeclined
)


async def notice(hub: Hub, event: Event) -> Notice | None:
    """Whom to tell of an event; ``None`` where what it asked for no longer waits."""
    if isinstance(event, AccessGiven):
        tab = "signing-in" if event.way == "link" else "tokens"
        said = {"until": _written(event.until)}
        return Notice((event.person,), *NOTICED[AccessGiven], said, f"/profile?tab={tab}")
    if not isinstance(event, _Noticed):
        return None
    schema = hub.models.schema
    row = await hub.log.pool.fetchrow(
        f"""SELECT p.title, p.status, p.returned_until, p.investigator, p.lead AS of, l.name AS lead,
                o.name AS organization, a.status AS answer
            FROM {schema}.proposal p
            JOIN {schema}.organization l ON l.id = p.lead
            LEFT JOIN {schema}.organization o ON o.id = $2
            LEFT JOIN {schema}.partner a ON a.proposal = p.id AND a.organization = $2
            WHERE p.id = $1""",
        event.proposal,
        getattr(event, "organization", None),
    )
    people: tuple[str, ...]
    match event:
        case PartnerInvited() if row and row["status"] in EDITABLE and row["answer"] == "invited":
            people = await _officers(hub, event.organization)
        case AwardOffered() if row and row["status"] == "recommended":
            people = await _officers(hub, row["of"])
        case ProposalFoundIneligible() | ProposalDeclined() if row and row["status"] in ("ineligible", "declined"):
            people = (row["investigator"],)
        case PartnerDeclined() if row and row["status"] in EDITABLE and row["answer"] == "declined":
            people = (row["investigator"],)
        case ProposalReturned() | DeadlineMoved() if row and row["status"] == "returned":
            people = (row["investigator"],)
        case _:
            return None
    said = {
        "title": row["title"],
        "lead": row["lead"],
        "organization": row["organization"] or "",
        "reason": getattr(event, "reason", ""),
        "until": _written(row["returned_until"]) if row["returned_until"] else "",
    }
    return Notice(people, *NOTICED[type(event)], said, f"/proposals/{event.proposal}")


def _written(at: datetime) -> str:
    # Whoever reads the mail may be anywhere: in the time of the Center, and how far that is from UTC.
    here = at.astimezone(ZoneInfo(HOME_ZONE))
    return f"{here:%Y-%m-%d %H:%M} (UTC{here:%z})"


async def _officers(hub: Hub, organization: str) -> tuple[str, ...]:
    # Those of an organization that is not verified now may not read what they would be told of.
    officers = f"""SELECT f.person FROM {hub.models.schema}.officer f
        JOIN {hub.models.schema}.organization o ON o.id = f.organization AND o.status = 'verified'
        WHERE f.organization = $1 ORDER BY f.since LIMIT {MOST}"""
    return tuple(each for (each,) in await hub.log.pool.fetch(officers, organization))
