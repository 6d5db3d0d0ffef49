"""Between what is typed into a form and what a command takes: widgets, choices, times, lists."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from graphql import GraphQLObjectType, get_named_type
from msgspec import inspect

from domain.core import COUNTRIES, N_, Command, Reason, Refusal, meta_of, record_field
from hub.checking import bare_type, lines_as, takes_empty
from web.labels import LABELS, LANGUAGE_NAMES
from web.preferences import KNOWN_ZONES, READER
from web.reads.mapping import reading
from web.schema.mutations import camel, fields
from web.showing import country, label

_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_SITE = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?([/?#]\S*)?")


def selection(cls: type[Command], type: GraphQLObjectType) -> tuple[list[str], str]:
    """What to ask of a record for the fields of a command; and the part of it that has them all, where one does."""
    # What the record has already under the names of the command's fields; or one part of it that has them all.
    wanted = [name for name, own in fields(cls).items() if own != record_field(cls)]
    found, nested = [], ""
    for name in wanted:
        field = type.fields.get(name)
        if field is None:
            continue
        of = get_named_type(field.type)
        if not isinstance(of, GraphQLObjectType) and reading(field).kind in ("column", "late"):
            found.append(name)
        elif isinstance(of, GraphQLObjectType) and reading(field).kind == "embedded":
            found.append(f"{name} {{ {' '.join(of.fields)} }}")
    for name, field in type.fields.items():
        of = get_named_type(field.type)
        whole = isinstance(of, GraphQLObjectType) and set(wanted) <= set(of.fields)
        if reading(field).kind == "embedded" and wanted and whole:
            nested = name
            found.append(f"{name} {{ {' '.join(wanted)} }}")
    return found, nested


def typed(value: Any, type: inspect.Type | None = None, enum: object = False) -> str:
    """A value of the API as it stands in the form of a command whose field has this type."""
    if isinstance(value, list) and type is not None and (lines := lines_as(type)) is not None:
        return "\n".join(str(msgspec.convert(each, lines)) for each in value)
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, str) and enum:
        return value.lower()
    if isinstance(value, str) and value.endswith("+00:00") and "T" in value:
        time = datetime.fromisoformat(value).astimezone(READER.get().tz)
        return time.strftime("%Y-%m-%dT%H:%M:%S" if time.second else "%Y-%m-%dT%H:%M")
    return str(value)


def widget_of(type: inspect.Type) -> str:
    """What a value is typed into."""
    match type:
        case inspect.BoolType():
            return "checkbox"
        case inspect.IntType() | inspect.FloatType():
            return "number"
        case inspect.DateTimeType():
            return "datetime-local"
        case inspect.DateType():
            return "date"
        case inspect.LiteralType() | inspect.EnumType():
            return "select"
        case inspect.VarTupleType():
            return "textarea"
    return "text"


def called(choices: Iterable[str], value: str) -> str:
    """One of some choices in words: those of the enum that they are."""
    if value in LANGUAGE_NAMES:
        return LANGUAGE_NAMES[value]
    every = {each.upper() for each in choices}
    return label(value.upper(), next(of for of, known in LABELS.items() if every == known.keys()))


def countries() -> tuple[tuple[str, str], ...]:
    """All countries by their names, those of the region first."""
    names = [(code, country(code)) for code in COUNTRIES.split()]
    own = ("TJ", "KG", "KZ", "UZ", "TM")
    return tuple(sorted(names, key=lambda each: (each[0] not in own, each[1])))


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """What a field holds where nothing was typed."""
    if field.required or field.default in (None, msgspec.NODEFAULT):
        return ""
    return typed(field.default)


def values_of(cls: type[Command], sent: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """The values of a form that was sent, as the command takes them; what was left as it was is left out."""
    for field in msgspec.structs.fields(cls):
        type = bare_type(inspect.type_info(field.type))
        value: Any = sent.get(field.name, "")
        if isinstance(type, inspect.BoolType):
            yield field.name, value == "true"
            continue
        if meta_of(field.type).get("format") == "address":
            value = _address(value)
        was = sent.get(f"!was.{field.name}")
        if isinstance(type, inspect.DateTimeType) and was:
            # Browsers leave out seconds that are none: what is the same instant is no change.
            zone = sent.get("!zone", "")
            was = value if _utc(value, zone) == _utc(was, zone) else was
        if value == was and not field.required:
            continue  # as it was: nothing to change
        if value == "" and f"!was.{field.name}" not in sent and not (field.required):
            continue
        if isinstance(type, inspect.DateTimeType) and value:
            yield field.name, _utc(value, sent.get("!zone", ""))
        elif isinstance(type, inspect.VarTupleType):
            lines = (line for line in value.splitlines() if line.strip())
            made = lines_as(type)
            yield field.name, tuple(made.parts(line) if made else line for line in lines)
        else:
            yield field.name, value


def _address(value: str) -> str:
    # As it is written on a card, and as a phone begins a line.
    value = value.strip()
    if scheme := _SCHEME.match(value):
        return scheme[0].lower() + value[scheme.end() :]
    return f"https://{value}" if _SITE.fullmatch(value) else value


def skipped(cls: type[Command], sent: Mapping[str, str]) -> dict[str, Refusal]:
    """The times of a form that was sent which are none, or which no clock shows, as those of its zone are put forward
    then.
    """
    wrong: dict[str, Refusal] = {}
    tz = ZoneInfo(zone) if (zone := sent.get("!zone", "")) in KNOWN_ZONES else READER.get().tz
    for field in msgspec.structs.fields(cls):
        value = sent.get(field.name, "")
        if not isinstance(bare_type(inspect.type_info(field.type)), inspect.DateTimeType):
            continue
        with suppress(OverflowError):
            try:
                typed = datetime.fromisoformat(value)
            except ValueError:
                if value.strip():
                    message = N_("This is no date and time. A year has four digits, as 2027 has.")
                    wrong[field.name] = Refusal(Reason.INVALID, message, field.name)
                continue
            if typed.tzinfo or value == sent.get(f"!was.{field.name}"):
                continue
            if typed.replace(tzinfo=tz).astimezone(UTC).astimezone(tz).replace(tzinfo=None) != typed:
                message = N_("Clocks are put forward then: this time does not exist in %(zone)s.")
                wrong[field.name] = Refusal(Reason.INVALID, message, field.name, zone=str(tz))
    return wrong


def _utc(value: str, zone: str) -> str:
    # A clock's time is of the zone that the form was shown in, whatever its reader has chosen since.
    if zone and zone not in KNOWN_ZONES:
        return value
    try:
        found = datetime.fromisoformat(value)
        local = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone) if zone else READER.get().tz)
        return local.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return value


def input_of(cls: type[Command], given: Mapping[str, Any]) -> dict[str, Any]:
    """The same as the input of the command's mutation."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(cls):
        if field.name not in given or given[field.name] is None:
            continue
        if given[field.name] == "" and field.default is None and not takes_empty(field):
            continue
        value, type = given[field.name], bare_type(inspect.type_info(field.type))
        if isinstance(type, inspect.LiteralType | inspect.EnumType):
            value = value.upper()
        elif isinstance(type, inspect.IntType | inspect.FloatType):
            value = msgspec.convert(value, field.type, strict=False)
        elif isinstance(value, tuple):
            value = [dict(each) for each in value]
        found[camel(field.name)] = value
    return found
