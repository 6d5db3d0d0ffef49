"""``hub do``: every command, derived."""

import re
from typing import Any

import click
import msgspec
from msgspec import inspect

from domain.core import HUB, LANGUAGES, Command, Refusal, admitted, every_command, kind_of, meta_of, sentence
from domain.people.access import EndAccess, GiveAccess
from domain.seals.commands import SealReadModels
from hub.checking import bare_type, choices_of, lines_as
from hub.checking import command as checked
from hub.cli.console import err, opened, shown
from hub.door import Hub
from hub.turns import Receipt


@click.group("do")
def do() -> None:
    """Give a command in somebody's name; it is checked as it is everywhere else.

    The log tells that it was given here: its request begins with “console”.
    """


def _derived(cls: type[Command]) -> click.Command:
    fields = msgspec.structs.fields(cls)
    types = {field.name: bare_type(inspect.type_info(field.type)) for field in fields}
    flags = {name for name, type in types.items() if isinstance(type, inspect.BoolType)}
    several = {name for name, type in types.items() if isinstance(type, inspect.VarTupleType | inspect.DictType)}

    def run(as_: str, key: str | None, as_json: bool, **given: Any) -> None:
        plain = {name: value for name, value in given.items() if value is not None and value != ()}
        for name in plain:
            if (lines := lines_as(types[name])) is not None:
                typed = (line for each in plain[name] for line in each.splitlines() if line.strip())
                plain[name] = [lines.parts(line) for line in typed]
            elif isinstance(types[name], inspect.DictType):
                plain[name] = dict(_by_language(each, name) for each in plain[name])
        for name in flags & plain.keys():
            plain[name] = {"yes": "true", "no": "false"}.get(plain[name].lower(), plain[name])
        try:
            command = checked(cls, plain)
        except Refusal as refusal:
            wrong = ((f"--{each.field.replace('_', '-')}: " if each.field else "", each) for each in refusal.every)
            raise click.UsageError("\n".join(f"{field}{each}" for field, each in wrong)) from None

        async def story(hub: Hub) -> Receipt:
            actor = await hub.person_of(as_) or as_ if "@" in as_ else as_
            try:
                return await hub.do(command, actor, key, by="console")
            except Refusal as refusal:
                known = f"SELECT status FROM {hub.models.schema}.person WHERE id = $1"
                if actor != HUB and await hub.log.pool.fetchval(known, actor) != "joined":
                    err.print(f"“{as_}” is nobody who has joined: “hub people” lists everybody.")
                if as_json:
                    told = {**_said(refusal), "missing": [*map(_said, refusal.every)]}
                    click.echo(msgspec.json.encode({"refusal": told}))
                raise

        shown(opened(story, records=True), as_json)

    options: list[click.Parameter] = [
        click.Option(
            ["--" + field.name.replace("_", "-"), field.name],
            required=field.required,
            multiple=field.name in several,
            help=_help(field),
        )
        for field in fields
    ]
    options += [
        click.Option(["--as", "as_"], required=True, help=f"Who gives it: a person's id or address, or “{HUB}”."),
        click.Option(["--key"], callback=_key, help="Makes a retry safe: the same key gives the same answer."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the receipt, or the refusal, as JSON."),
    ]
    name = sentence(cls.__name__).lower().replace(" ", "-")
    return click.Command(name, params=options, callback=run, help=f"{cls.__doc__}\n\n{admitted(cls)}")


def _key(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[\x21-\x7e]{1,200}", value):
        raise click.BadParameter("1 to 200 visible ASCII characters are asked for.")
    return value


def _by_language(text: str, option: str) -> tuple[str, str]:
    language, equals, name = text.partition("=")
    if not equals or language not in LANGUAGES or not name.strip():
        raise click.UsageError(f"--{option}: write each as “tg=…”, with one of " + ", ".join(LANGUAGES) + ".")
    return language, name.strip()


def _said(refusal: Refusal) -> dict[str, Any]:
    return {"code": refusal.reason.value, "message": str(refusal), "field": refusal.field}


_WRITTEN = {
    inspect.DateTimeType: "As in 2027-03-01T09:00:00Z.",
    inspect.DateType: "As in 2027-03-01.",
    inspect.BoolType: "Yes or no.",
}
"""How what is typed for a value is written, where that is not plain."""


def _help(field: msgspec.structs.FieldInfo) -> str:
    kind = kind_of(field.type)
    meta = meta_of(field.type)
    words = [meta[name].rstrip(".") + "." for name in ("title", "description", "typed") if meta.get(name)]
    if kind and not kind[0].claim:
        words.append(f"An id: {kind[0].name}_….")
    words += [how for type, how in _WRITTEN.items() if isinstance(bare_type(inspect.type_info(field.type)), type)]
    if values := choices_of(field.type):
        words.append(f"One of {', '.join(values)}.")
    if not field.required and field.default not in (None, "", (), msgspec.NODEFAULT):
        words.append(f"Left out: {field.default}.")
    return " ".join(dict.fromkeys(words))


for _cls in every_command():
    if _cls in (SealReadModels, GiveAccess, EndAccess):
        continue  # what these say is done, not typed: by ``hub seal``, ``hub link``, ``hub token``, ``hub revoke``
    do.add_command(_derived(_cls))
