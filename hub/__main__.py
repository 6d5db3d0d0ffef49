"""The command line: ``hub``.

Exit codes: 0 done; 1 refused, or a difference was found; 2 wrong usage or malformed input; 3 the database is not to
be had.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click
import msgspec
from rich.console import Console
from rich.progress import track

from domain.core import HUB, Command, Refusal, every_command, kind_of, sentence
from domain.people import ErasePerson, InvitePerson
from hub import reading, ror
from hub.door import Hub
from hub.log import Recorded
from hub.models import digest, verify
from hub.postgres import Unavailable, database, default_home
from hub.writer import Receipt

T = TypeVar("T")
_err = Console(stderr=True, highlight=False)


def opened(story: Callable[[Hub], Awaitable[T]]) -> T:
    """Run a story on the open hub; what fails says what to do and leaves with its exit code."""

    async def run(dsn: str) -> T:
        hub = await Hub.open(dsn)
        try:
            return await story(hub)
        finally:
            await hub.close()

    try:
        with database(default_home(), lambda text: _err.print(text, style="dim")) as dsn:
            return asyncio.run(run(dsn))
    except Unavailable as error:
        _err.print(str(error))
        sys.exit(3)
    except asyncpg.DataError as error:
        _err.print(f"This cannot be looked up: {str(error).partition(': ')[2] or error}")
        sys.exit(2)
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        _err.print(f"The database cannot be reached: {error}. Is HUB_DATABASE_URL right?")
        sys.exit(3)
    except Refusal as refusal:
        _err.print(f"Refused ({refusal.reason}): {refusal}" + (f" [field: {refusal.field}]" if refusal.field else ""))
        sys.exit(1)


def shown(receipt: Receipt, as_json: bool) -> None:
    """Print what became of a command."""
    if as_json:
        click.echo(msgspec.json.encode(receipt))
    elif receipt.events:
        click.echo(f"Recorded at position {receipt.position}: {receipt.record}")
    else:
        click.echo(f"Nothing had to be done: {receipt.record}")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The hub for joint AI research in Central Asia.

    Data live in HUB_HOME, or in the PostgreSQL server that HUB_DATABASE_URL names.
    Exit codes: 0 done, 1 refused or different, 2 wrong usage or malformed input, 3 no database.
    """


@main.group("import")
def import_() -> None:
    """Take records from elsewhere."""


@import_.command("ror")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_ror(file: Path, as_json: bool) -> None:
    """Import organizations from ROR's dump; doing so again records only what has changed.

    A malformed record is reported with its index and skipped; then the exit code is 2.
    """
    try:
        found = ror.records(file)
    except ror.Unreadable as error:
        _err.print(str(error))
        sys.exit(2)

    async def story(hub: Hub) -> dict[str, int]:
        counts = {"recorded": 0, "unchanged": 0, "malformed": 0}
        limit = asyncio.Semaphore(64)

        async def one(index: int, command: ror.ImportOrganization | ValueError) -> None:
            async with limit:
                try:
                    if isinstance(command, ValueError):
                        raise command
                    receipt = await hub.do(command)
                    counts["recorded" if receipt.events else "unchanged"] += 1
                except (ValueError, Refusal) as error:
                    counts["malformed"] += 1
                    _err.print(f"record {index}: {error}")

        tasks = [asyncio.create_task(one(*each)) for each in ror.commands(found)]
        for task in track(tasks, "Importing", console=_err, disable=not _err.is_terminal):
            await task
        return counts

    counts = opened(story)
    click.echo(json.dumps(counts) if as_json else ", ".join(f"{n} {name}" for name, n in counts.items()))
    sys.exit(2 if counts["malformed"] else 0)


@main.group("do")
def do() -> None:
    """Give a command in somebody's name; it is checked as it is everywhere else."""


def _derived(cls: type[Command]) -> click.Command:
    fields = msgspec.structs.fields(cls)

    def run(as_: str, key: str | None, as_json: bool, **given: Any) -> None:
        plain = {name: value for name, value in given.items() if value is not None and value != ()}
        if "criteria" in plain:
            plain["criteria"] = [_criterion(each) for each in plain["criteria"]]
        try:
            command = msgspec.convert(plain, cls, strict=False)
        except msgspec.ValidationError as error:
            raise click.UsageError(str(error)) from None
        shown(opened(lambda hub: hub.do(command, as_, key)), as_json)

    options: list[click.Parameter] = [
        click.Option(
            ["--" + field.name.replace("_", "-"), field.name],
            required=field.required,
            multiple="tuple" in str(field.type),
            help=_help(field),
        )
        for field in fields
    ]
    options += [
        click.Option(["--as", "as_"], required=True, help=f"The id of the person who gives it, or “{HUB}”."),
        click.Option(["--key"], help="Makes a retry safe: the same key gives the same answer."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print the receipt as JSON."),
    ]
    who = ", ".join(sorted(role.value for role in cls.by))
    when = f" While the record is {', '.join(sorted(cls.while_))}." if cls.while_ else ""
    name = sentence(cls.__name__).lower().replace(" ", "-")
    return click.Command(name, params=options, callback=run, help=f"{cls.__doc__}\n\nFor {who}.{when}")


def _criterion(text: str) -> dict[str, Any]:
    name, colon, weight = text.rpartition(":")
    if not colon or not weight.strip().isdecimal():
        raise click.UsageError("--criteria: write each as “name: percent”.")
    return {"name": name.strip(), "weight": int(weight)}


def _help(field: msgspec.structs.FieldInfo) -> str:
    kind = kind_of(field.type)
    words = [f"The id of a {kind[0].name}."] if kind and not kind[0].claim else []
    for extra in getattr(field.type, "__metadata__", ()):
        if isinstance(extra, msgspec.Meta):
            words += [text for text in (extra.title, extra.description) if text]
    return " ".join(words)


for _cls in every_command():
    if not any(isinstance(field.type, type) and field.type is dict for field in msgspec.structs.fields(_cls)):
        do.add_command(_derived(_cls))


@main.command()
@click.argument("email")
@click.option("--name", required=True, help="The person's full name.")
@click.option("--center-officer", is_flag=True, help="Make them an officer of the Center.")
def invite(email: str, name: str, center_officer: bool) -> None:
    """Invite a person in the hub's own name: the first one, for instance."""
    from domain.people import GrantRole

    try:
        command = msgspec.convert({"email": email, "name": name}, InvitePerson)
    except msgspec.ValidationError as error:
        raise click.UsageError(str(error)) from None

    async def story(hub: Hub) -> Receipt:
        receipt = await hub.do(command)
        if center_officer and receipt.record:
            await hub.do(GrantRole(person=receipt.record, role="center_officer"))
        return receipt

    shown(opened(story), as_json=False)


@main.command()
@click.argument("person")
@click.confirmation_option(prompt="This destroys the person's name, e-mail and ORCID iD for good. Go on?")
def forget(person: str) -> None:
    """Erase a person's personal data; what they did stays under their id, and everything still replays."""
    shown(opened(lambda hub: hub.do(ErasePerson(person=person))), as_json=False)


def _printed(recorded: Recorded, as_json: bool) -> None:
    if as_json:
        head = {
            "position": recorded.position,
            "type": recorded.type,
            "tags": recorded.tags,
            "actor": recorded.actor,
            "at": recorded.at,
            "request": recorded.request,
            "data": msgspec.Raw(recorded.data),
        }
        click.echo(msgspec.json.encode(head))
    else:
        words = (type(recorded.event).__doc__ or "").strip().splitlines()[0]
        click.echo(f"{recorded.position:>8}  {recorded.at:%Y-%m-%d %H:%M:%S}  {recorded.type}  {recorded.actor}")
        click.echo(f"          {words}  {' '.join(recorded.tags)}")


@main.command()
@click.option("--after", default=0, type=click.IntRange(0, 2**63 - 1), help="Begin after this position.")
@click.option("--tag", help="Only events that mention this id.")
@click.option("--type", "types", multiple=True, help="Only events of this type; may be repeated.")
@click.option("--follow", is_flag=True, help="Wait for new events; end with Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def log(after: int, tag: str | None, types: tuple[str, ...], follow: bool, as_json: bool) -> None:
    """Print the event log."""

    async def story(hub: Hub) -> None:
        position = after
        while True:
            batch = await hub.log.read(position, tag, list(types) or None)
            for each in batch:
                _printed(each, as_json)
                position = each.position
            if not batch and not follow:
                return
            if not batch:
                await asyncio.sleep(0.5)

    try:
        opened(story)
    except KeyboardInterrupt:
        sys.exit(0)


@main.command()
@click.argument("record")
@click.option("--as", "as_", help="The id of the person who looks; left out, anybody.")
def show(record: str, as_: str | None) -> None:
    """Print a record as a person may read it; exit 1 where there is none, or none for them."""

    async def story(hub: Hub) -> dict[str, Any] | None:
        viewer = await reading.principals(hub.log, hub.models, as_)
        return await reading.record(hub.log, hub.models, record, viewer)

    found = opened(story)
    if found is None:
        _err.print("There is no such record, or you may not read it.")
        sys.exit(1)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@main.command()
def rebuild() -> None:
    """Make the read models anew from the log, and say how fast."""

    async def story(hub: Hub) -> tuple[int, float]:
        return await hub.rebuild()

    events, seconds = opened(story)
    click.echo(f"{events} events in {seconds:.2f} s: {events / max(seconds, 1e-9):,.0f} events/s")


@main.command("verify")
def verify_() -> None:
    """Replay the log beside the live read models and compare every row; exit 1 and name the first that differs."""

    async def story(hub: Hub) -> tuple[int, Any]:
        return await verify(hub.log, hub.models)

    at, difference = opened(story)
    if difference:
        click.echo(f"At position {at}, the first row that differs: {difference[0]} {difference[1]}")
        sys.exit(1)
    click.echo(f"Identical at position {at}.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json: bool) -> None:
    """Say how the hub is: versions, head, read models, parked records."""

    async def story(hub: Hub) -> dict[str, Any]:
        parked = await hub.log.pool.fetch(f"SELECT * FROM {hub.models.schema}.parked ORDER BY position")
        return {
            "engine": await hub.log.pool.fetchval("SELECT version()"),
            "head": await hub.log.head(),
            "read models": digest(),
            "read models at": await hub.log.pool.fetchval(f"SELECT at FROM {hub.models.schema}.position"),
            "parked": [dict(row) for row in parked],
        }

    found = opened(story)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, value in found.items():
            click.echo(f"{name:>15}  {value if value != [] else 'none'}")
    sys.exit(1 if found["parked"] else 0)


if __name__ == "__main__":
    main()
