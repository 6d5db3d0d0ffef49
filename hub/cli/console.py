"""What the commands of the command line share: an open hub, receipts in words, exit codes."""

import asyncio
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg
import click
import msgspec
from rich.console import Console

from domain.core import Refusal, UnknownEvent
from hub import settings
from hub.audit.digests import Undigested
from hub.audit.following import lost
from hub.confirming import Unknown
from hub.database import database, default_home
from hub.door import Hub
from hub.log import is_there
from hub.logs import logged
from hub.programs import Unavailable
from hub.turns import Receipt
from hub.waiting import Busy

T = TypeVar("T")
RIGHTS = """
  CREATE ROLE hub_writer NOLOGIN;
  GRANT hub_writer TO hub;            -- the user in HUB_DATABASE_URL
  CREATE DATABASE hub OWNER hub ENCODING 'UTF8' TEMPLATE template0;      -- the database in it,
  CREATE DATABASE hub_keys OWNER hub ENCODING 'UTF8' TEMPLATE template0; -- and its name with “_keys”
  \\connect hub
  CREATE EXTENSION pg_trgm;
  GRANT pg_checkpoint, pg_read_all_stats TO hub;   -- with these, an erasure leaves nothing in the server's files
  \\connect hub_keys
  GRANT EXECUTE ON FUNCTION pg_switch_wal() TO hub;
"""
"""What the owner of a PostgreSQL server types for a hub whose user has no rights of its own."""
UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
"""What is wrong where a command cannot write what it found; a database that is away is none of these."""
READ_NO_FURTHER = 128 + 13
"""The exit code where whoever reads what is printed has gone before its end, as of any program that SIGPIPE ends."""
err = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


def opened(story: Callable[[Hub], Awaitable[T]], makes: bool = False, records: bool = False) -> T:
    """Run a story on the open hub; what fails says what to do and leaves with its exit code.

    Only what ``makes`` a hub makes one where there is none. What ``records`` does so only where nothing is missing that
    was sealed: else there would be two histories.
    """

    async def run(dsn: str) -> T:
        if not makes and not await is_there(dsn):
            raise Unavailable("There is no hub in this database: “hub serve” makes one. Is HUB_DATABASE_URL right?")
        hub = await Hub.open(dsn)
        try:
            if (makes or records) and (missing := await lost(hub, default_home())):
                err.print(missing)
                sys.exit(1)
            return await story(hub)
        finally:
            await hub.close()

    with failing(), database(default_home(), lambda text: err.print(text, style="dim"), makes=makes) as dsn:
        return asyncio.run(run(dsn))


@contextmanager
def printing() -> Iterator[None]:
    """What cannot be printed ends the program: with 3, and with 141 where whoever reads it has gone."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*UNWRITABLE, errno.EPIPE):
            raise
        # Nor can what is left of it be written, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(READ_NO_FURTHER)
        err.print(f"What was found cannot be written: {error.strerror}.")
        sys.exit(3)


class Program(click.Group):
    """The commands; what they print and cannot be written ends them with 3."""

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        """What was typed; what is asked for besides commands, as help, is printed by it."""
        with printing():
            return super().make_context(*given, **named)

    def invoke(self, ctx: click.Context) -> Any:
        """Carry a command out."""
        logged()
        ended = _heed_ends()
        try:
            with printing():
                return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort) as error:
            # Whoever says no to a question has ended nothing.
            if isinstance(error, click.Abort) and not isinstance(error.__context__, KeyboardInterrupt):
                raise
            err.print("It was ended before it was done.")
            sys.exit(128 + (ended[0] if ended else signal.SIGINT))
        except UnicodeEncodeError:
            err.print("What was typed is not UTF-8.")
            sys.exit(2)
        except Unavailable as error:
            err.print(str(error))
            sys.exit(3)


def _heed_ends() -> list[int]:
    # A terminal that is closed, or a job of the night that took too long: what was begun is taken back, as by Ctrl-C.
    # Nobody takes for an answer how it ended then: by which of these it was is told.
    ended: list[int] = []

    def end(number: int, _: object) -> None:
        ended.append(number)
        raise KeyboardInterrupt

    for each in (signal.SIGTERM, signal.SIGHUP):
        if threading.current_thread() is threading.main_thread() and signal.getsignal(each) is signal.SIG_DFL:
            signal.signal(each, end)
    return ended


@contextmanager
def failing() -> Iterator[None]:
    """What fails says what to do, and leaves with its exit code; wrong settings do so at once."""
    if said := settings.wrong():
        err.print(said)
        sys.exit(2)
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads what is printed has gone: that is not the database
    except Unavailable as error:
        err.print(str(error))
        sys.exit(3)
    except Busy:
        err.print("Too many commands are waiting: try again in a moment.")
        sys.exit(3)
    except Unknown as error:
        err.print(
            f"Whether this was recorded is not known ({_short(error)}): look whether “hub log” shows it before you "
            "give it again (hub do: with the same --key)."
        )
        sys.exit(3)
    except UnknownEvent as unknown:
        err.print(f"The log holds an event of a newer version of the hub, “{unknown}”: install that version again.")
        sys.exit(1)
    except asyncpg.DataError as error:
        err.print(f"This cannot be looked up: {str(error).partition(': ')[2] or error}")
        sys.exit(2)
    except asyncpg.InsufficientPrivilegeError as error:
        err.print(f"The database does not let the hub do what it has to: {error}. Its owner gives it these rights:")
        err.print(RIGHTS.strip("\n"))
        sys.exit(3)
    except asyncpg.UndefinedObjectError as error:
        err.print(f"The database cannot be opened: {_short(error)}. Is HUB_DATABASE_URL right?")
        sys.exit(3)
    except Undigested as error:
        err.print(f"Nothing was sealed: {error}")
        sys.exit(3)
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InterfaceError,
    ) as error:
        err.print(_unreached(error))
        sys.exit(3)
    except asyncpg.PostgresError as error:
        err.print(f"The database cannot do this now: {_short(error)}. What the log shows (hub log) was recorded.")
        sys.exit(3)
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise
        if error.filename is not None:
            err.print(f"{error.filename}: {error.strerror}. Does it belong to the user who runs the hub?")
            sys.exit(3)
        err.print(_unreached(error))
        sys.exit(3)
    except Refusal as refusal:
        for each in refusal.every:
            err.print(f"Refused ({each.reason}): {each}" + (f" [field: {each.field}]" if each.field else ""))
        sys.exit(1)


def _unreached(error: Exception) -> str:
    said = str(error) or "it does not answer"
    return f"The database cannot be reached: {said}." + (
        " Is HUB_DATABASE_URL right?" if os.environ.get("HUB_DATABASE_URL") else ""
    )


def _short(error: Exception) -> str:
    # The server's hints are on lines of their own.
    return str(error).partition("\n")[0]


def shown(receipt: Receipt, as_json: bool) -> None:
    """Print what became of a command."""
    if as_json:
        click.echo(msgspec.json.encode(receipt))
    elif receipt.events:
        click.echo(f"Recorded at position {receipt.position}: {receipt.record}")
    else:
        click.echo(f"Nothing had to be done: {receipt.record}")


def free_port(host: str, port: int) -> None:
    """Leave, saying why, where a port is taken."""
    try:
        # Bound and not listening: nobody takes the hub for open meanwhile.
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(place)
    except OSError as error:
        err.print(f"Port {port} of {host} cannot be had: {error.strerror}. Choose another one with PORT=… or --port.")
        sys.exit(2)
