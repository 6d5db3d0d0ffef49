"""What is mailed to whom when something waits for them: the same as their first page says, before they open it.

A subject's notices stand in the file of its name.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import cache
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import web.notices
from domain.core import Event, import_all, record_of, stored_names
from hub.door import Hub
from hub.log import Recorded
from web.preferences import HOME_ZONE

MOST = 50
"""An organization's officers of whom each gets a mail: no more of them than so many."""


class Told(NamedTuple):
    """Who is told; ``words`` stand in the text, whose ``link`` is a path on the hub."""

    people: tuple[str, ...]
    words: Mapping[str, str]
    link: str


class Notice(NamedTuple):
    """A mail to some people."""

    people: tuple[str, ...]
    subject: str
    text: str
    words: Mapping[str, str]
    link: str


Asked = Callable[[Hub, Recorded], Awaitable[Told | None]]
A = TypeVar("A", bound=Asked)
_NOTICED: dict[type[Event], tuple[str, str, Asked]] = {}


def noticed(event: type[Event], subject: str, text: str) -> Callable[[A], A]:
    """Tell of these events in a mail. What is decorated says whom; nobody where what it asked for no longer waits."""

    def register(asked: A) -> A:
        _NOTICED[event] = subject, text, asked
        return asked

    return register


@cache
def every_noticed() -> Mapping[type[Event], tuple[str, str, Asked]]:
    """The events of which somebody is told, with the subject and the text of the mail."""
    import_all(web.notices)
    return _NOTICED


async def notice(hub: Hub, recorded: Recorded) -> Notice | None:
    """Whom to tell of an event, and what; ``None`` where nobody is told."""
    if (known := every_noticed().get(type(recorded.event))) is None:
        return None
    subject, text, asked = known
    told = await asked(hub, recorded)
    return told and Notice(told.people, subject, text, told.words, told.link)


async def since(hub: Hub, recorded: Recorded, *types: type[Event]) -> list[Event]:
    """What of these types has happened in the record of an event after it."""
    found = await hub.log.read(recorded.position, record_of(recorded.event), stored_names(*types))
    return [each.event for each in found]


def written(at: datetime) -> str:
    """A time in a mail: whoever reads it may be anywhere, so it is that of the Center, and how far that is from UTC."""
    here = at.astimezone(ZoneInfo(HOME_ZONE))
    return f"{here:%Y-%m-%d %H:%M} (UTC{here:%z})"


async def officers(hub: Hub, organization: str) -> tuple[str, ...]:
    """Who acts for an organization. Those of one that is not verified now may not read what they would be told of."""
    found = f"""SELECT f.person FROM {hub.models.schema}.officer f
        JOIN {hub.models.schema}.organization o ON o.id = f.organization AND o.status = 'verified'
        WHERE f.organization = $1 ORDER BY f.since LIMIT {MOST}"""
    return tuple(each for (each,) in await hub.log.pool.fetch(found, organization))
