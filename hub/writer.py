"""The writer: takes all waiting commands, decides them in order, and commits them in one transaction."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime

import asyncpg

from domain.core import N_, Reason, Refusal, State
from hub.appending import Appender
from hub.confirming import CONFIRMED, UNCONFIRMED, Unknown
from hub.held import Lately
from hub.log import AT_ONCE, PATIENCE, Log, Recorded
from hub.models import Models
from hub.states import Key, States
from hub.turns import Again, Pending, Turn
from hub.waiting import Busy, Waiting

MAX_BATCH = 512
RECENT = 20_000
STEP = 16
"""So many commands are decided at once while others are being committed: no more, or the commit waits to be heard."""
_CLOSED = "the hub has closed"
_log = logging.getLogger("hub")


class Writer:
    """One per process. It owns its connection and every transaction: a caller that goes away cancels nothing."""

    def __init__(self, log: Log, states: States, models: Models) -> None:
        self.log, self.states, self.models = log, states, models
        self.head = 0
        self._last_at = datetime.min.replace(tzinfo=UTC)
        self._waiting = Waiting()
        self._turns: list[Turn] = []
        self._deciding, self._committing = 0.0, math.inf
        self._closed = False
        self._outrun = False
        self._looks: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._recent = Lately(RECENT)
        self.appender = Appender(log.dsn)
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
                while self._waiting or self._turns:
                    await asyncio.sleep(0.01)
        while self._task and not self._task.done():
            # A connection that breaks while it is given up swallows what was to end its user.
            self._task.cancel()
            await asyncio.wait((self._task,), timeout=0.1)
        for pending in self._under_way():
            pending.fail(Unknown(_CLOSED))
        self._refuse(Unknown(_CLOSED))
        await self.appender.close()

    def put(self, pending: Pending) -> None:
        """Queue a command; raises ``Busy`` at once where too many wait, or where the hub closes."""
        if self._closed:
            raise Busy
        self._waiting.put(pending)
        self._wake.set()

    async def reach(self, position: int) -> None:
        """Return when what is in memory has seen this position of the log, whoever appended it."""
        if position > self.head and self._task is not None:
            if self._closed:
                raise Unknown(_CLOSED)
            looked = asyncio.get_running_loop().create_future()
            self._looks.append((position, looked))
            self._wake.set()
            await asyncio.shield(looked)

    def adopt(self, key: Key, state: State, position: int) -> bool:
        """Keep a state that was just loaded, brought to this writer's head; ``False`` if it is too old for that."""
        if position < self.head:
            if not self._recent.holds(position):
                return False
            for recorded in self._recent:
                if recorded.position > position and key in self.states.touched(recorded.event, recorded.tags):
                    state = state.evolve(recorded.event)
            position = self.head
        self.states.put(key, state, position)
        return True

    async def _connect(self) -> None:
        self.models.drop()
        head = await self.appender.connect()
        # At once with the head: a state that was read before it is too old for it, and is read again.
        self.states.drop()
        self._recent.clear()
        if head:
            self.head, self._last_at = head
        # After the head was read: rows are then at it or past it, and past it the append finds a newer head.
        await self.models.bring_up(self.appender.db)

    def _under_way(self) -> Iterable[Pending]:
        return (pending for turn in self._turns for pending in (*turn.batch, *turn.later))

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._look()
            while self._waiting:
                if self.appender.closed:
                    # It ended while nobody used it: nothing was sent, so nothing is unknown.
                    await self._reconnect()
                if self._outrun and not await self._reserve():
                    continue
                turn = Turn(self.log, self.states, self.models, self.head, self._last_at)
                self._turns = [turn]
                began = time.monotonic()
                try:
                    await turn.add(self._first())
                    self._deciding = (time.monotonic() - began) / max(len(turn.batch), 1)
                except Exception as error:
                    await self._unknown(turn, error)
                else:
                    await self._work(turn)
                self._turns = []
                await self._release()

    async def _reserve(self) -> bool:
        # Whoever was outrun decides once on what nobody changes meanwhile, and so is not outrun again: writers that
        # are never idle take turns, as they came. False where that could not be.
        try:
            await self.appender.reserve()
            known = self.head
            await self._catch_up()
            self._outrun = self.head != known
        except Exception:
            await self._reconnect()
            return False
        return True

    async def _release(self) -> None:
        if self.appender.reserved:
            try:
                await self.appender.release()
            except Exception:
                await self._reconnect()

    def _first(self) -> list[Pending]:
        if self._waiting.alone:
            return self._waiting.take_alone()
        many = len(self._waiting.queue)
        if not self.appender.reserved and many >= 4 and many * self._deciding > self._committing / 6:
            # Who was answered together comes back together. Where deciding for all (here, and before they come) takes
            # long beside a commit, one half is decided while the other is committed; where the disk is slow, one
            # commit for all is shorter.
            many = (many + 1) // 2
        return self._waiting.take(min(many, MAX_BATCH))

    async def _work(self, turn: Turn | None) -> None:
        # Turn after turn, for as long as the next one is ready when one is through.
        while turn is not None:
            began = time.monotonic()
            sending = asyncio.create_task(self.appender.settle(turn, self.models.schema))
            sending.add_done_callback(lambda _: self._wake.set())
            ahead = turn.next()
            self._turns = [turn, ahead]
            try:
                if not self.appender.reserved:
                    ahead = await self._prepared(ahead, sending)
                found = await sending
            except asyncio.CancelledError:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
                raise
            except asyncpg.UniqueViolationError:
                # Another process has answered one of these keys: each looks its own answer up.
                for pending in turn.batch:
                    pending.fail(Again())
                self._back(ahead)
                return
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
                # The server refused the statement, so nothing of it is there: find whose fault it was.
                if len(turn.batch) == 1:
                    turn.batch[0].fail(Refusal(Reason.INVALID, N_("This cannot be recorded: %(why)s."), why=str(error)))
                else:
                    self._waiting.alone.extend(turn.batch)
                self._back(ahead)
                return
            except Exception as error:
                self._back(ahead)
                self._turns = [turn]
                await self._unknown(turn, error)
                return
            self._committing = time.monotonic() - began
            if found != turn.head:
                # Somebody else has appended: nothing was written, and everything is decided on what is there now.
                self._back(turn, ahead)
                self._turns = []
                self._outrun = True
                await self._look()
                return
            self._advance(turn.recorded, turn.states)
            self.models.keep(turn.rows)
            turn.answer(Unknown("the standby has not confirmed") if self.appender.unheard() else None)
            ahead.stands()
            self._turns = [ahead]
            await self._look()
            if ahead.head != self.head:
                self._back(ahead)
            turn = ahead if ahead.head == self.head and ahead.batch else None

    async def _prepared(self, ahead: Turn, sending: "asyncio.Task[int]") -> Turn:
        # What comes while others are being committed is decided as if they were.
        while not sending.done():
            if self._waiting.queue and not self._waiting.alone and len(ahead.batch) + len(ahead.later) < MAX_BATCH:
                try:
                    await ahead.add(self._waiting.take(STEP))
                except Exception:
                    # Whatever it was, it is met again, and told, when these are first.
                    self._back(ahead)
                    return ahead
                await asyncio.sleep(0)
            else:
                self._wake.clear()
                await self._wake.wait()
        return ahead

    async def _look(self) -> None:
        due = [position for position, _ in self._looks if position > self.head]
        if due:
            await self._look_again()
        looks, self._looks = self._looks, []
        for position, look in looks:
            # One that came meanwhile and asks for more comes to its turn.
            if position > self.head and position not in due:
                self._looks.append((position, look))
                self._wake.set()
            elif not look.done():
                look.set_result(None)

    async def _look_again(self) -> None:
        try:
            await self._catch_up()
        except Exception:
            await self._reconnect()

    async def _reconnect(self) -> None:
        while True:
            try:
                return await self._connect()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._waiting.give_up(CONFIRMED)
                await asyncio.sleep(0.2)
            except Exception as error:
                # No outage that passes: an event of a newer hub, say, that this one cannot read. Nobody waits for it.
                self._refuse(Unknown(f"{type(error).__name__}: {error}"))
                await asyncio.sleep(0.2)

    def _refuse(self, error: Exception) -> None:
        looks, self._looks = self._looks, []
        for _, look in looks:
            if not look.done():
                look.set_exception(error)
                look.exception()
        self._waiting.refuse(error)

    def _back(self, *turns: Turn) -> None:
        # Nothing of them was written: they come to their turn again, before all others.
        for turn in reversed(turns):
            self._waiting.back(turn.waiting())
            turn.batch = []
            turn.let_go()

    async def _unknown(self, turn: Turn, error: Exception) -> None:
        said = str(error) or UNCONFIRMED
        _log.warning("what was asked for is not known to be recorded: %s", said)
        for pending in turn.batch:
            pending.fail(Unknown(said))
        if isinstance(error, TimeoutError):
            # Whatever holds it up, a standby that is away or a lock of somebody else: nobody waits through it in line.
            self._waiting.give_up()
        await self._reconnect()

    def _advance(self, recorded: list[Recorded], decided: dict[Key, State] | None = None) -> None:
        # Committed: only now do states and head move, so a failed commit leaves memory as the log is.
        if not recorded:
            return
        self.head, self._last_at = recorded[-1].position, recorded[-1].at
        self._recent.add(recorded)
        for key, state in (decided or {}).items():
            self.states.put(key, state, self.head)
        # And whatever else they change that somebody read from the log meanwhile.
        for each in recorded:
            self.states.apply(each.position, each.event, each.tags)

    async def _catch_up(self) -> None:
        more = True
        while more:
            others = await self.log.read(after=self.head, db=self.appender.db)
            self._advance(others)
            self.models.forget(others)
            more = len(others) == AT_ONCE
        await self.models.bring_up(self.appender.db)
