"""What the hub's processes say while they run: a line for each thing, with its time in UTC and how grave it is."""

import logging
from datetime import UTC, datetime

import asyncpg

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
)


class Lines(logging.Formatter):
    """Writes lines; no traceback of what is raised while there is no database, or one without room."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """When it was said."""
        return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def format(self, record: logging.LogRecord) -> str:
        """A line of the log, and below it a traceback where nobody has foreseen this."""
        told, error = _first(record.getMessage()), record.exc_info[1] if record.exc_info else None
        away = isinstance(error, _AWAY) or (isinstance(error, OSError) and error.filename is None)
        if away and (said := _first(str(error)) or type(error).__name__) not in told:
            told = f"{told}: {said}"
        shown = {"msg": told, "args": (), **({"exc_info": None, "exc_text": None} if away else {})}
        return super().format(logging.makeLogRecord({**record.__dict__, **shown}))


def _first(text: str) -> str:
    # A server's second line repeats values, which may be personal; and what somebody sent begins no line of ours.
    return "".join(letter if letter.isprintable() else " " for letter in text.partition("\n")[0])


def logged() -> None:
    """Write what this process says to its error output, from warnings on."""
    handler = logging.StreamHandler()
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("uvicorn.error").addFilter(_grave)


def _grave(record: logging.LogRecord) -> bool:
    # To uvicorn a worker that died is nothing more than the worker that it starts in its place.
    if "Child process" in str(record.msg) and record.levelno < logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return record.levelno >= logging.WARNING
