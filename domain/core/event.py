"""Events: what happened, named in the past tense, kept for ever."""

import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, ClassVar

import msgspec

from .ids import Kind, kind_of
from .subjects import subclasses


class Sealed(msgspec.Struct, frozen=True):
    """A personal value as an event holds it: the SHA-256 of its box, its length in bytes, and the id of its key.

    The value itself is only in the box; whoever destroys box and key has erased it, and the event still verifies.
    """

    sealed: str
    len: int
    kid: str


@typing.dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class EventMeta(msgspec.StructMeta):
    """Registers each event under its stored name."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        type: str = "",
        becomes: str = "",
        was: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] | None = None,
        **options: Any,
    ) -> "EventMeta":
        cls = super().__new__(mcs, name, bases, namespace, **{"frozen": True, "kw_only": True, **options})
        setattr(cls, "type", type or name)
        setattr(cls, "becomes", becomes)
        setattr(cls, "was", was or {})
        return cls


class Event(msgspec.Struct, frozen=True, metaclass=EventMeta):
    """Something that happened. Its class name may change; ``type``, under which it is stored, may not.

    A field typed as an entity's id is a tag: the log is indexed by every entity that an event mentions.
    The first of them is the event's *record*: the one in whose history it stands, and that ``becomes`` what the event
    says: its status from then on, unless that is empty.
    A shape that was stored once and is no longer written is listed in ``was``: its stored name, and the pure
    function that turns its data into today's.
    """

    type: ClassVar[str] = ""
    becomes: ClassVar[str] = ""
    was: ClassVar[dict[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {}

    @property
    def tags(self) -> list[str]:
        """Every entity and claim that this event mentions, sorted, each once."""
        found: set[str] = set()
        for name, kind, many in tagged_fields(type(self)):
            value = getattr(self, name)
            if many:
                found.update(kind.tag(each) for each in value)
            elif value is not None:
                found.add(kind.tag(value))
        return sorted(found)


@cache
def tagged_fields(cls: type) -> tuple[tuple[str, Kind, bool], ...]:
    """The fields of a struct that name entities: (name, kind, whether it holds many)."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return tuple(
        (name, *found) for name in getattr(cls, "__struct_fields__", ()) if (found := kind_of(hints[name])) is not None
    )


@cache
def _record_field(cls: type[Event]) -> tuple[str, str]:
    return next(((name, kind.name) for name, kind, _ in tagged_fields(cls) if not kind.claim), ("", ""))


def record_kind_of(cls: type[Event]) -> str:
    """The kind of record in whose history events of this class stand."""
    return _record_field(cls)[1]


def record_of(event: Event) -> str:
    """The id of the record in whose history an event stands; empty where there is none."""
    name, _ = _record_field(type(event))
    return getattr(event, name) if name else ""


def says(cls: type[Event]) -> str:
    """What an event of this class says, in a sentence for readers; what its docstring adds is for developers."""
    return (cls.__doc__ or "").strip().partition("\n")[0].partition(";")[0].rstrip(".") + "."


def every_event() -> Iterator[type[Event]]:
    """Every event class of the domain."""
    return subclasses(Event)


def stored_names(*events: type[Event]) -> frozenset[str]:
    """The names under which events of these classes stand in a log: today's, and those that they had."""
    return frozenset(name for event in events for name in (event.type, *event.was))


class Codec:
    """Turns events into stored bytes and back, for every event class that is defined when it is made."""

    def __init__(self) -> None:
        self._decoders: dict[str, Callable[[bytes], Event]] = {}
        for cls in every_event():
            self._add(cls.type, msgspec.json.Decoder(cls).decode)
            for old, upcast in cls.was.items():
                self._add(old, _through(upcast, cls))

    def _add(self, name: str, decode: Callable[[bytes], Event]) -> None:
        if name in self._decoders:
            raise TypeError(f"two events are stored as {name!r}")
        self._decoders[name] = decode

    def encode(self, event: Event, salt: str) -> bytes:
        """The bytes to store: the event as a JSON object that begins with its salt."""
        body = msgspec.json.encode(event)
        head = b'{"salt":"' + salt.encode() + b'"'
        return head + (b"}" if body == b"{}" else b"," + body[1:])

    def decode(self, type: str, data: bytes | str) -> Event:
        """The event that was stored; raises ``UnknownEvent`` for a type that this code does not know."""
        if (decode := self._decoders.get(type)) is None:
            raise UnknownEvent(type)
        return decode(data)  # type: ignore[arg-type]


class UnknownEvent(LookupError):
    """The log holds an event of a type that this code does not know: a newer hub has written here."""


def _through(upcast: Callable[[dict[str, Any]], dict[str, Any]], cls: type[Event]) -> Callable[[bytes], Event]:
    def decode(data: bytes) -> Event:
        return msgspec.convert(upcast(msgspec.json.decode(data)), cls)

    return decode
