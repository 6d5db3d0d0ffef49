"""Commands: what people ask for, in the imperative."""

import re
import typing
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from .event import Event, Sealed, tagged_fields
from .refusal import Reason, Refusal
from .state import Actor, Role, State
from .subjects import subclasses
from .words import N_, Word

S = TypeVar("S", bound=State)

HUB = "hub"
"""The actor of what the hub does by itself: opening and closing rounds when they are due."""


class Model(Protocol):
    """Hands out states, and remembers which: what a command reads is its consistency boundary."""

    def get(self, state: type[S], id: str) -> S:
        """The state of the entity ``id``; an absent one has an empty status."""
        ...

    def every(self, state: type[S], ids: Iterable[str]) -> list[S]:
        """The states of these entities, of which there may be many."""
        ...


class Act(Protocol):
    """The only way by which time, chance and secrets reach a decision."""

    @property
    def actor(self) -> str:
        """The id of the person who gives the command, or ``HUB``."""
        ...

    @property
    def at(self) -> datetime:
        """The time of the command, in UTC; never earlier than the newest event's."""
        ...

    def new(self, kind: str) -> str:
        """A new id of the kind; asking again within one command gives the same one."""
        ...

    def seal(self, person: str, field: str, value: str) -> Sealed:
        """A personal value, sealed under the person's key."""
        ...

    def alias(self, kind: str, value: str) -> str:
        """A random name that stands for a personal identifier, the same each time, until the person is erased."""
        ...


def giver(act: Act) -> str | None:
    """The id of the person who gives a command; ``None`` where the hub does."""
    return act.actor if act.actor != HUB else None


class Due(typing.NamedTuple):
    """When the hub gives a command by itself: while the record has a status, from the time in its field ``at`` on.

    The field is called so in the state and in the row alike.
    """

    at: str
    status: str


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class CommandMeta(msgspec.StructMeta):
    """Keeps the whitelists, who and when, as data on the command's class."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        on: type[State] = State,
        by: Role | tuple[Role, ...] = (),
        while_: set[str] | None = None,
        done: str = "",
        office: str | None = None,
        final: bool = False,
        due: "Due | None" = None,
        seeks: tuple[str, ...] = (),
        **options: Any,
    ) -> "CommandMeta":
        cls = super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})
        setattr(cls, "on", on)
        setattr(cls, "by", frozenset({by} if isinstance(by, Role) else by))
        setattr(cls, "while_", frozenset(while_) if while_ is not None else None)
        setattr(cls, "done", done)
        setattr(cls, "office", office)
        setattr(cls, "final", final)
        setattr(cls, "due", due)
        setattr(cls, "seeks", frozenset(seeks))
        asked = {*(while_ or ()), *([done] if done else ()), *([due.status] if due else ())}
        if unknown := asked - on.statuses:
            raise TypeError(f"{name}: {on.__name__} is never {', '.join(sorted(unknown))}")
        if done and len(cls.__struct_fields__) > 1:
            raise TypeError(f"{name}: what it says besides its record would be lost where that is {done}")
        if due and due.at not in on.__struct_fields__:
            raise TypeError(f"{name}: {on.__name__} has no {due.at}")
        return cls


class Command(msgspec.Struct, frozen=True, metaclass=CommandMeta):
    """A request to change something. ``on`` is the record it is about, ``by`` who may give it, ``while_`` when.

    Given again once its record is what it makes of it, ``done``, it changes nothing: repeating it is harmless. That is
    for commands that say nothing else: a reason that somebody typed is never dropped.
    ``office`` is the field that names the organization in whose name an officer gives it: no other office counts.
    After a ``final`` one nothing can bring back what was before: whoever asks a person for it asks twice.
    One that is ``due`` at a time that its record names is given by the hub itself then.
    Of the records in the fields that it ``seeks`` its own ``decide`` says whether they are there, so that its answer is
    the same for one that is hidden.
    The whitelists are checked before ``decide``, so a stranger learns nothing from a refusal.
    A command without a field of its record's kind makes a new record.
    """

    on: ClassVar[type[State]] = State
    by: ClassVar[frozenset[Role]] = frozenset()
    while_: ClassVar[frozenset[str] | None] = None
    done: ClassVar[str] = ""
    office: ClassVar[str | None] = None
    final: ClassVar[bool] = False
    due: ClassVar[Due | None] = None
    seeks: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def bar(cls, record: Any, model: Model, act: Act) -> None:
        """Raise the ``Refusal`` for which this cannot be given to a record as it is, whatever it says.

        One that says ``NOT_HERE`` is for whom the record is not: they are not even offered it.
        """

    @classmethod
    def unfit(cls, given: Mapping[str, Any]) -> Iterator[Refusal]:
        """What of these values, each of which fits by itself, cannot be so, or not together; some may be missing."""
        yield from ()

    @classmethod
    def fixed(cls, record: Any, model: Model, act: Act) -> Iterator[Refusal]:
        """The fields that this cannot change of a record as it is, or the actor cannot, each with why."""
        yield from ()

    @classmethod
    def idle(cls, record: Any, by: Actor) -> bool:
        """Whether it would change nothing of a record as it is, whatever this actor says."""
        return False

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The events that carrying this out records; none where there is nothing to do. May raise ``Refusal``."""
        raise NotImplementedError

    @property
    def record(self) -> str | None:
        """The id of the record that this command is about; ``None`` where it makes a new one."""
        name = record_field(type(self))
        return getattr(self, name) if name else None


@cache
def record_field(cls: type[Command]) -> str | None:
    """The name of the field that holds the command's record; ``None`` where the command makes a new one."""
    return next((name for name, kind, _ in tagged_fields(cls) if kind == cls.on.kind), None)


def changed(command: Command, record: State) -> dict[str, Any]:
    """What a command says otherwise than its record, by the names of its fields; null says nothing."""
    given = ((name, getattr(command, name, None), known) for name, known in record.says().items())
    return {name: value for name, value, known in given if value not in (None, known)}


def mutation_of(cls: type[Command]) -> str:
    """The name under which programs give a command: ``draftProposal``."""
    return cls.__name__[0].lower() + cls.__name__[1:]


def every_command() -> Iterator[type[Command]]:
    """Every command class of the domain."""
    return subclasses(Command)


def sentence(name: str) -> str:
    """A class name in words: ``SubmitProposal`` is ``Submit proposal``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return (words[:1] + words[1:].lower()).replace("orcid", "ORCID iD")


NOT_HERE = N_("There is no such record, or you may not do this with it.")


def admit(command: Command, record: State | None, roles: frozenset[Role]) -> None:
    """Check the two whitelists; raises ``Refusal``.

    Who comes before when: to someone without a role, a record that is not theirs looks like one that does not exist.
    """
    cls = type(command)
    if Role.HUB not in roles and not roles & cls.by:
        raise Refusal(Reason.NOT_PERMITTED, NOT_HERE)
    if record is None:
        return
    if not record.status:
        raise Refusal(Reason.NOT_PERMITTED, NOT_HERE)
    if cls.while_ is not None and record.status not in {*cls.while_, cls.done}:
        raise Refusal(
            Reason.WRONG_STATUS,
            N_("This cannot be done while the record is “%(status)s”."),
            status=Word(record.status.replace("_", " ")),
        )


def admitted(cls: type[Command]) -> str:
    """The two whitelists in words: who may give a command, and while its record is what; and what it makes of it."""
    who = " or ".join(sorted(role.value for role in cls.by if role != Role.HUB or len(cls.by) == 1))
    *most, last = sorted(cls.while_) if cls.while_ else [""]
    standing = f"{', '.join(most)} or {last}" if most else last
    when = f", while the {cls.on.kind.name} is {standing}".replace("_", " ") if last else ""
    again = f" Once it is {cls.done.replace('_', ' ')}, this changes nothing." if cls.done else ""
    return f"Allowed for {who}{when}.{again}"


def check_ids(command: Command) -> None:
    """Check that every id in a command has the form of its kind; raises ``Refusal`` naming the field."""
    for name, kind, many in tagged_fields(type(command)):
        value = getattr(command, name)
        for each in value if many else [value]:
            if each is not None and not kind.admits(each):
                raise Refusal(
                    Reason.INVALID, N_("This is not a valid id of this kind: %(kind)s."), name, kind=Word(kind.name)
                )
