"""What people and programs send, made into commands; what does not fit is said in words, field by field."""

import re
import typing
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from domain.core import N_, Command, Reason, Refusal, Word, kind_of, meta_of, record_field, refuse


@cache
def fields_of(cls: type[Command]) -> dict[str, tuple[msgspec.structs.FieldInfo, inspect.Type]]:
    """The fields of a command by their names, each with what its values are; looked up once."""
    return {field.name: (field, inspect.type_info(field.type)) for field in msgspec.structs.fields(cls)}


def bare_type(type: inspect.Type) -> inspect.Type:
    """What values are, without what is said of them, and of those that may be missing."""
    while isinstance(type, inspect.Metadata):
        type = type.type
    if isinstance(type, inspect.UnionType):
        return bare_type(next(each for each in type.types if not isinstance(each, inspect.NoneType)))
    return type


def lines_as(type: inspect.Type) -> Any:
    """The struct of each of several things that are typed a line each (``parts``), and told so (``str``)."""
    item = type.item_type if isinstance(type, inspect.VarTupleType) else None
    return item.cls if isinstance(item, inspect.StructType) else None


def choices_of(annotation: Any) -> tuple[str, ...]:
    """The values that a field chooses from, in the order in which they were written; empty where it is free."""
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(annotation)
    found = (choices_of(inner) for inner in typing.get_args(annotation) if not isinstance(inner, msgspec.Meta))
    return next((choices for choices in found if choices), ())


@cache
def lines_of(cls: type[Command]) -> frozenset[str]:
    """The fields of a command that hold a single line of text, as a name or a title does."""
    return frozenset(
        name for name, (field, _) in fields_of(cls).items() if meta_of(field.type).get("widget") != "textarea"
    )


_HALF = re.compile("[\ud800-\udfff]")
_BREAK = re.compile(r" *[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029][ \t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]*")
# What turns the letters after it around, so that a name reads as another: Unicode's embeddings, overrides, isolates;
# and what nobody sees at all.
_UNSEEN = re.compile("[\u202a-\u202e\u2066-\u2069\x01-\x08\x0e-\x1b\x7f\u200b\u2060]")
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"


def tidy(value: Any, line: bool = False) -> Any:
    """A text in Unicode's composed form, without blanks around it; empty where nothing of it can be seen.

    A ``line`` has no breaks in it, nor anything unseen that parts its letters or turns them around.
    """
    if isinstance(value, str):
        value = unicodedata.normalize("NFC", value).strip().strip("\ufeff").strip()
        if line:
            value = _UNSEEN.sub("", _BREAK.sub(" ", value)).strip()
        return value if any(_seen(letter) for letter in value) else ""
    if isinstance(value, list | tuple):
        # Of several things, each says in a line what it is called.
        return tuple(tidy(each, True) for each in value)
    return {name: tidy(each, line) for name, each in value.items()} if isinstance(value, dict) else value


def _seen(letter: str) -> bool:
    return not letter.isspace() and letter not in _FILLERS and unicodedata.category(letter) not in ("Cf", "Mn")


SHOWN = 60
"""So many characters tell one of several things from the others."""
NULL = N_("A text holds a null character: remove it.")
"""What is said of a text that PostgreSQL cannot hold."""


def problems(cls: type[Command], given: Mapping[str, Any]) -> dict[str, Refusal]:
    """What is wrong with each field; empty where a command can be made of it."""
    found: dict[str, Refusal] = {}
    fits: dict[str, Any] = {}
    for field, type in fields_of(cls).values():
        value = tidy(given.get(field.name), field.name in lines_of(cls))
        if value is None or value == "" or value == ():
            if field.required:
                found[field.name] = Refusal(Reason.INVALID, N_("This is needed."), field.name)
            elif value is not None and record_field(cls) and not takes_empty(field):
                # Of a record that is there, what is left out stays: who empties it means something else.
                found[field.name] = Refusal(Reason.INVALID, N_("This cannot be left empty."), field.name)
            continue
        if isinstance(value, str) and _HALF.search(value):
            found[field.name] = Refusal(
                Reason.INVALID, N_("The text holds half a character. Type it again."), field.name
            )
            continue
        if isinstance(value, str) and "\0" in value:
            found[field.name] = Refusal(Reason.INVALID, NULL, field.name)
            continue
        kind = kind_of(field.type)
        if kind and isinstance(value, str) and not kind[0].admits(value):
            words = N_("This is not a valid id of this kind: %(kind)s.")
            found[field.name] = Refusal(Reason.INVALID, words, field.name, kind=Word(kind[0].name))
            continue
        try:
            converted = fits[field.name] = msgspec.convert(value, field.type, strict=False)
            if isinstance(converted, date) and not 1900 <= converted.year < 2200:
                found[field.name] = Refusal(Reason.INVALID, N_("A year from 1900 to 2199 is asked for."), field.name)
        except msgspec.ValidationError as error:
            message, values = _words(type, value, error)
            found[field.name] = Refusal(Reason.INVALID, message, field.name, **values)
    for refusal in cls.unfit(fits):
        first = found.setdefault(refusal.field or "", refusal)
        if first is not refusal:
            first.further += (refusal,)
    for name in given:
        if name not in cls.__struct_fields__:
            found[name] = Refusal(Reason.INVALID, N_("There is no such field."), name)
    return found


def command(cls: type[Command], given: Mapping[str, Any]) -> Command:
    """The command; raises the ``Refusal`` of each field that does not fit. Empty values count as not given."""
    refuse([each for wrong in problems(cls, given).values() for each in wrong.every])
    plain = {name: tidy(value, name in lines_of(cls)) for name, value in given.items() if value is not None}
    for field, _ in fields_of(cls).values():
        if plain.get(field.name) == "" and not takes_empty(field):
            del plain[field.name]
    try:
        made = msgspec.convert(plain, cls, strict=False)
        times = {name: value for name in cls.__struct_fields__ if isinstance(value := getattr(made, name), datetime)}
        return msgspec.structs.replace(made, **{name: time.astimezone(UTC) for name, time in times.items()})
    except msgspec.ValidationError as error:
        raise Refusal(Reason.INVALID, N_("This cannot be understood: %(why)s."), why=str(error)) from None


def takes_empty(field: msgspec.structs.FieldInfo) -> bool:
    """Whether an empty text is a value of this field."""
    try:
        msgspec.convert("", field.type)
    except msgspec.ValidationError:
        return False
    return True


def _several(type: inspect.VarTupleType, value: Any, each_asked: str) -> tuple[str, dict[str, Any]]:
    # Which of several things does not fit, or that there are too many of them.
    assert isinstance(type.item_type, inspect.StructType)
    if type.max_length and len(value) > type.max_length:
        most = {"count": type.max_length, "found": len(value)}
        return N_("At most %(count)s of them fit; these are %(found)s."), most
    for number, each in enumerate(value, start=1):
        try:
            msgspec.convert(each, type.item_type.cls, strict=False)
        except msgspec.ValidationError:
            parts = each.values() if isinstance(each, dict) else [each]
            text = ": ".join(str(part) for part in parts if part)
            text = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
            return each_asked, {"number": number, "text": text}
    return N_("This does not have the form that is asked for."), {}


def _words(type: inspect.Type, value: Any, error: Exception) -> tuple[str, dict[str, Any]]:
    asked = N_("This does not have the form that is asked for.")
    each_asked = N_("Number %(number)s (“%(text)s”) does not have the form that is asked for.")
    while isinstance(type, inspect.Metadata):
        asked = (type.extra_json_schema or {}).get("asked", asked)
        each_asked = (type.extra_json_schema or {}).get("each", each_asked)
        type = type.type
    if isinstance(type, inspect.UnionType):
        return _words(next(t for t in type.types if not isinstance(t, inspect.NoneType)), value, error)
    match type:
        case inspect.StrType() if isinstance(value, str):
            if type.min_length and len(value) < type.min_length:
                return N_("At least %(count)s characters are needed."), {"count": type.min_length}
            if type.max_length and len(value) > type.max_length:
                return (
                    N_("At most %(count)s characters fit; these are %(found)s."),
                    {"count": type.max_length, "found": len(value)},
                )
            return asked, {}
        case inspect.IntType() | inspect.FloatType():
            bounds = {"low": type.ge if type.ge is not None else "−∞", "high": type.le if type.le is not None else "∞"}
            return N_("A number from %(low)s to %(high)s is asked for."), bounds
        case inspect.DateTimeType():
            return N_("A date and time with its zone is asked for, as in 2027-03-01T09:00:00Z."), {}
        case inspect.DateType():
            return N_("A date is asked for, as in 2027-03-01."), {}
        case inspect.VarTupleType() if isinstance(type.item_type, inspect.StructType):
            return _several(type, value, each_asked)
        case inspect.BoolType():
            return N_("Yes or no is asked for."), {}
        case inspect.LiteralType():
            return N_("One of these is asked for: %(values)s."), {"values": ", ".join(map(str, type.values))}
        case inspect.EnumType():
            return N_("One of these is asked for: %(values)s."), {"values": ", ".join(e.value for e in type.cls)}
    return N_("This cannot be understood: %(why)s."), {"why": str(error)}
