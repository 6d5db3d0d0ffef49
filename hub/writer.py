"""The writer: takes all waiting commands, decides them in order, and commits them in one transaction."""

import asyncio
import base64
import contextlib
import os
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import asyncpg
import msgspec

from domain.core import N_, Command, Event, Reason, Refusal, State
from domain.standing import RECORDS, decide
from hub.act import CommandAct, NeedsAlias, NeedsKey
from hub.log import PATIENCE, Log, Recorded, as_writer
from hub.models import Batch, Models
from hub.states import Key, Missing, S, States
from projections.history import record_of

_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
MAX_BATCH = 512
MAX_WAITING = 10_000
MAX_DATA = 60_000
RECENT = 20_000
_CLOSED = "the hub has closed"


class Busy(Exception):
    """Too many commands are waiting: come back in a moment."""


class Unknown(Exception):
    """Whether the command was recorded is not known: ask again with the same key to find out."""


class Again(Exception):
    """The command has to be prepared anew: something that it needs has left the memory, or its key was used."""


@dataclass(frozen=True)
class Receipt:
    """What became of a command: the position of its last event (0 where nothing had to be done) and its record."""

    position: int
    at: datetime
    record: str | None
    events: int


class Tracking:
    """A model that remembers what was read."""

    def __init__(self, find: Callable[[Key], State]) -> None:
        self._find = find
        self.read: dict[Key, State] = {}

    def get(self, state: type[S], id: str) -> S:
        """The state of an entity; raises ``Missing`` where it is not in memory."""
        key = state, state.kind.tag(id)
        if key not in self.read:
            self.read[key] = self._find(key)
        return self.read[key]  # type: ignore[return-value]


@dataclass
class Pending:
    """A command in the queue, with what was decided before it came to its turn; what was refused is decided anew."""

    command: Command
    act: CommandAct
    request: str
    key: str | None
    hash: str
    events: list[Event]
    read: dict[Key, State]
    decided: bool = True
    done: asyncio.Future[Receipt] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    refusal: Refusal | None = None
    receipt: Receipt | None = None

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless nobody listens any more."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # a caller that was cancelled leaves it unread


class Writer:
    """One per process. It owns its connection and every transaction: a caller that goes away cancels nothing."""

    def __init__(self, log: Log, states: States, models: Models) -> None:
        self.log, self.states, self.models = log, states, models
        self.head = 0
        self._last_at = datetime.min.replace(tzinfo=UTC)
        self._queue: deque[Pending] = deque()
        self._alone: deque[Pending] = deque()
        self._batch: list[Pending] = []
        self._closed = False
        self._looks: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._recent: deque[Recorded] = deque(maxlen=RECENT)
        self._db: asyncpg.Connection | None = None
        self._warned = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and begin to work."""
        await self._connect()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what is waiting, then leave; where the database is away, whoever waits is told. No more is taken."""
        self._closed = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self._queue or self._alone or self._batch:
                    await asyncio.sleep(0.01)
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for pending in (*self._batch, *self._queue, *self._alone):
            pending.fail(Unknown(_CLOSED))
        for look in self._looks:
            if not look.done():
                look.set_exception(Unknown(_CLOSED))
                look.exception()
        if self._db:
            with contextlib.suppress(TimeoutError, OSError, asyncpg.InterfaceError):
                await self._db.close(timeout=PATIENCE)

    def put(self, pending: Pending) -> None:
        """Queue a command; raises ``Busy`` at once where too many wait, or where the hub closes."""
        if self._closed or len(self._queue) >= MAX_WAITING:
            raise Busy
        self._queue.append(pending)
        self._wake.set()

    async def reach(self, position: int) -> None:
        """Return when what is in memory has seen this position of the log, whoever appended it."""
        if position > self.head:
            if self._closed:
                raise Unknown(_CLOSED)
            looked = asyncio.get_running_loop().create_future()
            self._looks.append(looked)
            self._wake.set()
            await asyncio.shield(looked)

    def adopt(self, key: Key, state: State, position: int) -> bool:
        """Keep a state that was just loaded, brought to this writer's head; ``False`` if it is too old for that."""
        if position < self.head:
            if not self._recent or self._recent[0].position > position + 1:
                return False
            for recorded in self._recent:
                if recorded.position > position and key in self.states.touched(recorded.event, recorded.tags):
                    state = state.evolve(recorded.event)
            position = self.head
        self.states.put(key, state, position)
        return True

    async def _connect(self) -> None:
        self.states.drop()
        self.models.drop()
        self._recent.clear()
        if self._db:
            self._db.terminate()
        self._db = await asyncpg.connect(self.log.dsn)
        await as_writer(self._db)
        self._db.add_log_listener(self._warning)
        row = await self._db.fetchrow("SELECT position, at FROM hub.event ORDER BY position DESC LIMIT 1")
        if row:
            self.head, self._last_at = row["position"], row["at"]
        # After the head was read: rows are then at it or past it, and past it the append finds a newer head.
        await self.models.bring_up(self._db)

    def _warning(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        # "committed locally, but might not have been replicated": durable here is not durable everywhere.
        self._warned |= message.severity_en == "WARNING"

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._look()
            while self._queue or self._alone:
                if self._db is None or self._db.is_closed():
                    # It ended while nobody used it: nothing was sent, so nothing is unknown.
                    await self._reconnect()
                if self._alone:
                    batch = [self._alone.popleft()]
                else:
                    batch = [self._queue.popleft() for _ in range(min(MAX_BATCH, len(self._queue)))]
                self._batch = batch
                try:
                    await self._commit(batch)
                except asyncio.CancelledError:
                    raise
                except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                    # The server refused the statement, so nothing of it is there: find whose fault it was.
                    if len(batch) == 1:
                        batch[0].fail(Refusal(Reason.INVALID, N_("This cannot be recorded: %(why)s."), why=str(error)))
                    else:
                        self._alone.extend(batch)
                except Exception as error:
                    for pending in batch:
                        pending.fail(Unknown(str(error)))
                    await self._reconnect()
                self._batch = []

    async def _look(self) -> None:
        looks, self._looks = self._looks, []
        if not looks:
            return
        try:
            try:
                await self._catch_up()
            except Exception:
                await self._reconnect()
        except asyncio.CancelledError:
            self._looks += looks
            raise
        for each in looks:
            if not each.done():
                each.set_result(None)

    async def _reconnect(self) -> None:
        while True:
            try:
                return await self._connect()
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.2)

    async def _commit(self, batch: list[Pending]) -> None:
        while True:
            overlay: dict[Key, State] = {}
            recorded = self._decide_all(batch, overlay)
            batch = [pending for pending in batch if not pending.done.done()]
            keyed = [p for p in batch if p.key is not None and p.refusal is None]
            if not recorded and not keyed:
                # A refusal, too, is judged by the log as it is: another process may have appended.
                if await self._db_head() == self.head:
                    break
                await self._catch_up()
                continue
            rows = await self.models.folded(recorded)
            try:
                found = await self._append(recorded, batch, keyed, rows)
            except asyncpg.UniqueViolationError:
                # Another process has answered one of these keys: each looks its own answer up.
                for pending in batch:
                    pending.fail(Again())
                return
            if found == self.head:
                self._advance(recorded, overlay)
                self.models.keep(rows)
                break
            await self._catch_up()
        for pending in batch:
            if self._warned and pending.receipt:
                pending.fail(Unknown("the standby has not confirmed"))
            elif pending.refusal:
                pending.fail(pending.refusal)
            elif pending.receipt and not pending.done.done():
                pending.done.set_result(pending.receipt)
        self._warned = False

    async def _db_head(self) -> int:
        assert self._db is not None
        return await self._db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event")

    def _decide_all(self, batch: list[Pending], overlay: dict[Key, State]) -> list[Recorded]:
        def find(key: Key) -> State:
            if key in overlay:
                return overlay[key]
            if (held := self.states.get(key)) is not None:
                return held[0]
            raise Missing(key)

        recorded: list[Recorded] = []
        at = self._last_at
        keys: set[tuple[str, str]] = set()
        for pending in batch:
            pending.refusal = pending.receipt = None
            if pending.key is not None:
                # Two of one key in one batch could never both be stored: the second looks the first's answer up.
                if (pending.act.actor, pending.key) in keys:
                    pending.fail(Again())
                    continue
                keys.add((pending.act.actor, pending.key))
            try:
                if not pending.decided or any(find(key) is not state for key, state in pending.read.items()):
                    model = Tracking(find)
                    pending.events = decide(pending.command, model, pending.act)
                    pending.read, pending.decided = model.read, True
                at = max(at, pending.act.at)
                new = self._record(pending, self.head + len(recorded), at)
            except (Missing, NeedsKey, NeedsAlias):
                pending.fail(Again())
                continue
            except Refusal as refusal:
                pending.refusal = refusal
                continue
            for id in pending.act.ids.values():
                if (cls := RECORDS.get(id.rpartition("_")[0])) is not None:
                    overlay.setdefault((cls, id), cls())
            for each in new:
                for key in self.states.touched(each.event, each.tags):
                    held = self.states.get(key)
                    if (state := overlay.get(key, held[0] if held else None)) is not None:
                        overlay[key] = state.evolve(each.event)
            recorded += new
            record = pending.command.record or pending.act.ids.get(pending.command.on.kind.name)
            record = record or (record_of(new[0].event) if new else None)
            pending.receipt = Receipt(new[-1].position if new else 0, at, record, len(new))
        return recorded

    def _record(self, pending: Pending, head: int, at: datetime) -> list[Recorded]:
        new = []
        for n, event in enumerate(pending.events, start=1):
            salt = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
            data = self.log.codec.encode(event, salt)
            if b"\\u0000" in data and _NULL.search(data):
                raise Refusal(Reason.INVALID, N_("A text holds a null character: remove it."))
            if len(data) > MAX_DATA:
                raise Refusal(Reason.TOO_LARGE, N_("This is too long to be recorded: shorten its texts."))
            tags, actor = tuple(event.tags), pending.act.actor
            new.append(Recorded(head + n, event.type, tags, actor, at, pending.request, data.decode(), event))
        return new

    async def _append(self, recorded: list[Recorded], batch: list[Pending], keyed: list[Pending], rows: Batch) -> int:
        assert self._db is not None
        tags = [(tag, n) for n, each in enumerate(recorded, start=1) for tag in each.tags]
        boxes = [(digest, *box) for p in batch if p.receipt and p.receipt.events for digest, box in p.act.boxes.items()]
        return await self._db.fetchval(
            "SELECT hub.append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)",
            self.head,
            [each.type for each in recorded],
            [" ".join(each.tags) for each in recorded],
            [each.actor for each in recorded],
            [each.at for each in recorded],
            [each.request for each in recorded],
            [each.data for each in recorded],
            [tag for tag, _ in tags],
            [n for _, n in tags],
            [p.act.actor for p in keyed],
            [p.key for p in keyed],
            [p.hash for p in keyed],
            [msgspec.json.encode(p.receipt).decode() for p in keyed],
            [digest for digest, _, _ in boxes],
            [person for _, person, _ in boxes],
            [box for _, _, box in boxes],
            self.models.schema if recorded else None,
            rows.payload() if recorded else None,
        )

    def _advance(self, recorded: list[Recorded], decided: dict[Key, State] | None = None) -> None:
        # Committed: only now do states and head move, so a failed commit leaves memory as the log is.
        if not recorded:
            return
        self.head, self._last_at = recorded[-1].position, recorded[-1].at
        self._recent.extend(recorded)
        if decided is not None:
            for key, state in decided.items():
                self.states.put(key, state, self.head)
        else:
            for each in recorded:
                self.states.apply(each.position, each.event, each.tags)

    async def _catch_up(self) -> None:
        assert self._db is not None
        while others := await self.log.read(after=self.head):
            self._advance(others)
            self.models.forget(others)
        await self.models.bring_up(self._db)
