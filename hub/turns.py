"""Commands that are committed together: decided in order, each on what those before it leave behind."""

import asyncio
import base64
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.core import N_, Command, Event, Reason, Refusal, State, kind_named, record_of
from domain.deciding import decide, records
from hub.act import CommandAct, NeedsAlias, NeedsKey
from hub.batch import Batch
from hub.checking import NULL
from hub.log import Log, Recorded
from hub.models import Models
from hub.states import Key, Missing, S, States

_NULL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
MAX_DATA = 60_000


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

    def every(self, state: type[S], ids: Iterable[str]) -> list[S]:
        """The states of these entities; raises one ``Missing`` for all that are not in memory."""
        found, missing = [], list[Key]()
        for id in ids:
            try:
                found.append(self.get(state, id))
            except Missing as each:
                missing += each.keys
        if missing:
            raise Missing(*missing)
        return found


@dataclass(eq=False)
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


class Turn:
    """Decided on what is committed, or on the turn ``before``, which is being committed: what becomes of that decides
    whether this one holds. Nothing is shared with what is in memory until it is committed.
    """

    def __init__(
        self, log: Log, states: States, models: Models, head: int, at: datetime, before: "Turn | None" = None
    ) -> None:
        self._log, self._states, self._models = log, states, models
        self.head, self.at, self._before = head, at, before
        self.batch: list[Pending] = []
        self.later: list[Pending] = []
        self.recorded: list[Recorded] = []
        self.states: dict[Key, State] = {}
        self.rows: Batch = models.begin(before.rows if before else None)
        self._keys: set[tuple[str, str]] = set()
        self._unseen: set[Key] = set()

    @property
    def end(self) -> int:
        """The position of its last event."""
        return self.head + len(self.recorded)

    def next(self) -> "Turn":
        """The turn that is decided while this one is being committed."""
        return Turn(self._log, self._states, self._models, self.end, self.at, self)

    def stands(self) -> None:
        """The turn before was committed, and is what is in memory now."""
        self._before = None
        self._models.stands(self.rows)
        self.let_go()

    @property
    def keyed(self) -> list[Pending]:
        """Those whose answers are stored."""
        return [each for each in self.batch if each.key is not None and each.refusal is None]

    async def add(self, batch: Sequence[Pending]) -> None:
        """Decide these as well."""
        begin = len(self.recorded)
        new: list[Pending] = []
        for pending in batch:
            # Where its answer is being stored, it is looked up when it is there.
            stored = self._before is not None and self._before.has(pending)
            (self.later if stored else new).append(pending)
        self.batch += new
        for pending in new:
            self._decide(pending)
        self.batch = self.waiting()
        await self._models.fold(self.rows, self.recorded[begin:])
        self.rows.encode()

    def waiting(self) -> list[Pending]:
        """Those who are neither answered nor wait for the turn before."""
        later = set(map(id, self.later))
        return [each for each in self.batch if not each.done.done() and id(each) not in later]

    def has(self, pending: Pending) -> bool:
        """Whether a command of the same actor and key is decided here."""
        return pending.key is not None and (pending.act.actor, pending.key) in self._keys

    def _find(self, key: Key) -> State:
        if (found := self.state(key)) is None:
            raise Missing(key)
        return found[0]

    def state(self, key: Key) -> tuple[State, int] | None:
        """A state as this turn leaves it, and the position up to which it is folded; ``None`` if it is not at hand."""
        if (own := self.states.get(key)) is not None:
            return own, self.end
        found = self._before.state(key) if self._before is not None else self._states.get(key)
        if found is not None and key in self._unseen:
            # It was read from the log only after this turn had changed it, and perhaps before that was committed.
            state, at = found
            for each in self.recorded:
                if each.position > at and key in self._states.touched(each.event, each.tags):
                    state = state.evolve(each.event)
            self.states[key] = state
            return state, max(at, self.end)
        return found

    def _decide(self, pending: Pending) -> None:
        pending.refusal = pending.receipt = None
        if pending.key is not None:
            # Two of one key in one turn could never both be stored: the second looks the first's answer up.
            if self.has(pending):
                self._again(pending)
                return
            self._keys.add((pending.act.actor, pending.key))
        try:
            if pending.act.not_before(self.at):
                pending.decided = False
            if not pending.decided or any(self._find(key) is not state for key, state in pending.read.items()):
                model = Tracking(self._find)
                pending.events = decide(pending.command, model, pending.act)
                pending.read, pending.decided = model.read, True
            self.at = at = max(self.at, pending.act.at)
            new = self._record(pending, at)
        except (Missing, NeedsKey, NeedsAlias):
            self._again(pending)
            return
        except Refusal as refusal:
            pending.refusal = refusal
            return
        for id in pending.act.ids.values():
            if (cls := records().get(kind_named(id))) is not None:
                self.states.setdefault((cls, id), cls())
        for each in new:
            for key in self._states.touched(each.event, each.tags):
                if (found := self.state(key)) is not None:
                    self.states[key] = found[0].evolve(each.event)
                else:
                    self._unseen.add(key)
        self.recorded += new
        record = pending.command.record or pending.act.ids.get(pending.command.on.kind.name)
        record = record or (record_of(new[0].event) if new else None)
        pending.receipt = Receipt(new[-1].position if new else 0, at, record, len(new))

    def _again(self, pending: Pending) -> None:
        if self._before is None:
            pending.fail(Again())
        else:
            # What it waits for follows from the turn before: whoever prepares it anew until then learns nothing.
            self.later.append(pending)

    def _record(self, pending: Pending, at: datetime) -> list[Recorded]:
        new, head = [], self.end
        for n, event in enumerate(pending.events, start=1):
            salt = base64.urlsafe_b64encode(os.urandom(16)).rstrip(b"=").decode()
            data = self._log.codec.encode(event, salt)
            if b"\\u0000" in data and _NULL.search(data):
                raise Refusal(Reason.INVALID, NULL)
            if len(data) > MAX_DATA:
                raise Refusal(Reason.TOO_LARGE, N_("This is too long to be recorded: shorten its texts."))
            tags, actor = tuple(event.tags), pending.act.actor
            new.append(Recorded(head + n, event.type, tags, actor, at, pending.request, data.decode(), event))
        return new

    def answer(self, doubt: Exception | None) -> None:
        """Tell everybody what became of their command; ``doubt`` is what speaks against its being durable."""
        for pending in self.batch:
            if doubt is not None and pending.receipt:
                pending.fail(doubt)
            elif pending.refusal:
                pending.fail(pending.refusal)
            elif pending.receipt and not pending.done.done():
                pending.done.set_result(pending.receipt)

    def let_go(self) -> None:
        """Let those who wait for the turn before go on: it is known what became of it."""
        for pending in self.later:
            pending.fail(Again())
        self.later.clear()
