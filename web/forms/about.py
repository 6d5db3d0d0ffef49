"""The record that a form is about: what its writer sees of it there, and whether the command can be given now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type

from domain.core import N_, Command, Word, mutation_of, record_field
from hub.checking import bare_type, fields_of
from web.forms import Left, Writer, inputs, particular
from web.labels import LABELS
from web.pages import path_of
from web.schema import schema
from web.schema.mutations import fields, record_type
from web.showing import named
from web.words import translated


@dataclass(frozen=True)
class About:
    """A record, as a form shows it above its fields.

    ``was`` is what it holds, by the command's fields and as a form writes it; ``found`` what was asked of it besides.
    ``summary`` is what it is about, ``facts`` what is said yes to, or cannot be undone; ``left`` what is not done yet
    of that which it stands for; ``due`` until when this can be done, where there is such a time; ``stands`` how it
    stands, as far as that matters to what is decided over it.
    """

    id: str
    path: str
    title: str
    status: str
    was: Mapping[str, str]
    actions: tuple[Mapping[str, Any], ...]
    found: Mapping[str, Any]
    summary: tuple[str, str] = ("", "")
    facts: tuple[tuple[str, str], ...] = ()
    left: tuple[Left, ...] = ()
    due: str = ""
    stands: str = ""

    def action(self, cls: type[Command]) -> Mapping[str, Any] | None:
        """What the API says of a command that may be given about this record; nothing where it may not."""
        return next((each for each in self.actions if each["mutation"] == mutation_of(cls)), None)

    def fixed(self, cls: type[Command]) -> dict[str, str]:
        """The fields of a command that cannot be changed of this record, and why."""
        found = (self.action(cls) or {}).get("fixed", ())
        return {fields(cls)[each["about"]]: each["message"] for each in found if each["about"] in fields(cls)}

    def closed(self, cls: type[Command], language: str) -> str:
        """Why a command cannot be given about this record now, or by this person; empty where it can."""
        if (action := self.action(cls)) is None:
            if cls.while_ is not None and self.status.lower() not in cls.while_:
                words = N_("This is not yours to do, or it cannot be done while the record is “%(status)s”.")
                called = LABELS[f"{record_type(cls)}Status"][self.status].words
                return translated(words, language, {"status": Word(called)})
            return translated(N_("This is not yours to do, or it does not fit this record."), language)
        return "" if action["available"] else str(action["reason"])


async def read_about(writer: Writer) -> About | None:
    """The record that a form is about, if its writer may read it and the command is about its kind, and about a part of
    it that is given besides, where it needs one.
    """
    cls, id = writer.command, writer.record
    own = particular(cls)
    type = schema().type_map[record_type(cls)]
    assert isinstance(type, GraphQLObjectType)
    titled = "title" if "title" in type.fields else "name"
    selected, nested = inputs.selection(cls, type)
    names = "namesBy: names { language text }" if "names" in type.fields else ""
    may = "may: actions { mutation available reason fixed { message about } } stands: status"
    wanted = f"id shown: {titled} {' '.join(selected)} {names} {own.selected} {may}"
    answered = await writer.ask(
        f"query($id: ID!) {{ node(id: $id) {{ ... on {type.name} {{ {wanted} }} }} {own.beside} }}", id=id
    )
    found = answered.pop("node")
    if not found or "shown" not in found:
        return None
    found |= answered
    if not own.fits(found, writer.given):
        return None
    held = {**found, **((found.get(nested) or {}) if nested else {})}
    # A name in a language is a field of its own there, and one of several here.
    held |= {f"name{each['language'].capitalize()}": each["text"] for each in found.get("namesBy", ())}
    enums = {name for name, f in type.fields.items() if isinstance(get_named_type(f.type), GraphQLEnumType)}
    was = {}
    for name, own_name in fields(cls).items():
        if own_name != record_field(cls) and (value := held.get(name)) is not None:
            enum = name in enums or (nested and isinstance(value, str) and value.isupper())
            was[own_name] = inputs.typed(value, bare_type(fields_of(cls)[own_name][1]), enum)
    return About(
        id=id,
        path=path_of(id),
        title=named({**found, "name": found["shown"], "names": found.get("namesBy")}),
        status=found["stands"],
        was=was,
        actions=tuple(found["may"]),
        found=found,
        summary=own.summary(found, writer.viewer.language),
        facts=tuple(own.facts(found, writer.given, writer.viewer.language)),
        due=own.due(found),
        stands=own.stands(found),
        left=tuple(each for each in await own.left(writer) if each.some.count),
    )
