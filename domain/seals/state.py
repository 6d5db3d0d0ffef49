"""A seal, as decisions see it."""

from typing import Self

import msgspec

from domain.core import Event, Kind, State
from domain.seals.events import ReadModelSealed


class Seal(State, kind=Kind("seal"), on=(ReadModelSealed,)):
    """A seal that was recorded."""

    def evolve(self, event: Event) -> Self:
        """It stays as it is."""
        match event:
            case ReadModelSealed():
                return msgspec.structs.replace(self, id=event.seal, status="recorded")
        return self
