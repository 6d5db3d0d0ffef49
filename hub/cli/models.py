"""``hub rebuild``, ``hub verify``: the read models and the tree, made anew and compared."""

import sys
from typing import Any

import click

from hub.audit import following
from hub.audit.events import differs, unsigned
from hub.audit.heads import LastHead
from hub.audit.notes import Head, Malformed
from hub.audit.sealer import Stopped
from hub.cli.console import err, opened
from hub.database import default_home
from hub.door import Hub
from hub.models import verify


@click.command()
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


@click.command("verify")
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
