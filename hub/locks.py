"""The advisory locks of PostgreSQL that processes of one hub share: each number stands for one thing in a database."""

from enum import IntEnum, unique


@unique
class Lock(IntEnum):
    """What is done by one at a time, in all processes together."""

    APPEND = 4715741
    """Appending to the log; ``hub.append`` in schema.sql takes it by its number."""
    KEYS = 4715742
    """Making somebody's key, in the keys' own database."""
    MODELS = 4715743
    """Making read models and their indexes."""
    FOLLOWER = 4715744
    """Following the log to seal it; held for as long as somebody does."""
    SEALED_ROWS = 4715745
    """Writing the hashes of the rows that a seal is about."""
    VERIFYING = 4715748
    """Replaying the log into a schema beside the live read models, to compare the two."""
    ENTRANCES = 4715749
    """Letting a person in, or shutting them out; taken together with a number for whom."""
    MAILING = 4715746
    """Mailing what was recorded; held for as long as somebody does."""
