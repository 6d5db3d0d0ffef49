"""What the database has confirmed, and what is said where it does not confirm it in time."""

from collections.abc import Iterator
from contextlib import contextmanager

CONFIRMED = 20.0
"""So many seconds a commit may take, a standby's part included: who waits for longer is told that it is not known."""
UNCONFIRMED = f"the database has not confirmed it within {CONFIRMED:.0f} s"
"""What is said of a commit that takes too long: it may be recorded, and it may not be on a standby yet."""


class Unknown(Exception):
    """Whether it was recorded is not known: ask again with the same key to find out."""


@contextmanager
def confirmed() -> Iterator[None]:
    """Raise ``Unknown`` for what is not confirmed in time: it may be done, or not."""
    try:
        yield
    except TimeoutError:
        raise Unknown(UNCONFIRMED) from None
