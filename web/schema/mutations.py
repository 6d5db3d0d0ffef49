"""Mutations, derived from commands: one input, one payload with a receipt or a refusal."""

import json
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import msgspec
from graphql import DocumentNode, EnumTypeDefinitionNode
from msgspec import inspect

from domain.core import Command, Reason, Role, admitted, every_command, kind_of, mutation_of, record_field
from hub.checking import bare_type, fields_of
from web.reads.mapping import type_of

_MUTATIONS = (
    "Commands. Each is recorded whole, or not at all. Several in one request are carried out one after another, each "
    "for itself: one that is refused keeps back none of the others. Where an error ends the request, its extensions "
    "say under `recorded` what was recorded before."
)


def commands() -> dict[str, type[Command]]:
    """The commands that people give, by the name of their mutation; those of the hub alone are not among them."""
    found = {mutation_of(cls): cls for cls in every_command()}
    return {name: cls for name, cls in sorted(found.items()) if cls.by != {Role.HUB}}


def camel(name: str) -> str:
    """``opens_at`` in the words of GraphQL: ``opensAt``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def fields(cls: type[Command]) -> dict[str, str]:
    """The fields of a command by their names in the input."""
    return {camel(name): name for name in cls.__struct_fields__}


def record_type(cls: type[Command]) -> str:
    """The GraphQL type of the record that a command is about."""
    return type_of(cls.on.kind.name)


def plain(cls: type[Command], given: dict[str, Any]) -> dict[str, Any]:
    """An input as the command's own fields: enums in the domain's letters, absent and null alike left out."""
    names, known = fields(cls), fields_of(cls)
    found = {}
    for name, value in given.items():
        if value is not None:
            own = names[name]
            found[own] = _lowered(known[own][1], value)
    return found


def _lowered(type: inspect.Type, value: Any) -> Any:
    type = bare_type(type)
    if isinstance(type, inspect.LiteralType | inspect.EnumType) and isinstance(value, str):
        return value.lower()
    if isinstance(type, inspect.StructType) and isinstance(value, dict):
        return {name: each for name, each in value.items() if each is not None}
    return value


def sdl(written: DocumentNode) -> str:
    """The derived part of the schema."""
    enums = {
        frozenset(str(value.name.value).lower() for value in node.values or ()): node.name.value
        for node in written.definitions
        if isinstance(node, EnumTypeDefinitionNode)
    }
    parts = [_enum("RefusalCode", "Why a command was refused.", {reason.value: reason.meaning for reason in Reason})]
    mutations: list[str] = []
    structs: dict[str, tuple[str, str]] = {}
    for name, cls in commands().items():
        inputs = "\n".join(_input_fields(cls, enums, structs))
        title = cls.__name__
        record = cls.on.kind.name
        parts.append(f"{_said(f'What `{name}` is given.')}\ninput {title}Input {{\n{inputs}\n}}")
        parts.append(
            f"{_said(f'What became of `{name}`: a receipt, or a refusal.')}\ntype {title}Payload {{\n"
            f"  {_said('What was recorded.')}\n  receipt: Receipt\n"
            f"  {_said('Why nothing was recorded.')}\n  refusal: Refusal\n"
            f"  {_said('The record as it is now, where you may read it.')}\n  {camel(record)}: {record_type(cls)}\n}}"
        )
        mutations.append(f"  {_said(_documented(cls))}\n  {name}(input: {title}Input!): {title}Payload!")
    parts += [f"{_said(doc)}\ninput {name} {{\n{body}\n}}" for name, (doc, body) in structs.items()]
    parts.append(f"{_said(_MUTATIONS)}\ntype Mutation {{\n" + "\n".join(mutations) + "\n}")
    return "\n\n".join(parts)


def _documented(cls: type[Command]) -> str:
    return f"{_doc(cls)} {_doc(cls.decide)} {admitted(cls)}"


def _doc(of: object) -> str:
    # As Python gives it from 3.13 on, and did not before: without the indentation of the code.
    return cleandoc(of.__doc__ or "").strip()


def _enum(name: str, said: str, values: dict[str, str]) -> str:
    return f"{_said(said)}\nenum {name} {{\n" + "\n".join(f"  {_said(each)} {v}" for v, each in values.items()) + "\n}"


def _said(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _input_fields(cls: Any, enums: dict[frozenset[str], str], structs: dict[str, tuple[str, str]]) -> Iterator[str]:
    for field in msgspec.structs.fields(cls):
        kind = kind_of(field.type)
        named = kind is not None and not kind[0].claim
        type = "ID" if named else _graphql(inspect.type_info(field.type), enums, structs)
        default = ""
        if field.required:
            type += "!"
        elif isinstance(field.default, int | bool) and field.default is not None:
            default = f" = {json.dumps(field.default)}"
        elif isinstance(field.default, str) and field.default:
            default = f" = {field.default.upper()}"
        own = [f"The {kind[0].name} that it is about."] if kind and field.name == record_field(cls) else []
        said = " ".join(dict.fromkeys((*own, *(text for meta in _metas(field.type) for text in meta))))
        if not named and (bounds := _bounds(bare_type(inspect.type_info(field.type)))):
            said = f"{said} {bounds}".strip()
        described = f"  {_said(said)}\n" if said else ""
        yield f"{described}  {camel(field.name)}: {type}{default}"


def _bounds(type: inspect.Type) -> str:
    # How long a text or a list may be, or how large a number.
    match type:
        case inspect.StrType():
            least, most, what = type.min_length, type.max_length, " characters"
        case inspect.VarTupleType() | inspect.ListType():
            least, most, what = type.min_length, type.max_length, " of them"
        case inspect.IntType() | inspect.FloatType():
            least, most, what = type.ge, type.le, ""  # type: ignore[assignment]
        case _:
            return ""
    if least is None and most is None:
        return ""
    if most is None:
        return f"At least {least:,}{what}."
    return f"{least:,} to {most:,}{what}." if least is not None else f"At most {most:,}{what}."


def _metas(annotation: Any) -> Iterator[list[str]]:
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, msgspec.Meta):
            yield [text.rstrip(".") + "." for text in (extra.title, extra.description) if text]
    for inner in getattr(annotation, "__args__", ()):
        if hasattr(inner, "__metadata__"):
            yield from _metas(inner)


def _graphql(type: inspect.Type, enums: dict[frozenset[str], str], structs: dict[str, tuple[str, str]]) -> str:
    bare = bare_type(type)
    match bare:
        case inspect.LiteralType():
            return enums[frozenset(map(str, bare.values))]
        case inspect.EnumType():
            return enums[frozenset(each.value for each in bare.cls)]
        case inspect.VarTupleType() | inspect.ListType():
            return f"[{_graphql(bare.item_type, enums, structs)}!]"
        case inspect.StructType():
            name = bare.cls.__name__ + "Input"
            if name not in structs:
                structs[name] = _doc(bare.cls), ""
                structs[name] = structs[name][0], "\n".join(_input_fields(bare.cls, enums, structs))
            return name
    simple = {
        inspect.StrType: "String",
        inspect.IntType: "Int",
        inspect.FloatType: "Float",
        inspect.BoolType: "Boolean",
        inspect.DateTimeType: "DateTime",
        inspect.DateType: "Date",
    }
    return simple[bare.__class__]
