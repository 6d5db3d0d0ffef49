"""The one door: every command, from whichever side, is carried out here."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

import asyncpg
import msgspec

from domain.actions import Action, actions, may_make
from domain.core import HUB, N_, Command, Event, Reason, Refusal, State, stored_names
from domain.deciding import decide
from domain.erasure import ErasePerson
from domain.people.commands import mailbox
from domain.people.events import PersonInvited, RoleGranted
from hub import confirming
from hub.act import CommandAct, NeedsAlias, NeedsKey, new_id
from hub.confirming import UNCONFIRMED, confirmed
from hub.connecting import Connection, connect
from hub.credentials import Credentials
from hub.erasing import Erasures
from hub.identity import Identity
from hub.locks import Lock
from hub.log import PATIENCE, Log, make_databases
from hub.models import Models
from hub.pool import Pool
from hub.states import Key, Missing, States
from hub.tables import functions
from hub.turns import Again, Pending, Receipt, Tracking
from hub.vault import Vault
from hub.writer import Writer

T = TypeVar("T")
_ROUNDS, _EXCHANGES, _AT_ONCE = 100, 60, 4
_log = logging.getLogger("hub")


@dataclass
class Hub:
    """An open hub: its log, its writer, its vault."""

    log: Log
    states: States
    models: Models
    writer: Writer
    vault: Vault
    identity: Identity
    credentials: Credentials
    _keys: Pool
    erasures: Erasures
    stood: datetime | None = None
    """The time of the last event that is shown, where the hub is opened as it stood then."""
    _erasing: set[asyncio.Task[Receipt]] = field(default_factory=set)

    @classmethod
    async def open(cls, dsn: str, until: int | None = None) -> "Hub":
        """Open the hub over this database, making what is missing; finish erasures that a crash left half done.

        With ``until`` it is opened as it stood at that position, for reading only.
        """
        dsn, keys_dsn = await make_databases(dsn)
        log = await Log.open(dsn)
        try:
            return await cls._opened(log, keys_dsn, until)
        except BaseException:
            # Whoever tries again needs the connections.
            await log.close()
            raise

    @classmethod
    async def _opened(cls, log: Log, keys_dsn: str, until: int | None) -> "Hub":
        own = asyncpg.create_pool(
            keys_dsn, min_size=1, max_size=4, command_timeout=confirming.CONFIRMED, connection_class=Connection
        )
        keys = Pool(await own)
        try:
            return await cls._over(log, keys, until)
        except BaseException:
            await keys.close(PATIENCE)
            raise

    @classmethod
    async def _over(cls, log: Log, keys: Pool, until: int | None) -> "Hub":
        states, models = States(log), Models(log, until=until)
        await models.open()
        writer, vault = Writer(log, states, models), await Vault.open(keys)
        identity, credentials = Identity(log.pool, log.writing), Credentials(log.pool, log.writing)
        erasures = Erasures(log, vault, identity)
        hub = cls(log, states, models, writer, vault, identity, credentials, keys, erasures)
        if until is not None:
            hub.stood = await log.pool.fetchval("SELECT at FROM hub.event WHERE position = $1", until)
            return hub
        try:
            await hub.writer.start()
        except BaseException:
            await hub.writer.appender.close()
            raise
        try:
            await hub.erasures.finish(models.schema)
        except TimeoutError:
            _log.warning("an erasure is finished later: %s", UNCONFIRMED)
        except BaseException:
            await hub.writer.stop()
            raise
        return hub

    async def close(self) -> None:
        """Finish what waits, and disconnect."""
        await self.writer.stop()
        await asyncio.gather(*self._erasing, return_exceptions=True)
        await self.log.close()
        await self._keys.close(PATIENCE)

    async def do(
        self,
        command: Command,
        actor: str = HUB,
        key: str | None = None,
        *,
        at: datetime | None = None,
        by: str = "request",
    ) -> Receipt:
        """Carry a command out. ``at`` is for telling the demonstration: everything else happens now.

        ``by`` is what gave it, and how the name of its request in the log begins.

        ``key`` makes a retry safe: the same key and command give the same answer, once recorded; the key with
        another command is refused. It stands in no event: what somebody sends as a key may say more than they think.
        Raises ``Refusal``, ``Busy`` (too many wait) or ``Unknown`` (ask again with the same key). Cancelling the caller
        does not cancel a command that is in the queue, nor an erasure that was begun.
        """
        if not isinstance(command, ErasePerson):
            return await self._carry_out(command, actor, key, at, by)
        task = asyncio.create_task(self._erased(command, actor, key, at, by))
        self._erasing.add(task)
        task.add_done_callback(self._erasing.discard)
        return await asyncio.shield(task)

    async def _erased(self, command: ErasePerson, actor: str, key: str | None, at: datetime | None, by: str) -> Receipt:
        receipt = await self._carry_out(command, actor, key, at, by)
        # Also where the answer is that of an earlier try, which may have ended before this.
        await self.erasures.carry_out(command.person)
        return receipt

    def request_of(self, actor: str, key: str) -> str:
        """How events name the request that somebody sent with this key."""
        return self.vault.fingerprint(f"{actor}\n{key}".encode())[:32]

    async def _carry_out(self, command: Command, actor: str, key: str | None, at: datetime | None, by: str) -> Receipt:
        try:
            body = msgspec.json.encode(command)
        except UnicodeEncodeError:
            raise Refusal(Reason.INVALID, N_("The text holds half a character. Type it again.")) from None
        named = type(command).__name__.encode() + b"\n" + body
        with confirmed():
            # An erasure holds an id alone: it is known again also once what its giver wrote before cannot be.
            writer = None if isinstance(command, ErasePerson) else actor
            noted = "" if key is None else await self.vault.noted(writer, named)
        act = CommandAct(actor, at)
        request = new_id(by) if key is None else f"{by}_{self.request_of(actor, key)}"
        for _ in range(_ROUNDS):
            if key is not None and (answer := await self._answered(actor, key, named)):
                return answer
            events, read, decided = await self._prepare(command, act)
            pending = Pending(command, act, request, key, noted, events, read, decided)
            self.writer.put(pending)
            try:
                return await asyncio.shield(pending.done)
            except Again:
                continue
            except Refusal:
                # The same request may have been carried out meanwhile: then its answer is the answer.
                if key is not None and (answer := await self._answered(actor, key, named)):
                    return answer
                raise
        raise RuntimeError(f"{type(command).__name__} did not settle in {_ROUNDS} rounds")

    async def rebuild(self) -> tuple[int, float]:
        """Make the read models anew beside the live ones, then put them in their place.

        Answers the events that were replayed and the seconds that it took.
        """
        began = time.perf_counter()
        fresh = Models(self.log, self.models.schema + "_new")
        guard = await connect(self.log.dsn)
        try:
            await guard.execute(f"DROP SCHEMA IF EXISTS {fresh.schema} CASCADE")
            try:
                await fresh.open()
            except BaseException:
                # Where there was no room for it, its half would take what is left.
                with contextlib.suppress(Exception):
                    await fresh.remove()
                raise
            for left in reversed(range(_EXCHANGES)):
                try:
                    events = await self._exchange(guard, fresh)
                    break
                except asyncpg.LockNotAvailableError:
                    if not left:
                        raise
                    await asyncio.sleep(1)
        finally:
            await guard.close()
        self.models.give_way(fresh)
        return events, time.perf_counter() - began

    async def _exchange(self, guard: asyncpg.Connection, fresh: Models) -> int:
        async with guard.transaction():
            # Whoever reads for long lets nobody else wait for long: this is tried again.
            await guard.execute("SET LOCAL lock_timeout = '2s'")
            # The last few events, and the exchange, while no command is recorded.
            await guard.execute(f"SELECT pg_advisory_xact_lock({Lock.APPEND})")
            await fresh.open()
            events: int = await guard.fetchval(f"SELECT at FROM {fresh.schema}.position")
            await guard.execute(f"DROP SCHEMA {self.models.schema} CASCADE")
            await guard.execute(f"ALTER SCHEMA {fresh.schema} RENAME TO {self.models.schema}")
            await guard.execute(functions(self.models.schema))
        return events

    async def actions(self, actor: str, record: str, position: int = 0) -> list[Action]:
        """What an actor may do with a record as it is now, at this position of the log or after it."""
        await self.writer.reach(position)
        act = CommandAct(actor)
        return (await self._consider(lambda model: actions(model, act, record), act))[0]

    async def may_make(self, actor: str, cls: type[Command], position: int = 0) -> bool:
        """Whether an actor may give a command that makes a new record, at this position of the log or after it."""
        await self.writer.reach(position)
        act = CommandAct(actor)
        return (await self._consider(lambda model: may_make(model, act, cls), act))[0]

    async def person_of(self, email: str) -> str | None:
        """The person who was invited under an e-mail address."""
        alias = await self.vault.known_alias("email", mailbox(email))
        found = await self.log.read(tag=f"email:{alias}", types=stored_names(PersonInvited), limit=1) if alias else []
        return found[0].event.person if found and isinstance(found[0].event, PersonInvited) else None

    async def begun(self) -> bool:
        """Whether anybody was ever given a role: until then the hub waits for its first administrator."""
        return bool(await self.log.read(types=stored_names(RoleGranted), limit=1))

    async def _prepare(self, command: Command, act: CommandAct) -> tuple[list[Event], dict[Key, State], bool]:
        try:
            return *await self._consider(lambda model: decide(command, model, act), act), True
        except Refusal:
            # Memory may be behind another process: the writer, which looks at the log itself, has the last word.
            return [], {}, False

    async def _consider(self, think: Callable[[Tracking], T], act: CommandAct) -> tuple[T, dict[Key, State]]:
        while True:
            model = Tracking(self._held)
            try:
                return think(model), model.read
            except Missing as missing:
                for n in range(0, len(missing.keys), _AT_ONCE):
                    await asyncio.gather(*map(self._adopt, missing.keys[n : n + _AT_ONCE]))
            except (NeedsKey, NeedsAlias) as need:
                with confirmed():
                    # A key that is made and never used harms nobody.
                    await act.fetch(need, self.vault)

    async def _adopt(self, key: Key) -> None:
        while not self.writer.adopt(key, *await self.states.load(key)):
            pass

    def _held(self, key: Key) -> State:
        if (held := self.states.get(key)) is None:
            raise Missing(key)
        return held[0]

    async def answered_at(self, actor: str, key: str) -> int | None:
        """The position of what a request with this key recorded, 0 where that was nothing; ``None`` where there was
        none.
        """
        sql = "SELECT answer->>'position' FROM hub.answer WHERE actor = $1 AND key = $2"
        found = await self.log.pool.fetchval(sql, actor, key)
        return None if found is None else int(found)

    async def _answered(self, actor: str, key: str, named: bytes) -> Receipt | None:
        # Written, not only read: this answer is durable wherever the first commit has to be.
        with confirmed():
            row = await self.log.writing.fetchrow(
                "UPDATE hub.answer SET seen = seen + 1 WHERE actor = $1 AND key = $2 RETURNING hash, answer::text",
                actor,
                key,
            )
        if row is None:
            return None
        with confirmed():
            same = await self.vault.is_noted(actor, row["hash"], named)
        if same is None:
            message = N_(
                "This was sent before, perhaps with other words, and which of them cannot be known any more: look "
                "whether it is recorded, and send it again only if it is not."
            )
            raise Refusal(Reason.KEY_FORGOTTEN, message)
        if not same:
            raise Refusal(Reason.KEY_REUSED, N_("This key was used for another command: choose a new one."))
        return msgspec.json.decode(row["answer"], type=Receipt)
