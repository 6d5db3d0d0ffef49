"""The fields of a form, from its command: label, help, choices, what was typed, and the problem beside each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from msgspec import inspect

from domain.core import COUNTRIES, N_, Command, Kind, Reason, Refusal, Role, kind_of, meta_of, record_field, sentence
from domain.proposals.partners import UninvitePartner
from hub.checking import bare_type, choices_of, takes_empty
from web import inputs
from web.choosing import CHOSEN, SHOWN, Choice, Choosing, Found
from web.preferences import READER
from web.reads.viewer import Viewer
from web.showing import moment, said_of
from web.words import translated

WORTH_SAYING = 10
"""From how many characters on a text is told beforehand how long it has to be."""


@dataclass(frozen=True)
class Field:
    """One field of a form, as its template shows it.

    ``was`` is what the record holds, ``old`` what it held when somebody began to write and others changed it meanwhile;
    ``first`` is what has to be done before, and where; ``found`` what was looked for, where all is too much to show;
    ``fixed`` why it cannot be changed.
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
    first: tuple[str, str] = ("", "")
    found: Found | None = None
    later: bool = False
    fixed: str = ""


@dataclass(frozen=True)
class Filling:
    """What a form is filled with: what was ``given`` to it, what its record holds, what does not fit, what is fixed."""

    given: Mapping[str, str]
    was: Mapping[str, str]
    wrong: Mapping[str, Refusal]
    fixed: Mapping[str, str]


@dataclass(frozen=True)
class _Offer:
    # What a field offers: how it is shown, what can be chosen, and what each partner is asked to contribute.
    widget: str
    choices: tuple[Choice, ...] = ()
    found: Found | None = None
    asked: Sequence[tuple[Choice, str]] = ()


class Fields:
    """Makes the fields of one hub's forms, with the choices that their writer may name."""

    def __init__(self, choosing: Choosing) -> None:
        self._choosing = choosing

    async def of(self, viewer: Viewer, cls: type[Command], filling: Filling) -> list[Field]:
        """All fields of a command, in their order, in the viewer's language."""
        return [await self._field(viewer, cls, each, filling) for each in msgspec.structs.fields(cls)]

    async def _field(
        self, viewer: Viewer, cls: type[Command], field: msgspec.structs.FieldInfo, filling: Filling
    ) -> Field:
        language, given, was = viewer.language, filling.given, filling.was
        type, meta, kind = bare_type(inspect.type_info(field.type)), meta_of(field.type), kind_of(field.type)
        offer = await self._offer(viewer, cls, field, given)
        widget, choices = offer.widget, offer.choices
        value = given.get(field.name, was.get(field.name, inputs.default_of(field)))
        if not value and widget in ("select", "list") and field.required and len(choices) == 1:
            value = choices[0].value
        first = ("", "")
        if field.name == "lead":
            value = value or next((each.value for each in choices), "")
            if not choices:
                words = N_("Say first where you work: your organization leads the proposal, once it is verified.")
                first = translated(words, language), f"/do/declareAffiliation?person={viewer.person}"
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
            first=first,
            found=offer.found,
            later=bool(meta.get("later")),
        )
        return _fixed(made, why, was.get(field.name, "")) if (why := filling.fixed.get(field.name)) else made

    async def _offer(
        self, viewer: Viewer, cls: type[Command], field: msgspec.structs.FieldInfo, given: Mapping[str, str]
    ) -> _Offer:
        type, meta, kind = bare_type(inspect.type_info(field.type)), meta_of(field.type), kind_of(field.type)
        widget = str(meta.get("widget", "")) or inputs.widget_of(type)
        if field.name == record_field(cls) or (kind and kind[0].name not in CHOSEN):
            return _Offer("hidden")
        if kind and not kind[0].claim:
            return await self._records(viewer, cls, field.name, kind[0], given)
        if isinstance(type, inspect.LiteralType | inspect.EnumType):
            every = (Choice(value, inputs.called(field.name, value)) for value in choices_of(field.type))
            return _Offer(widget, tuple(every))
        if COUNTRIES in str(meta.get("pattern", "")).replace("|", " "):
            return _Offer("select", tuple(Choice(*each) for each in inputs.countries()))
        return _Offer(widget)

    async def _records(
        self, viewer: Viewer, cls: type[Command], name: str, kind: Kind, given: Mapping[str, str]
    ) -> _Offer:
        chosen, record = given.get(name, ""), given.get(record_field(cls) or "", "")
        asked: Sequence[tuple[Choice, str]] = ()
        if name == "lead":
            # Only an organization that confirms the applicant can lead: no other one is offered.
            choices = await self._choosing.own(viewer)
        elif cls is UninvitePartner or cls.by <= {Role.PARTNER_OFFICER}:
            partners = await self._choosing.partners(viewer, cls, record)
            choices = tuple(partners)
            asked = () if cls is UninvitePartner else tuple(partners.items())
        elif "affiliation" in given:
            choices = await self._choosing.affiliated(viewer, record, given["affiliation"])
        elif kind.name == "call":
            choices = await self._choosing.calls(viewer, chosen)
        elif kind.name == "organization":
            found = await self._choosing.organizations(viewer, cls, record, given.get(f"!find.{name}", ""), chosen)
            return _Offer("find", found.choices, found)
        else:
            choices = await self._choosing.people(viewer, cls, record, chosen)
        # What tells one from another needs more room than a line of a phone.
        return _Offer("list" if len(choices) <= SHOWN else "select", choices, asked=asked)


def _help(field: msgspec.structs.FieldInfo, offer: _Offer, language: str) -> str:
    type, meta = bare_type(inspect.type_info(field.type)), meta_of(field.type)
    said = [translated(str(meta.get("typed", "")), language)]
    if not (offer.choices and isinstance(type, inspect.StrType)) or kind_of(field.type):
        # How a country is written is said to whoever writes it, not to whoever chooses it.
        said.append(translated(str(meta.get("description", "")), language))
    for each, contribution in offer.asked:
        words = translated(N_("%(organization)s is asked for:"), language, {"organization": each.words})
        said.append(f"{words} {contribution}")
    if offer.widget == "datetime-local":
        said.append(translated(N_("As clocks show in %(zone)s."), language, {"zone": READER.get().zone}))
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
