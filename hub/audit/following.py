"""What follows the log: the tree, its seals, the seals of the read models; of all processes one does it.

``python -m hub.audit.following`` does it for ``hub serve``: see ``hub.audit.beside``.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from hub.audit.digests import code, digested
from hub.audit.events import unsigned
from hub.audit.heads import LastHead
from hub.audit.notes import Head, Malformed
from hub.audit.policy import Policy
from hub.audit.sealer import ASTRAY, Outvoted, Sealer, Stopped, refill
from hub.audit.tree import Behind, Tree
from hub.connecting import connect
from hub.door import Hub
from hub.keeping import held_up
from hub.locks import Lock
from hub.log import as_writer
from hub.logs import logged
from hub.pool import Pool
from hub.turns import Receipt

LOOK = 0.5
"""Seconds between two looks at the log; a look that finds nothing new costs a query."""
EVERY = 10_000
"""After how many events the read models are sealed again; and they are, each day."""
REST = 20
"""A seal reads every row: the next one waits this many times as long as the last one took, however much is written."""
DAY = timedelta(days=1)
_log = logging.getLogger("hub")


@dataclass(frozen=True)
class Audit:
    """How the log is sealed: the folder of the key, the log's name, who has to cosign, and whether models are too."""

    home: Path
    origin: str
    policy: Policy
    models: bool = True


def policy_of(file: Path) -> Policy:
    """Who has to cosign: a C2SP policy file; nobody where there is none. Raises ``Malformed``."""
    try:
        return Policy.parse(file.read_bytes().decode())
    except FileNotFoundError:
        return Policy(quorum="none")
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"{file} cannot be read: {error}") from None


async def keep(hub: Hub, audit: Audit) -> None:
    """Keep the tree and the seals up to the log, for ever; several may try, one does it."""
    said = ""

    def told(stopped: str) -> None:
        nonlocal said
        if stopped != said:
            _log.error("nothing is sealed: %s", stopped) if stopped else _log.warning("it is sealed again")
        said = stopped

    while True:
        db = None
        try:
            db = await connect(hub.log.dsn)
            if await db.fetchval(f"SELECT pg_try_advisory_lock({Lock.FOLLOWER})"):
                await as_writer(db)
                await _follow(hub, audit, db, told)
            await asyncio.sleep(2)
        except Exception as error:
            # Whatever it is, people see it until it is gone, and it is tried again.
            told(str(error) or type(error).__name__)
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await hub.log.pool.execute("UPDATE hub.sealer SET stopped = $1", said)
            await asyncio.sleep(1)
        finally:
            if db is not None:
                db.terminate()


async def _follow(hub: Hub, audit: Audit, db: asyncpg.Connection, told: Callable[[str], None]) -> None:
    tree = Tree(db)
    await tree.open()
    sealer = Sealer(hub.log.pool, audit.home, audit.policy, audit.origin)
    await sealer.open()
    tasks = [asyncio.create_task(sealer.persuade(name)) for name in audit.policy.witnesses]
    if audit.models:
        tasks.append(asyncio.create_task(_seal_models(hub)))
    try:
        while True:
            # No further than it goes now: however much comes, what is here is sealed.
            head, whole = await _newest(hub)
            while tree.size < head and await tree.step():
                await asyncio.sleep(0)
            if head < tree.size and (head := await hub.log.head()) < tree.size:
                raise Stopped(refill(head, tree.size, "the tree was built over"))
            try:
                await sealer.seal(tree.size, tree.root, whole)
                told("")
            except Outvoted as outvoted:
                # The witnesses are asked on meanwhile; until they think again, this is why nothing is sealed.
                await sealer.say(str(outvoted))
                told(str(outvoted))
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(LOOK)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _newest(hub: Hub) -> tuple[int, datetime]:
    # Where the log ends, and the time at which it was looked at. Where its newest event is dated ahead of that, nobody
    # is asked to say when it was: a clock was wrong, and what it dated would seem to be made up.
    now = datetime.now(UTC)
    row = await hub.log.pool.fetchrow("SELECT position, at FROM hub.event ORDER BY position DESC LIMIT 1")
    if row is None:
        return 0, now
    return row["position"], now if row["at"] < now + ASTRAY else datetime.min.replace(tzinfo=UTC)


async def lost(hub: Hub, home: Path) -> str:
    """What to say where the log no longer holds what was sealed; empty where it does."""
    try:
        last = LastHead(home / "log.head").read()
    except Malformed as error:
        return str(error)
    head = await hub.log.head()
    if last is None or last.size <= head:
        return ""
    return (
        f"The log ends at position {head:,}, but its first {last.size:,} events were sealed: newer ones are missing, "
        "as after restoring an older backup. Bring them back from a mirror with “hub restore DIR --policy FILE”; "
        f"“hub at {head}” shows what is here."
    )


async def state(pool: Pool) -> dict[str, Any]:
    """How far tree and seals have come, why nothing is sealed (empty where all is well), what witnesses complain of."""
    row = await pool.fetchrow(
        f"""SELECT (SELECT size FROM hub.tree) AS tree, (SELECT vkey FROM hub.sealer) AS key,
                  (SELECT coalesce(max(size), 0) FROM hub.head WHERE witnessed) AS sealed,
                  coalesce((SELECT asked FROM hub.sealer), 0) AS asked,
                  (SELECT coalesce(max(size), 0) FROM hub.head)
                      - (SELECT coalesce(max(size), 0) FROM hub.head WHERE witnessed) AS waiting,
                  EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = {Lock.FOLLOWER} AND database =
                          (SELECT oid FROM pg_database WHERE datname = current_database())) AS followed,
                  (SELECT at FROM hub.head WHERE size > (SELECT coalesce(max(size), 0) FROM hub.head WHERE witnessed)
                   ORDER BY size LIMIT 1) AS waits_since,
                  coalesce((SELECT stopped FROM hub.sealer), '') AS stopped,
                  coalesce((SELECT troubles::text FROM hub.sealer), '{{}}') AS troubles"""
    )
    assert row is not None
    troubles = [f"{name}: {said}" for name, said in sorted(json.loads(row["troubles"]).items())]
    return {**dict(row), "troubles": troubles}


async def rebuild_tree(hub: Hub, kept: Head | None = None) -> tuple[int, float]:
    """Make the tree anew from the log; answers the events and the seconds. Whoever keeps it begins anew by itself.

    Raises ``Stopped`` where the log is not what was signed of it, also by the head that is ``kept`` elsewhere: then the
    tree that is there stays, for it says which event is another one.
    """
    began = time.perf_counter()
    if wrong := await unsigned(hub.log.dsn, kept):
        raise Stopped(f"{wrong}: the tree stays as it is, and “hub verify” says what differs.")
    db = await connect(hub.log.dsn)
    try:
        async with db.transaction():
            await db.execute("DELETE FROM hub.tile")
            await db.execute("UPDATE hub.tree SET size = 0, root = sha256('')")
    finally:
        await db.close()
    await caught_up(hub)
    return await hub.log.head(), time.perf_counter() - began


async def caught_up(hub: Hub) -> None:
    """Bring the tree up to the log, once."""
    db = await connect(hub.log.dsn)
    try:
        await as_writer(db)
        tree = Tree(db)
        await tree.open()
        while True:
            try:
                if not await tree.step():
                    return
            except Behind:
                # Whoever keeps the tree took this batch meanwhile.
                await tree.open()
    finally:
        await db.close()


async def _seal_models(hub: Hub) -> None:
    while True:
        began = time.monotonic()
        try:
            if not await held_up(hub):
                await seal_models_when_due(hub)
            took = time.monotonic() - began
        except Exception as error:
            _log.error("the read models wait to be sealed: %s", error)
            took = 6.0
        await asyncio.sleep(max(LOOK, REST * took))


async def seal_models_when_due(hub: Hub) -> None:
    """Seal the read models where that is due: after so many events, after a day, or by new folds."""
    head = await hub.log.head()
    row = await hub.log.pool.fetchrow(
        f"SELECT max(position) AS position, max(sealed_at) AS at FROM {hub.models.schema}.seal WHERE code = $1", code()
    )
    assert row is not None
    position, at = row
    if head == 0 or (position is not None and head - position < EVERY and datetime.now(UTC) - at < DAY):
        return
    await seal_models(hub)


async def seal_models(hub: Hub) -> Receipt:
    """Seal the read models as they are now."""
    return await hub.do(await digested(hub.log.dsn, hub.models.schema))


async def follow(dsn: str, home: str, origin: str, file: str, models: bool) -> None:
    """What the process beside the hub does, until it is told to end."""
    audit = Audit(Path(home), origin, policy_of(Path(file)), models)
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, me.cancel)
    with suppress(asyncio.CancelledError):
        hub = await Hub.open(dsn)
        try:
            await keep(hub, audit)
        finally:
            await hub.close()


if __name__ == "__main__":
    logged()
    os.nice(5)
    asyncio.run(follow(*json.load(sys.stdin)))
