"""Forms of commands. What a subject's have besides what follows from a command stands in the file of its name."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

import web.forms
from domain.core import Command, import_all, record_field
from web.reads.viewer import Viewer
from web.site import Site

SHOWN = 12
"""How many are shown of what is looked for: as many as a phone shows without much ado."""


class Choice(NamedTuple):
    """A value that can be chosen, what it is called, and what tells it from others of that name."""

    value: str
    words: str
    more: str = ""


@dataclass(frozen=True)
class Found:
    """What was found by the words that somebody looked for, and whether there is more.

    ``unfit`` are some that cannot be chosen, and ``why``; ``elsewhere`` says what can be done where it is not among
    them, and where.
    """

    text: str
    choices: tuple[Choice, ...]
    more: bool
    unfit: tuple[str, ...] = ()
    why: str = ""
    elsewhere: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Offer:
    """What a field offers: how it is shown, and what can be chosen.

    ``value`` is chosen where nothing was, ``help`` stands beside the field; ``first`` is what has to be done before,
    the address where, and what its link says.
    """

    widget: str
    choices: tuple[Choice, ...] = ()
    found: Found | None = None
    value: str = ""
    help: tuple[str, ...] = ()
    first: tuple[str, str, str] = ("", "", "")


def among(choices: Sequence[Choice], **more: Any) -> Offer:
    """Any of these. What tells one from another needs more room than a line of a phone, where they are few."""
    return Offer("list" if len(choices) <= SHOWN else "select", tuple(choices), **more)


@dataclass(frozen=True)
class Writer:
    """Who fills in the form of which command, and what is ``given`` to it."""

    site: Site
    viewer: Viewer
    command: type[Command]
    given: Mapping[str, str]

    @property
    def record(self) -> str:
        """The id of the record that the command is about; empty where it makes a new one."""
        return self.given.get(record_field(self.command) or "", "")

    async def ask(self, document: str, /, **values: Any) -> dict[str, Any]:
        """What the API answers them; raises ``Unanswered``."""
        return await self.site.ask(document, self.viewer, values)


@dataclass(frozen=True)
class Some:
    """How many records there are, and the first of them: path and title."""

    count: int = 0
    first: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Left:
    """Records that are not done with yet, and what is said of them; what ``bars`` the command stands beside its reason.

    What does not is said above the form: as a warning, or (``grave`` is ``False``) to be known.
    """

    some: Some
    words: str = ""
    grave: bool = False
    bars: bool = False


@dataclass(frozen=True)
class HeldUp:
    """Why nothing was recorded yet, and what is like it."""

    problem: str
    alike: tuple[Choice, ...] = ()


class Particular:
    """What the form of some commands has that others have not. A subject's own build on this, each ``of`` its commands.

    ``found`` is what was asked of the record: ``shown`` is its name, and by their aliases what is ``selected`` besides
    and what is asked of the hub ``beside`` it, where ``$id`` is the record's.
    """

    selected: ClassVar[str] = ""
    beside: ClassVar[str] = ""
    sure: ClassVar[str] = ""
    """Says, of the record's ``%(name)s``, that it has to be typed; empty where it has not."""

    def __init_subclass__(cls, of: Iterable[type[Command]] = ()) -> None:
        for each in of:
            _PARTICULAR[each] = cls()

    def fits(self, found: Mapping[str, Any], given: Mapping[str, str]) -> bool:
        """Whether the part of the record that the form is about is there."""
        return True

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """What somebody says yes to, or what cannot be undone: what it is called, and what it is."""
        yield from ()

    def due(self, found: Mapping[str, Any]) -> str:
        """Until when it can be done; empty where there is no such time."""
        return ""

    def summary(self, found: Mapping[str, Any], language: str) -> tuple[str, str]:
        """What the record is about, to be read before anything is said of it: a line, and a text in Markdown."""
        return "", ""

    async def left(self, writer: Writer) -> Sequence[Left]:
        """What is not done yet, of that which the record stands for."""
        return ()

    def begun(self, viewer: Viewer) -> Mapping[str, str]:
        """What stands in the fields before anything is given."""
        return {}

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """What can be chosen in a field that names a record; ``None`` where that is what its kind says."""
        return None

    async def alike(self, writer: Writer, found: Mapping[str, Any]) -> tuple[Choice, ...]:
        """Records that may be the same as the one that the form is about."""
        return ()

    async def holds_up(self, writer: Writer) -> HeldUp | None:
        """What has to be looked at before what was sent is recorded; ``None`` where nothing does."""
        return None

    async def fit(self, writer: Writer, field: str) -> Set[str] | None:
        """Of the values that a field always has those that fit this record; ``None`` where all do."""
        return None

    def stands(self, found: Mapping[str, Any]) -> str:
        """How the record stands that its writer sees: by this ``holds_up`` knows what they decided over."""
        return str(found["stands"])

    async def then(self, writer: Writer, request: Request, receipt: Mapping[str, Any]) -> Response | None:
        """The page that follows; ``None`` where that is the record's."""
        return None


_PARTICULAR: dict[type[Command], Particular] = {}
Chooser = Callable[[Writer, str], Awaitable[Offer]]
_CHOOSERS: dict[str, Chooser] = {}


def chooses(kind: str) -> Callable[[Chooser], Chooser]:
    """What can be chosen wherever a command names a record of this kind, and says nothing of its own."""

    def register(chooser: Chooser) -> Chooser:
        _CHOOSERS[kind] = chooser
        return chooser

    return register


@cache
def _known() -> None:
    import_all(web.forms)


def particular(cls: type[Command]) -> Particular:
    """What is particular to the form of a command."""
    _known()
    return _PARTICULAR.get(cls) or _PLAIN


def choosers() -> Mapping[str, Chooser]:
    """By their kinds, how records are chosen; those of other kinds stand in addresses alone."""
    _known()
    return _CHOOSERS


_PLAIN = Particular()
