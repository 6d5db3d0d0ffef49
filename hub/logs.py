"""What the hub's processes say while they run: a line for each thing, with its time in UTC and how grave it is."""

import logging
from datetime import UTC, datetime

import asyncpg

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What is raised while there is no database, or it has no room: what it says is enough, where it was met is not."""


class Lines(logging.Formatter):
    """Writes lines; a traceback only of what nobody has foreseen."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """When it was said."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """A line of the log."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, AWAY):
            return super().format(record)
        said = str(error) or type(error).__name__
        known = logging.makeLogRecord({**record.__dict__, "exc_info": None, "exc_text": None})
        if said not in record.getMessage():
            known.msg, known.args = f"{record.getMessage().partition(chr(10))[0]}: {said}", ()
        return super().format(known)


def logged() -> None:
    """Write what this process says to its error output, from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
