"""Conditions of filters that are more than "this column equals": named in the schema's files, written here.

A subject's conditions stand in the file of its name. Each gives SQL over the row ``t``, which is readable; ``value`` is
the parameter of the filter (one that is a boolean has none: where it is false, the compiler negates what stands here).
Everything else is named through the asker: the parts of ``t``, so that no others count, and who asks, so that the
planner knows how few they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import web.conditions
from domain.core import import_all


@dataclass(frozen=True)
class Asker:
    """What a condition may name besides its row."""

    parts: Callable[[str, str], str]
    """``parts("partner", "p")``: ``FROM … WHERE …`` over the rows of a table, under an alias, that are within ``t``.

    ``t`` is read, so they may be: which of them are its own, whoever asks has to say.
    """
    offices: Callable[[str], str]
    """``offices("call")``: ``ANY (…)`` of the ids of the calls that the viewer has an office in."""
    ties: Callable[[], str]
    """``ANY (…)`` of the ids of the organizations that keep a viewer from deciding."""
    center: Callable[[], str]
    """Whether the viewer is an officer of the Center."""
    countries: Callable[[], str]
    """``ANY (…)`` of the countries whose national authority the viewer is."""
    person: Callable[[], str]
    """The viewer's own id; empty, as no id is, where nobody is signed in."""
    records: Callable[[str, str], str]
    """``records("call", "c")``: ``FROM … WHERE …`` over the records of a table that the viewer may read."""


Condition = Callable[[str, str, Asker], str]
_CONDITIONS: dict[str, Condition] = {}


def condition(holds: Condition) -> Condition:
    """Let ``@condition(name: …)`` name what is decorated. A name is one condition's: whoever takes it again is told."""
    if holds.__name__ in _CONDITIONS:
        raise ValueError(f"there is a condition called {holds.__name__} already")
    _CONDITIONS[holds.__name__] = holds
    return holds


@cache
def every_condition() -> Mapping[str, Condition]:
    """The conditions by their names."""
    import_all(web.conditions)
    return _CONDITIONS
