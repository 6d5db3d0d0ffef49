"""What was used last, in memory: by how much there may be of it, and by how large it is."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

import msgspec

from hub.log import Recorded

K = TypeVar("K")
V = TypeVar("V")
LEAST, SIZE = 10_000, 200_000_000
"""So many are kept, however large: what one decision reads has to be here at once. More only within so many bytes."""
_LOOK, _SOME = 1_000, 16
_ENCODER = msgspec.json.Encoder(enc_hook=repr)


class Held(OrderedDict[K, V]):
    """Values by their keys, those used last at the end: as many as ``most``, and as fit.

    How large they are is told by some of them, looked at now and then: weighing each would cost more than it saves.
    """

    def __init__(self, most: int = 100_000) -> None:
        super().__init__()
        self.most, self._room, self._since = most, most, _LOOK

    def trim(self, put: int = 1) -> None:
        """Let those go that are too many, the ones unused for longest first, after so many were ``put``."""
        self._since += put
        if self._since >= _LOOK:
            self._since, some = 0, [*islice(self.values(), _SOME), *islice(reversed(self.values()), _SOME)]
            size = sum(1_000 + len(_ENCODER.encode(each)) for each in some) / max(len(some), 1)
            self._room = max(LEAST, int(SIZE / max(size, 1)))
        while len(self) > min(self.most, self._room):
            self.popitem(last=False)


class Lately:
    """The newest events, in order: as many as ``most``, and as fit into ``size`` bytes."""

    def __init__(self, most: int, size: int = 32_000_000) -> None:
        self._most, self._size, self._total = most, size, 0
        self._events: deque[Recorded] = deque()

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def holds(self, position: int) -> bool:
        """Whether every event after this position is here."""
        return bool(self._events) and self._events[0].position <= position + 1

    def add(self, new: Iterable[Recorded]) -> None:
        """Events that follow on those that are here; the oldest give way."""
        for each in new:
            self._events.append(each)
            self._total += _size_of(each)
        while self._events and (len(self._events) > self._most or self._total > self._size):
            self._total -= _size_of(self._events.popleft())

    def clear(self) -> None:
        """Forget them all."""
        self._events.clear()
        self._total = 0


def _size_of(recorded: Recorded) -> int:
    # Its text is here twice: as it is stored, and in its event.
    return 1_000 + 4 * len(recorded.data)
