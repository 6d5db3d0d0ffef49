"""What the hub does by itself: what is due, as rounds that open and close, becomes an event, a fact of the log and not
a look at the clock; and what was to be deleted is.
"""

import asyncio
import logging
import math
import time
from datetime import UTC, datetime
from functools import cache

from domain.core import Command, every_command, record_field
from hub.door import Hub

LOOK = 5.0
TIDY = 3_600.0
"""Seconds between two times that sessions, tokens and links that have ended are deleted."""
_BY_NAME = {cls.__name__: cls for cls in every_command() if cls.due}
_log = logging.getLogger("hub")


async def due(hub: Hub, now: datetime) -> list[Command]:
    """What the hub has to do by itself by now, the oldest first; after a pause nothing is missing."""
    rows = await hub.log.pool.fetch(_due(hub.models.schema), now)
    return [_BY_NAME[row["command"]](**{row["field"]: row["id"]}) for row in rows]


@cache
def _due(schema: str) -> str:
    each = []
    for cls in _BY_NAME.values():
        assert cls.due is not None
        still = f" AND {cls.due.until} > $1" if cls.due.until else ""
        each.append(
            f"SELECT '{cls.__name__}' AS command, '{record_field(cls)}' AS field, id, {cls.due.at} AS at"
            f" FROM {schema}.{cls.on.kind.name} WHERE status = '{cls.due.status}' AND {cls.due.at} <= $1{still}"
        )
    return " UNION ALL ".join(each) + " ORDER BY at"


async def keep(hub: Hub) -> None:
    """Do for ever what is due, finish erasures that nobody else did, and delete what lets nobody in any more.

    Several hubs may do so at once: each command changes something only once.
    """
    tidied = -math.inf
    while True:
        try:
            await hub.erasures.finish(hub.models.schema)
            if time.monotonic() > tidied + TIDY:
                await hub.identity.tidy()
                tidied = time.monotonic()
        except Exception as error:
            _log.warning("what was to be deleted waits: %s", error)
        try:
            waiting = await due(hub, datetime.now(UTC))
        except Exception as error:
            _log.warning("what is due cannot be read: %s", error)
            waiting = []
        for command in waiting:
            # One record that cannot go on holds up no other.
            try:
                await hub.do(command)
            except Exception as error:
                _log.warning("%s, which is due, waits: %s", type(command).__name__, error)
        await asyncio.sleep(LOOK)
