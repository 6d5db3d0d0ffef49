"""The values that were used last, as many as fit."""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """The values that were used last, as many as fit."""

    def __init__(self, size: int) -> None:
        self._size, self._total = size, 0
        self._held: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, if it is here."""
        if (found := self._held.get(key)) is None:
            return None
        self._held.move_to_end(key)
        return found[0]

    def __contains__(self, key: K) -> bool:
        return key in self._held

    def put(self, key: K, value: V, weight: int = 1) -> None:
        """Keep a value; the one unused for longest gives way."""
        if (old := self._held.pop(key, None)) is not None:
            self._total -= old[1]
        self._held[key] = value, weight
        self._total += weight
        while self._total > self._size:
            _, (_, gone) = self._held.popitem(last=False)
            self._total -= gone
