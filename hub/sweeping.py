"""What was deleted leaves no bytes: PostgreSQL keeps a deleted row in its table, and in its write-ahead log."""

import asyncio
import logging
import time
from collections.abc import Sequence

import asyncpg

from hub.connecting import connect

PATIENCE = 2.0
"""Seconds to wait for whoever still reads what was deleted: their snapshot keeps it."""
_OLDER = """SELECT pg_snapshot_xmin(pg_current_snapshot()) <= $1::text::xid8
    OR EXISTS (SELECT FROM pg_stat_activity WHERE coalesce(datname, current_database()) = current_database()
               AND pid <> pg_backend_pid() AND age(backend_xmin) > age($1::text::xid8::xid))
    OR EXISTS (SELECT FROM pg_replication_slots WHERE age(xmin) > age($1::text::xid8::xid))"""
"""Whether anything that runs, reads or replicates is older than a transaction: what was deleted before it is kept."""
_WHO = """SELECT coalesce(string_agg(who, ', '), 'somebody') FROM (
    SELECT format('process %s of the server (%s), since %s', pid, coalesce(nullif(application_name, ''), usename),
                  to_char(xact_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) AS who
        FROM pg_stat_activity WHERE coalesce(datname, current_database()) = current_database()
        AND pid <> pg_backend_pid() AND greatest(age(backend_xid), age(backend_xmin)) > age($1::text::xid8::xid)
    UNION ALL SELECT format('the prepared transaction “%s”', gid) FROM pg_prepared_xacts
        WHERE age(transaction) > age($1::text::xid8::xid)
    UNION ALL SELECT format('the replication slot “%s”', slot_name) FROM pg_replication_slots
        WHERE age(xmin) > age($1::text::xid8::xid)) AS older"""
"""Who that is, in words."""
RECYCLED = "what was erased stays in the server's write-ahead log until that is written over: set wal_recycle = off"
_log = logging.getLogger("hub")


async def swept(dsn: str, tables: Sequence[str]) -> None:
    """Write these tables anew, without what was deleted in them before.

    Raises ``TimeoutError``, which says who that is, or ``asyncpg.LockNotAvailableError`` while somebody reads on for
    long, as a backup does: then it is tried again later; and ``PermissionError`` where the tables are somebody else's.
    """
    db = await connect(dsn)
    try:
        now = await db.fetchval("SELECT pg_current_xact_id()::text")
        deadline = time.monotonic() + PATIENCE
        while await db.fetchval(_OLDER, now):
            if time.monotonic() > deadline:
                raise TimeoutError(f"it is kept for {await db.fetchval(_WHO, now)}")
            await asyncio.sleep(0.01)
        # Whoever waits for this lock holds up everybody behind: not for long.
        await db.execute("SET lock_timeout = '500ms'")
        for table in tables:
            before = await db.fetchval("SELECT pg_relation_filenode($1::regclass)", table)
            await db.execute(f"VACUUM (FULL) {table}")
            if await db.fetchval("SELECT pg_relation_filenode($1::regclass)", table) == before:
                raise PermissionError(f"the table {table} is not the hub's own: it cannot be written anew")
    finally:
        await db.close()


async def log_ended(dsn: str) -> None:
    """End the server's write-ahead log here: what stands before is deleted, where the server keeps none of it.

    The embedded server does not (``wal_recycle``). Whoever runs a server of their own may keep it for as long as they
    see fit, in archives and for replicas; where it is not deleted, or the hub may not ask for that, this is said.
    """
    db = await connect(dsn)
    try:
        await db.execute("SELECT pg_switch_wal()")
        await db.execute("CHECKPOINT")
        if await db.fetchval("SHOW wal_recycle") == "on":
            _log.warning(RECYCLED)
    except asyncpg.InsufficientPrivilegeError as error:
        _log.warning("what was erased stays in the server's write-ahead log until it is gone by itself: %s", error)
    finally:
        await db.close()
