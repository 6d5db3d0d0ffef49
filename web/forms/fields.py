"""The fields of a form, from its command: label, help, choices, what was typed, and the problem beside each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import inspect

from domain.core import COUNTRIES, N_, Reason, Refusal, kind_of, meta_of, record_field, sentence
from hub.checking import bare_type, choices_of, takes_empty
from web.forms import Choice, Found, Offer, Writer, among, choosers, inputs, particular
from web.preferences import READER
from web.showing import moment, said_of
from web.words import translated

WORTH_SAYING = 10
"""From how many characters on a text is told beforehand how long it has to be."""


@dataclass(frozen=True)
class Field:
    """One field of a form, as its template shows it.

    ``was`` is what the record holds, ``old`` what it held when somebody began to write and others changed it meanwhile;
    ``first`` is what has to be done before, where, and what the link says; ``found`` what was looked for, where all is
    too much to show; ``fixed`` why it cannot be changed.
    """

    name: str
    label: str
    help: str
    widget: str
    required: bool
    value: Any
    was: str | None = None
    choices: tuple[Choice, ...] = ()
    problem: str = ""
    most: int | None = None
    rows: int = 6
    markdown: bool = False
    old: str | None = None
    first: tuple[str, str, str] = ("", "", "")
    found: Found | None = None
    later: bool = False
    fixed: str = ""


@dataclass(frozen=True)
class Filling:
    """What a form is filled with beside what is given to it: what its record holds, what does not fit or is fixed."""

    was: Mapping[str, str]
    wrong: Mapping[str, Refusal]
    fixed: Mapping[str, str]


async def fields_for(writer: Writer, filling: Filling) -> list[Field]:
    """All fields of a command, in their order, in the writer's language, with the choices that the writer may name."""
    return [await _field(writer, each, filling) for each in msgspec.structs.fields(writer.command)]


async def _field(writer: Writer, field: msgspec.structs.FieldInfo, filling: Filling) -> Field:
    cls, language, given, was = writer.command, writer.viewer.language, writer.given, filling.was
    type, meta, kind = bare_type(inspect.type_info(field.type)), meta_of(field.type), kind_of(field.type)
    offer = await _offer(writer, field)
    widget, choices = offer.widget, offer.choices
    value = given.get(field.name, was.get(field.name, inputs.default_of(field)))
    if not value and widget in ("select", "list") and field.required and len(choices) == 1:
        value = choices[0].value
    value = value or offer.value
    if widget == "checkbox" and "!key" in given:
        value = given.get(field.name, "")
    refusal, chosen = filling.wrong.get(field.name), given.get(field.name, "")
    if chosen and kind and widget != "hidden" and chosen not in {each.value for each in choices} and not refusal:
        # A page was old, or an address: nobody writes a text to learn at its end that it has no place.
        refusal = Refusal(Reason.INVALID, N_("What was chosen here cannot be chosen now: choose another."))
    # What a record has and cannot be without: an empty field would change nothing.
    stays = bool(was.get(field.name) and record_field(cls)) and not takes_empty(field)
    changes = not field.required and widget != "hidden"
    # Only a text is as long as its letters: the bound of a list counts its items.
    most = type.max_length if isinstance(type, inspect.StrType) else None
    made = Field(
        name=field.name,
        label=translated(str(meta.get("title", "")) or sentence(field.name).replace("_", " "), language),
        help=_help(field, offer, language),
        widget=widget,
        required=(field.required or stays) and widget not in ("checkbox", "hidden"),
        value=value,
        was=given.get(f"!was.{field.name}", was.get(field.name)) if changes else None,
        choices=choices,
        problem=_problem(refusal, language),
        most=most,
        rows=14 if (most or 0) > 5_000 else 5,
        markdown=meta.get("format") == "markdown",
        old=given.get(f"!old.{field.name}"),
        first=offer.first,
        found=offer.found,
        later=bool(meta.get("later")),
    )
    return _fixed(made, why, was.get(field.name, "")) if (why := filling.fixed.get(field.name)) else made


async def _offer(writer: Writer, field: msgspec.structs.FieldInfo) -> Offer:
    type, meta, kind = bare_type(inspect.type_info(field.type)), meta_of(field.type), kind_of(field.type)
    widget = str(meta.get("widget", "")) or inputs.widget_of(type)
    if field.name == record_field(writer.command) or (kind and kind[0].name not in choosers()):
        return Offer("hidden")
    if kind and not kind[0].claim:
        own = await particular(writer.command).offer(writer, field.name)
        return own or await choosers()[kind[0].name](writer, field.name)
    if isinstance(type, inspect.LiteralType | inspect.EnumType):
        every = choices_of(field.type)
        offer = Offer(widget, tuple(Choice(value, inputs.called(every, value)) for value in every))
    elif COUNTRIES in str(meta.get("pattern", "")).replace("|", " "):
        offer = Offer("select", tuple(Choice(*each) for each in inputs.countries()))
    else:
        return Offer(widget)
    fit = await particular(writer.command).fit(writer, field.name)
    if fit is None:
        return offer
    return among([each for each in offer.choices if each.value in fit]) if fit else Offer("hidden")


def _help(field: msgspec.structs.FieldInfo, offer: Offer, language: str) -> str:
    type, meta = bare_type(inspect.type_info(field.type)), meta_of(field.type)
    said = [translated(str(meta.get("typed", "")), language)]
    if not (offer.choices and isinstance(type, inspect.StrType)) or kind_of(field.type):
        # How a country is written is said to whoever writes it, not to whoever chooses it.
        said.append(translated(str(meta.get("description", "")), language))
    said += offer.help
    if offer.widget == "datetime-local":
        said.append(translated(N_("Local time in %(zone)s."), language, {"zone": READER.get().zone}))
    if isinstance(type, inspect.StrType) and (type.min_length or 0) >= WORTH_SAYING:
        said.append(translated(N_("At least %(count)s characters."), language, {"count": type.min_length}))
    return " ".join(filter(None, said))


def _problem(refusal: Refusal | None, language: str) -> str:
    every = refusal.every if refusal else ()
    return " ".join(translated(each.message, language, each.values) for each in every)


def _fixed(field: Field, why: str, value: str) -> Field:
    words = {each.value: each.words for each in field.choices}
    if field.widget == "datetime-local" and value:
        value = moment(datetime.fromisoformat(value).replace(tzinfo=READER.get().tz).isoformat())
    else:
        value = words.get(value) or said_of(field.name, value)
    return replace(field, fixed=why, value=value, was=None, help="")
