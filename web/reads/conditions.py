"""Conditions of filters that are more than "this column equals": named in the schema's files, written here.

Each gives SQL over the row ``t``; ``$1`` are the viewer's principals, ``value`` the parameter of the filter (a filter
that is a boolean has none: where it is false, the compiler negates what stands here), and a table is named only through
``rows``.
"""

from collections.abc import Callable

Rows = Callable[[str, str], str]
"""``rows("partner", "p")``: ``FROM … WHERE …`` over the readable rows of a table, under an alias."""


def partner(t: str, value: str, rows: Rows) -> str:
    """An organization was asked to take part."""
    return f"EXISTS (SELECT {rows('partner', 'p')} AND p.proposal = {t}.id AND p.organization = {value})"


# The ids of what the viewer has an office in, computed once for a statement, so that an index finds the rows.
_OFFICES = "ANY(ARRAY(SELECT split_part(p, '/', 1) FROM unnest($1) p WHERE p LIKE '%/office'))"


def mine(t: str, value: str, rows: Rows) -> str:
    """The viewer wrote it, or acts for its lead."""
    return f"({t}.investigator = ANY($1) OR {t}.lead = {_OFFICES})"


def awaits_my_answer(t: str, value: str, rows: Rows) -> str:
    """A partner that the viewer acts for has been asked and has not answered, and still can."""
    asked = f"{rows('partner', 'p')} AND p.proposal = {t}.id AND p.status = 'invited'"
    return f"({t}.status IN ('draft', 'returned') AND EXISTS (SELECT {asked} AND p.organization = {_OFFICES}))"


def in_my_calls(t: str, value: str, rows: Rows) -> str:
    """The viewer is an officer of its call."""
    return f"({t}.call = {_OFFICES})"


def i_act_for(t: str, value: str, rows: Rows) -> str:
    """The viewer is an officer of the organization."""
    return f"({t}.id = {_OFFICES})"


def mentions(t: str, value: str, rows: Rows) -> str:
    """The event mentions an id."""
    return f"EXISTS (SELECT FROM hub.tag g WHERE g.position = {t}.position AND g.tag = {value})"


def since(t: str, value: str, rows: Rows) -> str:
    """Recorded at this time or later."""
    return f"{t}.at >= {value}"


def until(t: str, value: str, rows: Rows) -> str:
    """Recorded before this time."""
    return f"{t}.at < {value}"


CONDITIONS: dict[str, Callable[[str, str, Rows], str]] = {
    each.__name__: each for each in (partner, mine, awaits_my_answer, in_my_calls, i_act_for, mentions, since, until)
}
