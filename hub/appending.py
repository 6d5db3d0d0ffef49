"""The writer's connection to the database: how a turn is appended to the log, and who may append meanwhile."""

import contextlib
from datetime import datetime

import asyncpg
import msgspec

from hub import confirming
from hub.connecting import connect
from hub.locks import Lock
from hub.log import PATIENCE, as_writer
from hub.turns import Turn

STALLED = "30s"
"""So long the server lets a writer alone that keeps others from appending; then it ends its connection."""
_RESERVE = f"SELECT pg_advisory_lock({Lock.APPEND}), set_config('idle_session_timeout', '{STALLED}', false)"
_RELEASE = f"SELECT set_config('idle_session_timeout', '0', false), pg_advisory_unlock({Lock.APPEND})"


class Appender:
    """One per writer, which alone uses it: whatever ends the connection leaves the writer to connect anew."""

    db: asyncpg.Connection

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._made = self._warned = False
        self.reserved = False

    @property
    def closed(self) -> bool:
        """Whether there is no connection: then nothing that is sent arrives."""
        return not self._made or self.db.is_closed()

    async def connect(self) -> tuple[int, datetime] | None:
        """Connect, instead of whatever connection there was; answers the log's head and its time, if it has any."""
        self.reserved = self._warned = False
        if self._made:
            self.db.terminate()
        self.db, self._made = await connect(self._dsn), True
        await as_writer(self.db)
        self.db.add_log_listener(self._warning)
        row = await self.db.fetchrow("SELECT position, at FROM hub.event ORDER BY position DESC LIMIT 1")
        return (row["position"], row["at"]) if row else None

    async def close(self) -> None:
        """Disconnect, if that can be in a moment."""
        if self._made:
            with contextlib.suppress(TimeoutError, OSError, asyncpg.InterfaceError):
                await self.db.close(timeout=PATIENCE)

    async def reserve(self) -> None:
        """Return when nobody else appends any more, until ``release``."""
        await self.db.execute(_RESERVE)
        self.reserved = True

    async def release(self) -> None:
        """Let others append again."""
        self.reserved = False
        await self.db.execute(_RELEASE)

    async def settle(self, turn: Turn, schema: str) -> int:
        """Answer the head of the log: what a turn decided holds, and is written, where that is the turn's own."""
        if turn.recorded or turn.keyed:
            return await self.append(turn, schema)
        # A refusal, too, is judged by the log as it is: another process may have appended.
        found: int = await self.db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")
        return found

    async def append(self, turn: Turn, schema: str) -> int:
        """Commit a turn's events, its rows of the read models in ``schema`` and its answers, or nothing of it.

        Raises ``TimeoutError`` where which of the two it is is not known in time.
        """
        recorded, keyed = turn.recorded, turn.keyed
        tags = [(tag, n) for n, each in enumerate(recorded, start=1) for tag in each.tags]
        told = [each for each in turn.batch if each.receipt and each.receipt.events]
        boxes = [(digest, *box) for each in told for digest, box in each.act.boxes.items()]
        found: int = await self.db.fetchval(
            "SELECT hub.append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)",
            turn.head,
            [each.type for each in recorded],
            [" ".join(each.tags) for each in recorded],
            [each.actor for each in recorded],
            [each.at for each in recorded],
            [each.request for each in recorded],
            [each.data for each in recorded],
            [tag for tag, _ in tags],
            [n for _, n in tags],
            [each.act.actor for each in keyed],
            [each.key for each in keyed],
            [each.hash for each in keyed],
            [msgspec.json.encode(each.receipt).decode() for each in keyed],
            [digest for digest, _, _ in boxes],
            [person for _, person, _ in boxes],
            [box for _, _, box in boxes],
            schema if recorded else None,
            turn.rows.payload() if recorded else None,
            timeout=confirming.CONFIRMED,
        )
        return found

    def unheard(self) -> bool:
        """Whether the server warned since this was last asked, as it does when a standby has not heard of a commit."""
        warned, self._warned = self._warned, False
        return warned

    def _warning(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        # "committed locally, but might not have been replicated": durable here is not durable everywhere.
        self._warned |= message.severity_en == "WARNING"
