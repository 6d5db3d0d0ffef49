"""What the hub does by itself: what is due, as rounds that open and close, becomes an event, a fact of the log and not
a look at the clock; and what was to be deleted is.
"""

import asyncio
import logging
import math
import time
from datetime import UTC, datetime, timedelta
from functools import cache

from domain.core import Command, every_command, record_field
from hub import clock
from hub.door import Hub

LOOK = 5.0
"""Seconds between two looks at what is due, where nothing is sooner."""
TIDY = 3_600.0
"""Seconds between two times that sessions, tokens and links that have ended are deleted."""
_BY_NAME = {cls.__name__: cls for cls in every_command() if cls.due}
UNHEARD = (
    "this hub was brought back, and no quorum of witnesses has cosigned since: nothing is done that is due. Where a "
    "mirror holds more, stop the hub and bring that back (hub restore DIR --policy FILE)"
)
_log = logging.getLogger("hub")


async def due(hub: Hub, now: datetime) -> list[Command]:
    """What the hub has to do by itself by now, the oldest first; after a pause nothing is missing."""
    return [command for _, command in await _until(hub, now)]


async def held_up(hub: Hub) -> str:
    """Why the hub does nothing by itself now, in words; empty where it does."""
    if not clock.is_set():
        return "this machine was started just now, and its clock has not been set"
    try:
        return UNHEARD if await hub.log.pool.fetchval("SELECT EXISTS (SELECT FROM hub.restored)") else ""
    except Exception as error:
        return str(error) or type(error).__name__


async def _until(hub: Hub, then: datetime) -> list[tuple[datetime, Command]]:
    rows = await hub.log.pool.fetch(_due(hub.models.schema), then)
    return [(row["at"], _BY_NAME[row["command"]](**{row["field"]: row["id"]})) for row in rows]


@cache
def _due(schema: str) -> str:
    each = []
    for cls in _BY_NAME.values():
        assert cls.due is not None
        each.append(
            f"SELECT '{cls.__name__}' AS command, '{record_field(cls)}' AS field, id, {cls.due.at} AS at"
            f" FROM {schema}.{cls.on.kind.name} WHERE status = '{cls.due.status}' AND {cls.due.at} <= $1"
        )
    return " UNION ALL ".join(each) + " ORDER BY at"


async def keep(hub: Hub) -> None:
    """Do for ever what is due, finish erasures that nobody else did, and delete what lets nobody in any more.

    Several hubs may do so at once: each command changes something only once.
    """
    tidied, said = -math.inf, ""
    while True:
        why = await held_up(hub)
        try:
            await hub.erasures.finish(hub.models.schema)
            hub.vault.let_go()
            if not why and time.monotonic() > tidied + TIDY:
                await hub.identity.tidy()
                tidied = time.monotonic()
        except Exception as error:
            _log.warning("what was to be deleted waits: %s", error)
        if why and why != said:
            _log.warning("what is due waits: %s", why)
        said = why
        await asyncio.sleep(LOOK if why else await _done(hub))


async def _done(hub: Hub) -> float:
    # Do what is due; after so many seconds there may be more.
    try:
        waiting = await _until(hub, datetime.now(UTC) + timedelta(seconds=LOOK))
    except Exception as error:
        _log.warning("what is due cannot be read: %s", error)
        return LOOK
    wait = LOOK
    for at, command in waiting:
        if (left := (at - datetime.now(UTC)).total_seconds()) > 0:
            return min(wait, left)
        # One record that cannot go on holds up no other.
        try:
            if (await hub.do(command)).events:
                # What follows on it may be due as well.
                wait = 0.0
        except Exception as error:
            _log.warning("%s, which is due, waits: %s", type(command).__name__, error)
    return wait
