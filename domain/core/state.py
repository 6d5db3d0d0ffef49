"""States: the least that decisions need, folded from events."""

import typing
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import Any, ClassVar, Protocol, Self

import msgspec

from .event import Event, stored_names
from .ids import Kind
from .subjects import subclasses


class Role(Enum):
    """What an actor is to a record; the value says it in words."""

    ANYONE = "anyone who has joined"
    SELF = "the person concerned"
    OFFICER = "an officer of the organization"
    AUTHOR = "the principal investigator"
    LEAD_OFFICER = "an officer of the lead organization"
    PARTNER_OFFICER = "an officer of a partner organization"
    CALL_OFFICER = "an officer of the call"
    CENTER_OFFICER = "an officer of the Center"
    AUTHORITY = "a national authority"
    HUB = "the hub itself"


class HubRole(StrEnum):
    """A role that a person has in the whole hub."""

    CENTER_OFFICER = "center_officer"
    AUDITOR = "auditor"
    NATIONAL_AUTHORITY = "national_authority"


class Actor(Protocol):
    """Whoever gives a command, as far as roles depend on them.

    ``offices`` are the ids of what they act for now, of whatever kind: see ``Offices``.
    ``ties`` are all organizations that they ever acted for, verified or not, and those where they worked within three
    years. ``authority_of`` are the countries whose national authority they are.
    """

    @property
    def id(self) -> str: ...
    @property
    def offices(self) -> frozenset[str]: ...
    @property
    def ties(self) -> frozenset[str]: ...
    @property
    def authority_of(self) -> frozenset[str]: ...


@typing.dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class StateMeta(msgspec.StructMeta):
    """Notes on each state class what it is about and which events it evolves on."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        kind: Kind | None = None,
        on: tuple[type[Event], ...] = (),
        changed_by: tuple[type[Event], ...] = (),
        **options: Any,
    ) -> "StateMeta":
        cls = super().__new__(mcs, name, bases, namespace, **{"frozen": True, **options})
        if kind is not None:
            setattr(cls, "kind", kind)
            setattr(cls, "on", on)
            setattr(cls, "types", stored_names(*on))
            setattr(cls, "statuses", frozenset(event.becomes for event in on if event.becomes))
            setattr(cls, "changed_by", changed_by)
        return cls


class State(msgspec.Struct, frozen=True, metaclass=StateMeta):
    """What decisions need to know of one entity (or of one claim). A new one, with nothing folded in, says "absent".

    ``kind`` names the entity, ``on`` the events it evolves on; loading it is one query: its tag, those types.
    ``changed_by`` are the events that change what it ``says``, ``statuses`` those that it comes to by its events.
    """

    kind: ClassVar[Kind] = Kind("")
    on: ClassVar[tuple[type[Event], ...]] = ()
    types: ClassVar[frozenset[str]] = frozenset()
    statuses: ClassVar[frozenset[str]] = frozenset()
    changed_by: ClassVar[tuple[type[Event], ...]] = ()

    id: str = ""
    status: str = ""

    def evolve(self, event: Event) -> Self:
        """This state after the event."""
        raise NotImplementedError

    def says(self) -> dict[str, Any]:
        """What people said of it and may change, by the names of the commands' fields."""
        return {}

    @property
    def mentionable(self) -> bool:
        """Whether a command about another record may name this one; a hidden record looks like an absent one."""
        return bool(self.status)

    def roles(self, actor: Actor) -> Iterator[Role]:
        """What the actor is to this record."""
        return iter(())

    def kept_from(self, actor: Actor) -> Iterator[Role]:
        """The roles that a conflict of interest keeps from an actor who knows of the record."""
        return iter(())


def every_state() -> Iterator[type[State]]:
    """Every state class of the domain."""
    return subclasses(State)
