"""``hub log``, ``hub show``: what is recorded, and a record as somebody may read it."""

import asyncio
import json
import sys
from typing import Any

import click
import msgspec

from domain.core import every_event, says, stored_names
from hub import reading
from hub.cli.console import err, opened
from hub.door import Hub
from hub.log import Recorded


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


@click.command()
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


@click.command()
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
