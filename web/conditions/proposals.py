"""Which proposals are meant."""

from domain.proposals.state import EDITABLE
from web.conditions import Asker, condition

_RUNNING = "'draft', 'published', 'open'"
_WRITTEN = ", ".join(f"'{status}'" for status in sorted(EDITABLE))


@condition
def partner(t: str, value: str, by: Asker) -> str:
    """An organization was asked to take part."""
    return f"EXISTS (SELECT {by.parts('partner', 'p')} AND p.proposal = {t}.id AND p.organization = {value})"


@condition
def mine(t: str, value: str, by: Asker) -> str:
    """The viewer wrote it, or acts for its lead."""
    return f"({t}.investigator = {by.person()} OR {t}.lead = {by.offices('organization')})"


@condition
def of_my_organization(t: str, value: str, by: Asker) -> str:
    """Somebody else wrote it, and the viewer acts for its lead."""
    return f"({t}.investigator <> {by.person()} AND {t}.lead = {by.offices('organization')})"


@condition
def awaits_my_answer(t: str, value: str, by: Asker) -> str:
    """An organization that the viewer acts for can answer and has not: as a partner that was asked, or to an award.

    Who confirmed another text than the one that stands there now has not, either. Once its round has closed only what
    was given back can be submitted, and nothing once results are out: nobody is asked then.
    """
    # A confirmation from before these named a revision is compared by its time.
    older = f"coalesce(p.revision < {t}.revision, p.answered_at < {t}.revised_at)"
    open = f"(p.status = 'invited' OR p.status = 'confirmed' AND {older})"
    asked = f"{by.parts('partner', 'p')} AND p.proposal = {t}.id AND {open}"
    mine = f"p.organization = {by.offices('organization')}"
    waits = f"c.status IN ('published', 'open') OR c.status = 'closed' AND {t}.returned_until IS NOT NULL"
    call = f"EXISTS (SELECT {by.records('call', 'c')} AND c.id = {t}.call AND ({waits}))"
    partner = f"{t}.status IN ({_WRITTEN}) AND EXISTS (SELECT {asked} AND {mine}) AND {call}"
    award = f"{t}.status = 'recommended' AND {t}.offered AND {t}.lead = {by.offices('organization')}"
    return f"({partner} OR {award})"


@condition
def awaits_my_decision(t: str, value: str, by: Asker) -> str:
    """The viewer runs its call, no tie keeps them from it, and it has to be checked, or decided over as all are in now.

    The same as ``Proposal.awaits_decision`` in the domain, also once results are out: an offer may be taken back. And
    what its authors had time to change and have not, and what was offered to a lead that is no more.
    """
    return f"({_to_decide(t, by)} AND NOT {_tied(t, by)})"


@condition
def awaits_another_officer(t: str, value: str, by: Asker) -> str:
    """The viewer runs its call, and their ties leave it to another officer to check it, or to decide over it."""
    return f"({_to_decide(t, by)} AND {_tied(t, by)})"


def _to_decide(t: str, by: Asker) -> str:
    over = f"EXISTS (SELECT {by.records('call', 'c')} AND c.id = {t}.call AND c.status NOT IN ({_RUNNING}))"
    ready = f"{t}.status = 'in_review' OR {t}.status = 'recommended' AND NOT {t}.offered"
    gone = f"EXISTS (SELECT {by.records('organization', 'l')} AND l.id = {t}.lead AND l.status = 'closed')"
    left = f"{lapsed(t, '', by)} OR {t}.status = 'recommended' AND {t}.offered AND {gone}"
    waits = f"{t}.status = 'submitted' OR ({ready} OR {left}) AND {over}"
    return f"({t}.call = {by.offices('call')} AND ({waits}))"


def _tied(t: str, by: Asker) -> str:
    # The same as where ``Proposal.roles`` gives no role of the call.
    # One set for all rows of a list: those who decide have few ties.
    asked = f"SELECT p.proposal {by.parts('partner', 'p')} AND p.status = 'confirmed' AND p.organization = {by.ties()}"
    behind = f"{t}.lead = {by.ties()} OR {t}.id IN ({asked})"
    return f"({t}.investigator = {by.person()} OR {behind})"


@condition
def lapsed(t: str, value: str, by: Asker) -> str:
    """It was given back for changes, and the time for these is over; while its round is open there is time for all."""
    open = f"EXISTS (SELECT {by.records('call', 'c')} AND c.id = {t}.call AND c.status = 'open')"
    return f"({t}.status = 'returned' AND {t}.returned_until IS NULL AND NOT {open})"


@condition
def begun_after(t: str, value: str, by: Asker) -> str:
    """It was begun after another one."""
    return f"{t}.id > {value}"


@condition
def in_my_calls(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of its call."""
    return f"({t}.call = {by.offices('call')})"
