"""``hub backup``: both databases and the log's key, in one folder."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import asyncpg
import click

from hub.audit.events import odd
from hub.audit.heads import LastHead
from hub.audit.notes import Head, Malformed, Signer
from hub.cli.console import UNWRITABLE, err, failing
from hub.connecting import connect
from hub.database import database, default_home
from hub.dumps import Unfit, dump
from hub.files import written
from hub.log import is_there, keys_of
from hub.programs import Unavailable
from hub.settings import policy_file

T = TypeVar("T")
LOG, KEYS, TIME = "hub.dump", "keys.dump", "backed-up"
KEY, HEAD, POLICY = "log.key", "log.head", "policy"
# Read models are made anew from the log, and what else stands in its database is not the hub's, who may not even read
# it. Sessions, links and tokens that have ended since would be valid again.
_LEFT_OUT = (
    "--schema=hub",
    "--exclude-table-data=hub.access",
    # What is brought back begins another one.
    "--exclude-table=hub.epoch",
    "--exclude-table-data=hub.ceremony",
)


def is_backup(folder: Path) -> bool:
    """Whether this is the folder of a backup, or of a part of one."""
    return (folder / LOG).exists() or (folder / KEYS).exists()


def last_backup(home: Path) -> str:
    """When the last backup was made, in words."""
    with suppress(OSError):
        return (home / TIME).read_text().strip()
    return "none was made here: hub backup FOLDER"


async def back_up(dsn: str, home: Path, folder: Path) -> None:
    """Write a backup into a folder that is not there yet, also while the hub serves; raises ``Unfit``."""
    try:
        str(folder.resolve()).encode()
    except UnicodeEncodeError:
        raise Unfit("the folder's name is not UTF-8: choose another one.") from None
    if folder.exists():
        raise Unfit(f"{folder} is there already: name a new folder for each backup.")
    if (known := await sealed_with(dsn)) is not None and known != key_in(home):
        raise Unfit(f"the log is sealed with the key {known}, and {home / KEY} is not that key. Is HUB_HOME right?")
    if wrong := await odd(dsn, head_in(home)):
        # It would look like a backup until it is needed, while those that are some are thrown away.
        raise Unfit(
            f"the log is not what was signed: {wrong}. It could not be brought back; hub verify says what differs."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _written(dsn, home, fresh)
        if not (fresh / HEAD).exists() and (home / HEAD).exists():
            # It was sealed for the first time meanwhile: what is sealed has its head in the backup.
            _written(dsn, home, fresh)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    with suppress(OSError):
        written(home / TIME, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {folder.resolve()}\n".encode(), 0o644)


def head_in(folder: Path) -> Head | None:
    """What was signed last, in a hub's folder or a backup; raises ``Unfit`` where that cannot be read."""
    try:
        return LastHead(folder / HEAD).read()
    except Malformed as error:
        raise Unfit(str(error)) from None


def _written(dsn: str, home: Path, fresh: Path) -> None:
    # Before the log: what was sealed last is never more than what the backup holds.
    for file in (home / KEY, home / HEAD, policy_file()):
        if file.exists():
            copied(file, fresh / (POLICY if file == policy_file() else file.name))
    # Before the keys: a person whose event is there has a key that is there too.
    for address, name, words in ((dsn, LOG, _LEFT_OUT), (keys_of(dsn), KEYS, ())):
        dump(address, fresh / name, *words)


async def sealed_with(dsn: str) -> str | None:
    """The public half of the key that has sealed the log in this database; ``None`` where none has."""
    found: str | None = await on(dsn, lambda db: db.fetchval("SELECT vkey FROM hub.sealer"))
    return found


async def on(dsn: str, do: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """What this answers over a connection of its own."""
    db = await connect(dsn)
    try:
        return await do(db)
    finally:
        await db.close()


def key_in(folder: Path) -> str | None:
    """The public half of the key that seals a log, in a hub's folder; raises ``Unfit`` where it cannot be used."""
    try:
        return Signer.read(folder / KEY).verifier.vkey
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise Unfit(f"{folder / KEY} is no key, or damaged: {error}") from None


def copied(file: Path, to: Path) -> None:
    """Copy a file: never readable for others, not for a moment; and there whole, or not at all."""
    written(to, file.read_bytes())


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Back the hub up into a new FOLDER: log, personal data with their keys, and the key that seals the log.

    The hub may serve meanwhile. Bring it back with hub restore FOLDER. Sessions, links and tokens are left out. Whoever
    has the folder can read everything and sign in the hub's name: it is for its owner alone. What hub forget erases is
    gone when the last backup from before is.
    """
    home = default_home()

    async def story(dsn: str) -> None:
        if not await is_there(dsn):
            raise Unavailable("There is no hub in this database. Is HUB_DATABASE_URL right?")
        await back_up(dsn, home, folder)

    with failing(), database(home, lambda text: err.print(text, style="dim")) as dsn:
        try:
            asyncio.run(story(dsn))
        except Unfit as error:
            err.print(f"No backup was made: {error}")
            sys.exit(1)
        except OSError as error:
            if error.filename is None and error.errno not in UNWRITABLE:
                raise  # the database's socket
            err.print(f"No backup was made: {error.filename or folder}: {error.strerror}.")
            sys.exit(1)
    size = sum(each.stat().st_size for each in folder.iterdir())
    if not (folder / KEY).exists():
        err.print("No key has sealed this log yet, so the backup has none: the first “hub serve” makes it.")
    click.echo(f"{folder}: {size / 1e6:,.1f} MB, for its owner alone. Bring it back with hub restore {folder}")
