"""``hub backup``, and what ``hub restore`` makes of a backup: both databases and the log's key, in one folder."""

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg
import click

from hub.console import err, failing
from hub.log import is_there, keys_of, make_databases, prepare_role
from hub.postgres import Unavailable, binaries, database, default_home

LOG, KEYS, TIME = "hub.dump", "keys.dump", "backed-up"
_FILES = ("log.key", "log.head", "policy")
# Read models are made anew from the log. Sessions, links and tokens that have ended since would be valid again.
_LEFT_OUT = (
    "--exclude-schema=read_*",
    "--exclude-schema=verify_*",
    "--exclude-table-data=hub.access",
    "--exclude-table-data=hub.ceremony",
)


class Unfit(Exception):
    """A backup cannot be made or brought back; the message says why."""


def is_backup(folder: Path) -> bool:
    """Whether this is the folder of a backup."""
    return (folder / LOG).exists()


def last_backup(home: Path) -> str:
    """When the last backup was made, in words."""
    with suppress(OSError):
        return (home / TIME).read_text().strip()
    return "none was made here: hub backup FOLDER"


def back_up(dsn: str, home: Path, folder: Path) -> None:
    """Write a backup into a folder that is not there yet, also while the hub serves; raises ``Unfit``."""
    if folder.exists():
        raise Unfit(f"{folder} is there already: name a new folder for each backup.")
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700, parents=True)
    # In this order: a person whose event is there has a key that is there too.
    for address, name, words in ((dsn, LOG, _LEFT_OUT), (keys_of(dsn), KEYS, ())):
        _run("pg_dump", address, "--format=custom", f"--file={fresh / name}", *words)
        (fresh / name).chmod(0o600)
    for name in _FILES:
        if (home / name).exists():
            shutil.copy(home / name, fresh / name)
    fresh.rename(folder)
    with suppress(OSError):
        (home / TIME).write_text(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {folder.resolve()}\n")


async def bring_back(dsn: str, home: Path, folder: Path) -> None:
    """Bring a backup back into a database without a hub; raises ``Unfit``, and has changed nothing then."""
    if not (folder / KEYS).exists():
        raise Unfit(f"{folder / KEYS} is missing: without it nobody's name can be read.")
    if await is_there(dsn):
        raise Unfit("there is a hub in this database already. A backup is brought back into an empty one.")
    ours, theirs = home / "log.key", folder / "log.key"
    if ours.exists() and theirs.exists() and ours.read_bytes() != theirs.read_bytes():
        raise Unfit(f"{ours} is the key of another log.")
    await make_databases(dsn)
    db = await asyncpg.connect(dsn)
    try:
        await prepare_role(db)
    finally:
        await db.close()
    words = ("--no-owner", "--no-comments", "--exit-on-error", "--single-transaction", "--clean", "--if-exists")
    if await _holds_keys(keys_of(dsn)):
        # It outlived the log: it may hold keys that are newer than the backup.
        err.print("The keys' own database is there, and stays as it is.")
    else:
        _run("pg_restore", keys_of(dsn), *words, str(folder / KEYS))
    _run("pg_restore", dsn, *words[:-2], str(folder / LOG))
    home.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        if (folder / name).exists() and not (home / name).exists():
            shutil.copy(folder / name, home / name)


async def _holds_keys(dsn: str) -> bool:
    db = await asyncpg.connect(dsn)
    try:
        there = await db.fetchval("SELECT to_regclass('key') IS NOT NULL")
        return bool(there and await db.fetchval("SELECT EXISTS (SELECT FROM key)"))
    finally:
        await db.close()


def _run(program: str, dsn: str, *words: str) -> None:
    # A password is no argument: other users of the machine see those.
    parts = urlsplit(dsn)
    user, _, host = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    address = urlunsplit(parts._replace(netloc=f"{quote(unquote(name))}@{host}" if name else host))
    env = {**os.environ, **({"PGPASSWORD": unquote(password)} if password else {})}
    command = [str(binaries() / program), "--no-password", f"--dbname={address}", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=env)
    except OSError as error:
        raise Unavailable(f"{program} cannot be run ({error.strerror}): HUB_POSTGRES_BIN names its folder.") from None
    if done.returncode:
        raise Unfit(f"{program}: {done.stderr.strip()[-500:]}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def backup(folder: Path) -> None:
    """Back the hub up into a new FOLDER: log, personal data with their keys, and the key that seals the log.

    The hub may serve meanwhile. Bring it back with hub restore FOLDER. Sessions, links and tokens are left out. Whoever
    has the folder can read everything and sign in the hub's name: it is for its owner alone. What hub forget erases is
    gone when the last backup from before is.
    """
    home = default_home()
    with failing(), database(home, lambda text: err.print(text, style="dim")) as dsn:
        if not asyncio.run(is_there(dsn)):
            raise Unavailable("There is no hub in this database. Is HUB_DATABASE_URL right?")
        try:
            back_up(dsn, home, folder)
        except (Unfit, PermissionError) as error:
            err.print(f"No backup was made: {error}")
            sys.exit(1)
    size = sum(each.stat().st_size for each in folder.iterdir())
    click.echo(f"{folder}: {size / 1e6:,.1f} MB, for its owner alone. Bring it back with hub restore {folder}")
