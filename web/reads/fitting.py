"""What a value of a filter has to be: one that nothing could ever match is a mistake, and no empty list."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from graphql import FieldNode

from domain.core import COUNTRIES, HUB, Kind, bare_ror, every_event, ror_is_valid
from hub.tables import TABLES
from projections.core import is_record
from web.reads.plan import BadInput

_KINDS = tuple(Kind(table) for table, cls in TABLES.items() if is_record(cls))
_EVENTS = {event.type for event in every_event()}
_COUNTRIES = set(COUNTRIES.split())


def _of(*kinds: Kind) -> Callable[[str], str | None]:
    return lambda value: value if any(kind.admits(value) for kind in kinds) else None


def _time(value: datetime) -> datetime | None:
    # Its offset may lead beyond the first year, or the last.
    with suppress(OverflowError):
        return value.astimezone(UTC)
    return None


def _ror(value: str) -> str | None:
    bare = bare_ror(value)
    return bare if ror_is_valid(bare) else None


_FORMS: dict[str, tuple[Callable[[Any], Any], str]] = {
    **{kind.name: (_of(kind), f"the id of a record of this kind is asked for: {kind.name}_…") for kind in _KINDS},
    "record": (_of(*_KINDS), "the id of a record is asked for, as in proposal_…"),
    "actor": (
        lambda value: value if value == HUB or Kind("person").admits(value) else None,
        f"a person's id or “{HUB}” is asked for",
    ),
    "event": (lambda value: value if value in _EVENTS else None, "there are no such events"),
    "country": (
        lambda value: value if value in _COUNTRIES else None,
        "a country is two capital letters (ISO 3166-1), as in TJ",
    ),
    "time": (_time, "a time from the year 1 to 9999, in UTC, is asked for"),
    "ror": (_ror, "this is no ROR id: compare its nine characters"),
}


def fitting(form: str, name: str, value: Any, node: FieldNode) -> Any:
    """The value of a filter's field as rows have it, or each of its values; raises ``BadInput`` where it is none."""
    if isinstance(value, list):
        return [fitting(form, name, each, node) for each in value]
    admit, words = _FORMS[form]
    if (found := admit(value)) is None:
        shown = text if len(text := str(value)) <= 60 else f"{text[:60]}…"
        raise BadInput(f"`{name}` is “{shown}”: {words}.", node)
    return found
