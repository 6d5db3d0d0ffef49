"""The command line: ``hub``.

Exit codes: 0 done; 1 refused, or a difference was found; 2 wrong usage or malformed input; 3 the database is not to
be had; 141 nobody read the output to its end.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.progress import track

from domain.core import Refusal, every_event, says, stored_names
from hub import reading, ror
from hub.audit import following
from hub.audit.events import differs, unsigned
from hub.audit.heads import LastHead
from hub.audit.notes import Head, Malformed
from hub.audit.sealer import Stopped
from hub.auditing import key, policy, restore, seal, witness
from hub.backups import backup
from hub.console import Program, err, opened
from hub.database import default_home
from hub.doctor import doctor
from hub.doing import do
from hub.door import Hub
from hub.log import Recorded
from hub.mirroring import mirror
from hub.models import verify
from hub.persons import forget, invite, link, people, revoke, token
from hub.serving import at, serve


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="central-asia-ai-hub", message="%(version)s")
def main() -> None:
    """The hub for joint AI research in Central Asia.

    Data live in HUB_HOME, or in the PostgreSQL server that HUB_DATABASE_URL names.
    Exit codes: 0 done, 1 refused or different, 2 wrong usage or malformed input, 3 no database,
    141 nobody read the output to its end.
    """


@main.group("import")
def import_() -> None:
    """Take records from elsewhere."""


@import_.command("ror")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def import_ror(file: Path, as_json: bool) -> None:
    """Import organizations from ROR's dump; doing so again records only what has changed.

    Of a record that is inactive there nothing is recorded, unless it was active when it was imported.

    A malformed record is reported with its index and skipped; then the exit code is 2.
    """
    try:
        found = ror.records(file)
    except ror.Unreadable as error:
        err.print(str(error))
        sys.exit(2)

    async def story(hub: Hub) -> dict[str, int]:
        counts = {"recorded": 0, "unchanged": 0, "inactive": 0, "malformed": 0}
        limit = asyncio.Semaphore(64)

        async def one(index: int, command: ror.ImportOrganization | ValueError) -> None:
            async with limit:
                try:
                    if isinstance(command, ValueError):
                        raise command
                    receipt = await hub.do(command, by="console")
                    counts["recorded" if receipt.events else "unchanged" if command.active else "inactive"] += 1
                except (ValueError, Refusal) as error:
                    counts["malformed"] += 1
                    err.print(f"record {index}: {error}")

        tasks = [asyncio.create_task(one(*each)) for each in ror.commands(found)]
        try:
            for task in track(tasks, "Importing", console=err, disable=not err.is_terminal):
                await task
        finally:
            # Where one cannot be recorded, the others end before the hub closes.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return counts

    counts = opened(story, makes=True)
    click.echo(json.dumps(counts) if as_json else ", ".join(f"{n} {name}" for name, n in counts.items()))
    sys.exit(2 if counts["malformed"] else 0)


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
        words = says(type(recorded.event))
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
    known = stored_names(*every_event())
    for each in types:
        if each not in known:
            raise click.UsageError(f"--type: no event is called “{each}”.")

    async def story(hub: Hub) -> None:
        position = after
        while True:
            batch = await hub.log.read(position, tag, list(types) or None)
            for each in batch:
                _printed(each, as_json)
                position = each.position
            if not batch and not follow:
                if tag is not None and position == after:
                    err.print(f"No event{f' after {after}' if after else ''} mentions “{tag}”.")
                return
            if not batch:
                await asyncio.sleep(0.5)

    try:
        opened(story)
    except KeyboardInterrupt:
        sys.exit(0)
    except BrokenPipeError:
        # Whoever reads has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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
        err.print("There is no such record, or you may not read it.")
        sys.exit(1)
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@main.command()
@click.option(
    "--drop-others", is_flag=True, help="Drop those of other versions of the software, which no longer serve."
)
@click.option("--tree", is_flag=True, help="Make the Merkle tree anew instead.")
def rebuild(drop_others: bool, tree: bool) -> None:
    """Make the read models anew from the log, and say how fast; exit 1 where the log is not what was signed of it."""
    kept = _last_head()

    async def story(hub: Hub) -> tuple[int, float]:
        if tree:
            return await following.rebuild_tree(hub, kept)
        if wrong := await unsigned(hub.log.dsn, kept):
            raise Stopped(f"{wrong}: what people read stays as it is, and “hub verify” says what differs.")
        if drop_others:
            await hub.models.remove_others()
        return await hub.rebuild()

    try:
        events, seconds = opened(story)
    except Stopped as error:
        err.print(f"Nothing was made anew: {error}")
        sys.exit(1)
    click.echo(f"{events} events in {seconds:.2f} s: {events / max(seconds, 1e-9):,.0f} events/s")


def _last_head() -> Head | None:
    # What this hub signed last, as the folder remembers it; leaves where that is damaged.
    try:
        return LastHead(default_home() / "log.head").read()
    except Malformed as error:
        err.print(str(error))
        sys.exit(2)


@main.command("verify")
def verify_() -> None:
    """Compare events with what was signed of them, and read models with a replay; exit 1 and name what differs first.

    Of events: their order and times, the tags by which decisions find them, the tree's tiles, the last signed heads, in
    the database and in HUB_HOME. Of read models: every row. Whoever runs the database can change all of these together:
    only witnesses, mirrors and auditors prove that nobody did (hub-audit).
    """
    kept = _last_head()

    async def story(hub: Hub) -> tuple[int, str, int, Any]:
        return *await differs(hub.log.dsn, kept), *await verify(hub.log, hub.models)

    signed, wrong, at, difference = opened(story)
    if wrong:
        click.echo(f"The events are not as they were recorded: {wrong}.")
    else:
        click.echo(
            f"The events are those that were signed, up to {signed}."
            if signed
            else "The events' order, times and tags are right; no signed head is here that they could be compared with."
        )
    if difference:
        click.echo(f"At position {at}, the first row that differs: {difference[0]} {difference[1]}")
    else:
        click.echo(f"Identical at position {at}: every row of the read models is what the events give.")
    sys.exit(1 if wrong or difference else 0)


_people, _trust = (people, invite, link, token, revoke, forget), (key, policy, seal, witness, mirror)
for _command in (do, doctor, serve, at, backup, restore, *_people, *_trust):
    main.add_command(_command)


if __name__ == "__main__":
    main()
