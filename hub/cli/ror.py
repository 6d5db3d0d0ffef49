"""``hub import``: records from elsewhere."""

import asyncio
import json
import sys
from pathlib import Path

import click
from rich.progress import track

from domain.core import Refusal
from hub import ror
from hub.cli.console import err, opened
from hub.door import Hub


@click.group("import")
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
