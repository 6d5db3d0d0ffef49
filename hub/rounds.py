"""Rounds open and close when they are due, by events: a fact of the log, not a look at the clock."""

import asyncio
import logging
import math
import time
from datetime import UTC, datetime

from domain.calls.commands import CloseRound, OpenRound
from hub.door import Hub

LOOK = 5.0
TIDY = 3_600.0
"""Seconds between two times that sessions, tokens and links that have ended are deleted."""
_log = logging.getLogger("hub")


async def due(hub: Hub, now: datetime) -> list[OpenRound | CloseRound]:
    """What has to be done by now, the oldest first; after a pause nothing is missing."""
    rows = await hub.log.pool.fetch(
        f"""SELECT id, 'open' AS what, opens_at AS at FROM {hub.models.schema}.call
                WHERE status = 'published' AND opens_at <= $1 AND closes_at > $1
            UNION ALL
            SELECT id, 'close', closes_at FROM {hub.models.schema}.call WHERE status = 'open' AND closes_at <= $1
            ORDER BY at""",
        now,
    )
    return [(OpenRound if row["what"] == "open" else CloseRound)(call=row["id"]) for row in rows]


async def keep(hub: Hub) -> None:
    """Open and close rounds for ever, finish erasures that nobody else did, and delete what lets nobody in any more.

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
            _log.warning("which rounds are due cannot be read: %s", error)
            waiting = []
        for command in waiting:
            # One call that cannot go on holds up no other.
            try:
                await hub.do(command)
            except Exception as error:
                _log.warning("a round that is due waits: %s", error)
        await asyncio.sleep(LOOK)
