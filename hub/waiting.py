"""Commands that wait for their turn with the writer."""

import time
from collections import deque
from collections.abc import Iterable

from hub.turns import Pending

MAX_WAITING = 10_000
TOO_OLD = 120.0
"""Seconds after which nothing is recorded under the time at which it was given: witnesses have been asked since."""


class Busy(Exception):
    """Too many commands are waiting: come back in a moment."""


class Waiting:
    """In the order in which they came; before all others those ``alone``, of which one cannot be recorded."""

    def __init__(self) -> None:
        self.queue: deque[Pending] = deque()
        self.alone: deque[Pending] = deque()

    def __bool__(self) -> bool:
        return bool(self.queue or self.alone)

    def put(self, pending: Pending) -> None:
        """Queue a command; raises ``Busy`` at once where too many wait."""
        if len(self.queue) >= MAX_WAITING:
            raise Busy
        self.queue.append(pending)

    def take(self, most: int) -> list[Pending]:
        """The next of those that came, so many at most; who was given up for its age is told to come again."""
        taken = list[Pending]()
        while self.queue and len(taken) < most:
            taken += _in_time(self.queue.popleft())
        return taken

    def take_alone(self) -> list[Pending]:
        """The next of those ``alone``, unless it was given up."""
        return _in_time(self.alone.popleft())

    def back(self, pending: Iterable[Pending]) -> None:
        """They come to their turn again, before all that came, in their order."""
        self.queue.extendleft(reversed([*pending]))

    def give_up(self, after: float = 0.0) -> None:
        """Tell those who have waited for so many seconds to come again: nothing of theirs was recorded."""
        for each in (self.queue, self.alone):
            for _ in range(len(each)):
                pending = each.popleft()
                if time.monotonic() - pending.act.begun >= after:
                    pending.fail(Busy())
                else:
                    each.append(pending)

    def refuse(self, error: Exception) -> None:
        """Tell everybody who waits that nothing was recorded."""
        for each in (self.queue, self.alone):
            while each:
                each.popleft().fail(error)


def _in_time(pending: Pending) -> list[Pending]:
    # The time of a command is that at which it was given, however often it comes to its turn.
    if time.monotonic() - pending.act.begun <= TOO_OLD:
        return [pending]
    pending.fail(Busy())
    return []
