"""What the commands of the command line share: an open hub, receipts in words, exit codes."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import asyncpg
import click
import msgspec
from rich.console import Console

from domain.core import Refusal
from hub.door import Hub
from hub.postgres import Unavailable, database, default_home
from hub.writer import Busy, Receipt, Unknown

T = TypeVar("T")
err = Console(stderr=True, highlight=False, soft_wrap=True)


def address() -> str:
    """Where the hub is reached from outside: ``HUB_URL``, else where it was served last."""
    if given := os.environ.get("HUB_URL"):
        return given.rstrip("/")
    if "PORT" not in os.environ:
        with suppress(OSError, UnicodeDecodeError):
            return (default_home() / "address").read_text().strip()
    return f"http://127.0.0.1:{os.environ.get('PORT', '8000')}"


def remember(address: str) -> None:
    """Note where the hub is served, for commands that are given later."""
    with suppress(OSError):
        (default_home() / "address").write_text(address + "\n")


def opened(story: Callable[[Hub], Awaitable[T]]) -> T:
    """Run a story on the open hub; what fails says what to do and leaves with its exit code."""

    async def run(dsn: str) -> T:
        hub = await Hub.open(dsn)
        try:
            return await story(hub)
        finally:
            await hub.close()

    with failing(), database(default_home(), lambda text: err.print(text, style="dim")) as dsn:
        return asyncio.run(run(dsn))


@contextmanager
def failing() -> Iterator[None]:
    """What fails says what to do, and leaves with its exit code."""
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
        err.print(f"Whether this was recorded is not known ({error}): ask again with the same --key to find out.")
        sys.exit(3)
    except asyncpg.DataError as error:
        err.print(f"This cannot be looked up: {str(error).partition(': ')[2] or error}")
        sys.exit(2)
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        err.print(f"The database cannot be reached: {error}. Is HUB_DATABASE_URL right?")
        sys.exit(3)
    except Refusal as refusal:
        err.print(f"Refused ({refusal.reason}): {refusal}" + (f" [field: {refusal.field}]" if refusal.field else ""))
        sys.exit(1)


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
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        err.print(f"Port {port} of {host} cannot be had: {error.strerror}. Choose another one with PORT=… or --port.")
        sys.exit(2)
