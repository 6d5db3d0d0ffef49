"""Conditions of filters that are more than "this column equals": named in the schema's files, written here.

Each gives SQL over the row ``t``, which is readable; ``value`` is the parameter of the filter (a filter that is a
boolean has none: where it is false, the compiler negates what stands here), and everything else is named through the
asker: the parts of ``t``, so that no others count, and who asks, so that the planner knows how few they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

from domain.proposals.state import EDITABLE

_WRITTEN = ", ".join(f"'{status}'" for status in sorted(EDITABLE))


@dataclass(frozen=True)
class Asker:
    """What a condition may name besides its row."""

    parts: Callable[[str, str], str]
    """``parts("partner", "p")``: ``FROM … WHERE …`` over the rows of a table, under an alias, that are within ``t``.

    ``t`` is read, so they may be: which of them are its own, whoever asks has to say.
    """
    offices: Callable[[str], str]
    """``offices("call")``: ``ANY (…)`` of the ids of the calls that the viewer has an office in."""
    person: Callable[[], str]
    """The viewer's own id; empty, as no id is, where nobody is signed in."""
    records: Callable[[str, str], str]
    """``records("call", "c")``: ``FROM … WHERE …`` over the records of a table that the viewer may read."""


def partner(t: str, value: str, by: Asker) -> str:
    """An organization was asked to take part."""
    return f"EXISTS (SELECT {by.parts('partner', 'p')} AND p.proposal = {t}.id AND p.organization = {value})"


def mine(t: str, value: str, by: Asker) -> str:
    """The viewer wrote it, or acts for its lead."""
    return f"({t}.investigator = {by.person()} OR {t}.lead = {by.offices('organization')})"


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


def awaits_my_decision(t: str, value: str, by: Asker) -> str:
    """The viewer runs its call, and has to check it, or to decide over it now that all are in.

    The same as ``Proposal.awaits_decision`` in the domain, and what its authors had time to change and have not.
    """
    closed = f"EXISTS (SELECT {by.records('call', 'c')} AND c.id = {t}.call AND c.status = 'closed')"
    lapsed = f"{t}.status = 'returned' AND {t}.returned_until IS NULL"
    ready = f"{t}.status = 'in_review' OR {t}.status = 'recommended' AND NOT {t}.offered OR {lapsed}"
    return f"({t}.call = {by.offices('call')} AND ({t}.status = 'submitted' OR ({ready}) AND {closed}))"


def begun_after(t: str, value: str, by: Asker) -> str:
    """It was begun after another one."""
    return f"{t}.id > {value}"


def in_my_calls(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of its call."""
    return f"({t}.call = {by.offices('call')})"


def i_act_for(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the organization."""
    return f"({t}.id = {by.offices('organization')})"


def i_run(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the call."""
    return f"({t}.id = {by.offices('call')})"


def works_at(t: str, value: str, by: Asker) -> str:
    """The person names an organization as one where they work, or have worked."""
    return f"EXISTS (SELECT {by.records('affiliation', 'a')} AND a.person = {t}.id AND a.organization = {value})"


def has_role(t: str, value: str, by: Asker) -> str:
    """The person has a role in the whole hub."""
    return f"EXISTS (SELECT {by.records('role', 'r')} AND r.person = {t}.id AND r.role = lower({value}))"


def mentions(t: str, value: str, by: Asker) -> str:
    """The event mentions an id."""
    return f"EXISTS (SELECT FROM hub.tag g WHERE g.position = {t}.position AND g.tag = {value})"


def since(t: str, value: str, by: Asker) -> str:
    """Recorded at this time or later."""
    return f"{t}.at >= {value}"


def until(t: str, value: str, by: Asker) -> str:
    """Recorded before this time."""
    return f"{t}.at < {value}"


def beyond(t: str, value: str, by: Asker) -> str:
    """Recorded after this position."""
    return f"{t}.position > {value}"


_EVERY = (
    *(partner, mine, awaits_my_answer, awaits_my_decision, begun_after, in_my_calls),
    *(i_act_for, i_run, works_at, has_role),
    *(mentions, since, until, beyond),
)
CONDITIONS: dict[str, Callable[[str, str, Asker], str]] = {each.__name__: each for each in _EVERY}
