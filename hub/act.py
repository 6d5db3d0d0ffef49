"""The act of one command: its actor, its time, the ids and secrets that it was given."""

import time
from datetime import UTC, datetime

from uuid_utils import uuid7

from domain.core import Sealed
from hub.vault import Vault, close_box

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]


def new_id(kind: str) -> str:
    """A TypeID: the kind, and a UUIDv7 in 26 characters of Crockford's base32."""
    number = uuid7().int
    return kind + "_" + "".join([_PAIRS[(number >> shift) & 1023] for shift in range(120, -1, -10)])


class NeedsKey(Exception):
    """A decision seals a value of a person whose key has not been fetched yet."""


class NeedsAlias(Exception):
    """A decision asks for an alias that has not been fetched yet."""


class CommandAct:
    """Time, chance and secrets of one command: the same however often it is decided."""

    def __init__(self, actor: str, at: datetime | None = None) -> None:
        self.actor = actor
        self._at = at or datetime.fromtimestamp(time.time(), UTC)
        self.begun = time.monotonic()
        self._timed = False
        self.ids: dict[str, str] = {}
        self.boxes: dict[str, tuple[str, bytes]] = {}
        self._keys: dict[str, tuple[str, bytes]] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._sealed: dict[tuple[str, str, str], Sealed] = {}

    @property
    def at(self) -> datetime:
        """The time of the command."""
        self._timed = True
        return self._at

    def not_before(self, at: datetime) -> bool:
        """Move its time to that of the newest event, if it is earlier; whether a decision depended on it till then."""
        if self._at >= at:
            return False
        self._at = at
        return self._timed

    def new(self, kind: str) -> str:
        """A new id; asking again gives the same one."""
        if kind not in self.ids:
            self.ids[kind] = new_id(kind)
        return self.ids[kind]

    def seal(self, person: str, field: str, value: str) -> Sealed:
        """A value sealed once, however often it is asked for; raises ``NeedsKey``."""
        if person not in self._keys:
            raise NeedsKey(person)
        what = person, field, value
        if what not in self._sealed:
            kid, secret = self._keys[person]
            self._sealed[what], box = close_box(secret, kid, person, field, value)
            self.boxes[self._sealed[what].sealed] = person, box
        return self._sealed[what]

    def alias(self, kind: str, value: str) -> str:
        """The name that stands for an identifier; raises ``NeedsAlias``."""
        if (kind, value) not in self._aliases:
            raise NeedsAlias(kind, value)
        return self._aliases[kind, value]

    async def fetch(self, need: NeedsKey | NeedsAlias, vault: Vault) -> None:
        """Bring what a decision asked for."""
        if isinstance(need, NeedsKey):
            self._keys[need.args[0]] = await vault.key(need.args[0])
        else:
            self._aliases[need.args] = await vault.alias(*need.args)
