"""``hub doctor``: how the hub is."""

import json
import shutil
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import asyncpg
import click

from domain.core import stored_names
from domain.people.events import PersonErased, PersonInvited
from hub.audit import following
from hub.audit.notes import Malformed
from hub.audit.seals import unproven
from hub.cli.backups import key_in, last_backup, on
from hub.cli.console import opened
from hub.cli.persons import unreadable
from hub.database import default_home
from hub.door import Hub
from hub.dumps import Unfit
from hub.keeping import UNHEARD, due
from hub.log import keys_of
from hub.mail import ENOUGH, Mail
from hub.settings import policy_file
from hub.tables import digest

MAILING = ("as it should", "no server is named: links are handed over")
LONGEST = timedelta(hours=12)
"""How long an erasure may wait for whoever reads from before it, before somebody has to look at that."""
LATE = timedelta(minutes=1)
"""How long what is to be done by itself may wait while a hub is served."""
SEALING, RESTING = "as it should", "not now: the hub is not being served"


AHEAD = ": later than this clock, and so is all that follows until then"
RECORDING = "as it should"
ROOM = 500_000_000
"""Bytes below which somebody has to make room: a disk that is full stops all recording."""
_HELD_UP = """SELECT DISTINCT b.pid, coalesce(b.usename, 'nobody') AS who, left(b.query, 80) AS what
    FROM pg_stat_activity w CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS held (pid)
    JOIN pg_stat_activity b ON b.pid = held.pid
    WHERE w.datname = current_database() AND w.wait_event_type = 'Lock' AND w.wait_event <> 'advisory'
    AND w.state_change < now() - interval '5 seconds' AND cardinality(pg_blocking_pids(b.pid)) = 0"""
_WAITING = """SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()
    AND state_change < now() - interval '5 seconds'"""


async def _mail(hub: Hub) -> str:
    # Why invitations wait, or that they do not.
    if Mail.told() is None:
        return MAILING[1]
    return str(await hub.log.pool.fetchval("SELECT max(trouble) FROM hub.mailing") or MAILING[0])


async def _unmailed(hub: Hub) -> tuple[list[str], bool]:
    # The mails that were not taken, each with why; and whether one was refused for good. Whoever was invited is waited
    # for until they come, others for a week: then whatever it was stands on their first page.
    found = await hub.log.pool.fetch(
        f"""SELECT u.person, u.why, u.next_at, p.status, e.type, e.position FROM hub.unmailed u
            JOIN {hub.models.schema}.person p ON p.id = u.person JOIN hub.event e ON e.position = u.position
            WHERE u.why <> $1 AND (p.status = 'invited' OR
                p.status = 'joined' AND e.type <> $2 AND e.at > now() - interval '7 days') ORDER BY u.position""",
        ENOUGH,
        PersonInvited.type,
    )
    ends = {"invited": "hand them a link: “hub link”", "joined": "tell them"}
    return [
        f"{each['person']}, {each['type']} ({each['position']}): {each['why']}, "
        + ("it is tried again" if each["next_at"] else ends[each["status"]])
        for each in found
    ], any(each["next_at"] is None for each in found)


async def _waiting(hub: Hub) -> int:
    # How many commits wait for a standby, in both databases. Over connections that are nobody's: a role that may not
    # see what others do is shown nothing of it.
    return sum([int(await on(dsn, lambda db: db.fetchval(_WAITING))) for dsn in (hub.log.dsn, keys_of(hub.log.dsn))])


async def _sealing(hub: Hub, state: dict[str, Any]) -> str:
    # Why nothing is sealed, or that it is.
    if said := state["stopped"] or await following.lost(hub, default_home()):
        return str(said)
    try:
        if said := await unproven(hub.log.pool, following.policy_of(policy_file())):
            return said
        if state["key"] not in (None, own := key_in(default_home())):
            what = "not there" if own is None else "another key than the one that seals this log"
            return (
                f"{default_home() / 'log.key'} is {what}: bring it back from a backup; one that is lost for good is "
                "given up with “hub key replace”"
            )
    except (Malformed, OSError, Unfit) as error:
        return f"{policy_file()}: {error}" if isinstance(error, Malformed) else str(error)
    if not state["followed"]:
        return RESTING
    if await hub.log.pool.fetchval("SELECT EXISTS (SELECT FROM hub.restored)"):
        return UNHEARD
    waits = state["waits_since"]
    behind = "SELECT at FROM hub.event WHERE position = $1 + 1 AND at < $2"
    if since := await hub.log.pool.fetchval(behind, state["tree"], datetime.now(UTC) - LATE):
        return f"nothing was added to the tree since {since:%Y-%m-%d %H:%M} UTC: is the process that seals stuck?"
    if waits is not None and datetime.now(UTC) - waits > LATE:
        since = f"since {waits:%Y-%m-%d %H:%M} UTC"
        return f"no quorum of witnesses has cosigned {since}: the newest {state['waiting']:,} events are signed only"
    return SEALING


async def _recording(hub: Hub) -> str:
    # Why nothing is recorded, or that it is: over a connection that is nobody's.
    async def look(db: asyncpg.Connection) -> tuple[bool, list[asyncpg.Record]]:
        return await db.fetchval("SELECT current_setting('transaction_read_only') = 'on'"), await db.fetch(_HELD_UP)

    fixed, rows = await on(hub.log.dsn, look)
    if fixed:
        return "not at all: the database lets nobody write (a standby, or default_transaction_read_only)"
    if rows:
        held = ", ".join(f"process {row['pid']} of {row['who']}: {row['what']}" for row in rows)
        return f"not now: others hold what the hub writes to ({held})"
    return RECORDING


def _room() -> tuple[str, bool]:
    # How much room is left where the data are; and whether that is little.
    home = default_home()
    try:
        left = shutil.disk_usage(home).free
    except OSError as error:
        return f"{home}: {error.strerror}", False
    return f"{left / 1_000_000:,.0f} MB left in {home}", left < ROOM


async def _erasures(hub: Hub) -> tuple[list[str], bool]:
    # Those whose last bytes wait to be gone, each with why; and whether one has waited for longer than a backup takes.
    said, late, why = [], False, hub.erasures.unswept or "the hub that serves finishes it"
    for person in await hub.vault.unfinished():
        for erased in await hub.log.read(tag=person, types=stored_names(PersonErased), limit=1):
            said.append(f"{person}, since {erased.at:%Y-%m-%d %H:%M} UTC: {why}")
            late |= datetime.now(UTC) - erased.at > LONGEST
    return said, late


def _listed(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(str(each) for each in value) or "none"
    return str(value)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json: bool) -> None:
    """Report how the hub is: versions, head, how far behind each follower of the log is, parked records.

    Exit 1 where a record is parked (its fold failed, and people do not see what happened to it since), where nothing is
    sealed or mailed any more, where names of people cannot be read, as after the keys' own database was lost, where an
    erasure has waited for half a day, where a round is overdue or an event is dated ahead of the clock, where a mail
    was refused by the mail server for good, where commits wait for a standby that is away, where nothing can be
    recorded, where a hub that was brought back waits for its witnesses, or where less than 500 MB are left for data.
    """

    room, little = _room()

    async def story(hub: Hub) -> tuple[bool, dict[str, Any]]:
        parked = await hub.log.pool.fetch(f"SELECT * FROM {hub.models.schema}.parked ORDER BY position")
        head = await hub.log.head()
        at = await hub.log.pool.fetchval(f"SELECT at FROM {hub.models.schema}.position")
        others = await hub.log.pool.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^read_' AND nspname <> $1 ORDER BY 1", hub.models.schema
        )
        sealing = await following.state(hub.log.pool)
        now = datetime.now(UTC)
        overdue = [each.record for each in await due(hub, now - LATE)] if sealing["followed"] else []
        newest = await hub.log.pool.fetchval("SELECT max(at) FROM hub.event WHERE position = $1", head)
        erasures, late = await _erasures(hub)
        unmailed, refused = await _unmailed(hub)
        return late or refused or bool(overdue) or (newest is not None and newest > now + LATE), {
            "version": version("central-asia-ai-hub"),
            "engine": await hub.log.pool.fetchval("SELECT version()"),
            "head": head,
            "read models": digest(),
            "newest event": newest and f"{newest:%Y-%m-%d %H:%M:%S} UTC{AHEAD if newest > now + LATE else ''}",
            "behind by": {"read models": head - at, "tree": head - sealing["tree"], "seals": head - sealing["sealed"]},
            "recording": await _recording(hub),
            "sealing": await _sealing(hub, sealing),
            "witnesses": sealing["asked"] or "none is asked: the hub seals alone",
            "witnesses complain": sealing["troubles"],
            "read models of other versions": [row["nspname"] for row in others],
            "parked": [dict(row) for row in parked],
            "names that cannot be read": await unreadable(hub),
            "overdue": overdue,
            "erasures that wait": erasures,
            "commits that wait for a standby": await _waiting(hub),
            "mail": await _mail(hub),
            "mails that were not taken": unmailed,
            "last backup": last_backup(default_home()),
            "room": room,
        }

    late, found = opened(story)
    late |= found["commits that wait for a standby"] > 0 or found["recording"] != RECORDING or little
    stopped = found["sealing"] not in (SEALING, RESTING) or found["mail"] not in MAILING
    if as_json:
        click.echo(json.dumps(found))
    else:
        found["behind by"] = ", ".join(f"{name}: {lag} events" for name, lag in found["behind by"].items())
        for name, value in found.items():
            click.echo(f"{name:>30}  {_listed(value)}")
    sys.exit(1 if found["parked"] or found["names that cannot be read"] or stopped or late else 0)
