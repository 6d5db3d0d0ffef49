"""What is recorded of seals: what a read model was at a position, so that witnesses cover it."""

from domain.core import Event, SealId


class ReadModelSealed(Event):
    """A read model was sealed as it stood at a position."""

    seal: SealId
    name: str
    code: str
    position: int
    rows: int
    root: str
