"""``hub backup``, and what ``hub restore`` makes of a backup: both databases and the log's key, in one folder."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg
import click

from hub.audit.events import unsigned
from hub.audit.heads import LastHead
from hub.audit.notes import Head, Malformed, Signer
from hub.console import UNWRITABLE, err, failing
from hub.log import is_there, keys_of, make_databases, prepare_role
from hub.postgres import Unavailable, database, default_home, program
from hub.settings import policy_file

LOG, KEYS, TIME = "hub.dump", "keys.dump", "backed-up"
_KEY, _HEAD = "log.key", "log.head"
# Read models are made anew from the log. Sessions, links and tokens that have ended since would be valid again.
_LEFT_OUT = (
    "--exclude-schema=read_*",
    "--exclude-schema=verify_*",
    "--exclude-table-data=hub.access",
    "--exclude-table-data=hub.ceremony",
)
# Programs older than a server do not know its settings, but newer ones tell it of theirs: it needs none of that one.
_TOO_NEW = b"SET transaction_timeout = 0;\n"
_BEGUN = "SELECT to_regclass('restoring') IS NOT NULL"
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "dbname": "PGDATABASE",
    "database": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
}


class Unfit(Exception):
    """A backup cannot be made or brought back; the message says why."""


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
    if (known := await _sealed_with(dsn)) is not None and known != key_in(home):
        raise Unfit(f"the log is sealed with the key {known}, and {home / _KEY} is not that key. Is HUB_HOME right?")
    if wrong := await unsigned(dsn, _head_in(home)):
        # It would look like a backup until it is needed, while those that are some are thrown away.
        raise Unfit(
            f"the log is not what was signed: {wrong}. It could not be brought back; hub verify says what differs."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _written(dsn, home, fresh)
        if not (fresh / _HEAD).exists() and (home / _HEAD).exists():
            # It was sealed for the first time meanwhile: what is sealed has its head in the backup.
            _written(dsn, home, fresh)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    with suppress(OSError):
        fresh = home / f"{TIME}.{os.getpid()}"
        fresh.write_text(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {folder.resolve()}\n", "utf-8")
        fresh.replace(home / TIME)


def _head_in(folder: Path) -> Head | None:
    try:
        return LastHead(folder / _HEAD).read()
    except Malformed as error:
        raise Unfit(str(error)) from None


def _written(dsn: str, home: Path, fresh: Path) -> None:
    # Before the log: what was sealed last is never more than what the backup holds.
    for file in (home / _KEY, home / _HEAD, policy_file()):
        if file.exists():
            _copied(file, fresh / ("policy" if file == policy_file() else file.name))
    # Before the keys: a person whose event is there has a key that is there too.
    for address, name, words in ((dsn, LOG, _LEFT_OUT), (keys_of(dsn), KEYS, ())):
        with open(os.open(fresh / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            _run(["pg_dump", "--no-password", "--format=custom", *words], address, out)
            os.fsync(out.fileno())


async def bring_back(dsn: str, home: Path, folder: Path) -> None:
    """Bring a backup back where there is no hub, or one without any event to which nobody is connected; raises
    ``Unfit``, and has left nothing of it behind then.
    """
    for name in (LOG, KEYS):
        if not (folder / name).exists():
            raise Unfit(f"{folder / name} is missing: the backup is not whole.")
    if await is_there(dsn) and await _on(dsn, _is_in_use):
        raise Unfit(
            "there is a hub in this database already, or somebody is connected to it. A backup is brought back into an "
            "empty one."
        )
    for name, held in ((LOG, b" TABLE hub event "), (KEYS, b" TABLE public key ")):
        if held not in _read(["--list"], folder / name):
            raise Unfit(f"{folder / name} is not what its name says.")
    ours, theirs = key_in(home), key_in(folder)
    if ours is not None and theirs is not None and ours != theirs:
        raise Unfit(f"{home / _KEY} is the key of another log.")
    head = _head_in(folder)
    await make_databases(dsn)
    await _on(dsn, prepare_role)
    home.mkdir(parents=True, exist_ok=True)
    files = [name for name in (_KEY, "log.head", "policy") if (folder / name).exists() and not (home / name).exists()]
    try:
        for name in files:
            _copied(folder / name, home / name)
        await _on(dsn, _without_models)
        await _on(dsn, _without_log)
        # First the keys: whatever ends this in between, there is no hub yet, and it is begun anew.
        new = await _bring_keys_back(dsn, folder)
        _restored(dsn, folder / LOG)
        sealed = await _sealed_with(dsn)
        if (ours is not None and sealed != ours) or (theirs is not None and sealed not in (None, theirs)):
            raise Unfit("log.key has sealed another log, or none: this one is not its.")
        if new and not await _fit(dsn):
            raise Unfit(f"{folder / KEYS} holds the keys of another hub.")
        if not await _on(dsn, lambda db: _is_of(db, head)) or await unsigned(dsn, head):
            raise Unfit(
                f"{folder / LOG} is not the log that {folder / 'log.head'} says was sealed: one of them was changed, "
                "or is of another hub."
            )
        await _on(keys_of(dsn), lambda db: db.execute("DROP TABLE IF EXISTS restoring"))
    except BaseException:
        for name in files:
            (home / name).unlink(missing_ok=True)
        await _on(dsn, _without_log)
        if await _on(keys_of(dsn), lambda db: db.fetchval(_BEGUN)):
            await _on(
                keys_of(dsn), lambda db: db.execute("DROP TABLE IF EXISTS key, pepper, alias, erasing, restoring")
            )
        raise


async def _bring_keys_back(dsn: str, folder: Path) -> bool:
    # Whether they are those of the backup. What was begun and never finished is nothing that outlived anything.
    there = await _on(keys_of(dsn), _pepper_of_keys)
    if there is None:
        await _on(keys_of(dsn), lambda db: db.execute("CREATE TABLE IF NOT EXISTS restoring ()"))
        _restored(keys_of(dsn), folder / KEYS, "--clean", "--if-exists")
        return True
    if there == _pepper_in(folder / KEYS):
        # It outlived the log: it may hold keys that are newer than the backup, and none of whoever was erased since.
        err.print("The keys' own database is there, and stays as it is.")
        return False
    raise Unfit(f"{urlsplit(keys_of(dsn)).path[1:]} holds the keys of another hub: empty it, or name another one.")


async def _is_of(db: asyncpg.Connection, head: Head | None) -> bool:
    # Whether a head is one of this log, by its name; where something was sealed, there is a head.
    if head is None:
        return not await db.fetchval("SELECT EXISTS (SELECT FROM hub.head)")
    vkey = await db.fetchval("SELECT vkey FROM hub.sealer")
    return vkey is None or vkey.partition("+")[0] == head.origin


async def _fit(dsn: str) -> bool:
    people = {row["person"] for row in await _on(dsn, lambda db: db.fetch("SELECT DISTINCT person FROM hub.box"))}
    keys = {row["person"] for row in await _on(keys_of(dsn), lambda db: db.fetch("SELECT person FROM key"))}
    # Whoever was erased while the backup was made has none.
    return not people or bool(people & keys)


async def _without_models(db: asyncpg.Connection) -> None:
    # Read models of a log that is no longer here are those of no log.
    for row in await db.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(read|verify)_'"):
        await db.execute(f'DROP SCHEMA "{row["nspname"]}" CASCADE')


async def _is_in_use(db: asyncpg.Connection) -> bool:
    # Tables alone are left by a restore that failed, or was ended: they hold nothing, unless a hub begins there now.
    others = """SELECT FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()
                AND backend_type = 'client backend'"""
    return bool(await db.fetchval(f"SELECT EXISTS (SELECT FROM hub.event) OR EXISTS ({others})"))


async def _without_log(db: asyncpg.Connection) -> None:
    await db.execute("DROP SCHEMA IF EXISTS hub CASCADE")


async def _pepper_of_keys(db: asyncpg.Connection) -> bytes | None:
    # By its pepper one hub's keys are known from another's; where there are none yet, it is worth nothing.
    if await db.fetchval(_BEGUN) or not await db.fetchval("SELECT to_regclass('key') IS NOT NULL"):
        return None
    found: bytes | None = await db.fetchval("SELECT secret FROM pepper WHERE EXISTS (SELECT FROM key)")
    return found


def _pepper_in(dump: Path) -> bytes | None:
    found = re.search(
        rb"\\\\x([0-9a-f]{64})$", _read(["--data-only", "--table=pepper", "--file=-"], dump), re.MULTILINE
    )
    return bytes.fromhex(found[1].decode()) if found else None


async def _sealed_with(dsn: str) -> str | None:
    found: str | None = await _on(dsn, lambda db: db.fetchval("SELECT vkey FROM hub.sealer"))
    return found


async def _on(dsn: str, do: Any) -> Any:
    db = await asyncpg.connect(dsn)
    try:
        return await do(db)
    finally:
        await db.close()


def key_in(folder: Path) -> str | None:
    """The public half of the key that seals a log, in a hub's folder; raises ``Unfit`` where it cannot be used."""
    try:
        return Signer.read(folder / _KEY).verifier.vkey
    except FileNotFoundError:
        return None
    except Malformed as error:
        raise Unfit(f"{folder / _KEY} is no key, or damaged: {error}") from None


def _copied(file: Path, to: Path) -> None:
    # Never readable for others, not for a moment; and there whole, or not at all.
    fresh = to.with_name(f"{to.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(file.read_bytes())
        os.fsync(out.fileno())
    fresh.rename(to)


def _restored(dsn: str, dump: Path, *words: str) -> None:
    with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as fit:
        _run(["pg_restore", "--no-owner", "--no-comments", *words, "--file=-", str(dump)], dsn, script)
        script.seek(0)
        fit.writelines(line for line in script if line != _TOO_NEW)
        fit.seek(0)
        quiet = ["--no-password", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction"]
        _run(["psql", *quiet], dsn, subprocess.DEVNULL, fit)


def _run(command: list[str], dsn: str, out: Any, given: Any = subprocess.DEVNULL) -> None:
    # What an address holds is no argument: other users of the machine see those.
    env = {**os.environ, **_environment(dsn), "PGAPPNAME": "hub backup"}
    try:
        done = subprocess.run(
            [str(program(command[0])), *command[1:]], stdin=given, stdout=out, stderr=subprocess.PIPE, env=env
        )
    except OSError as error:
        raise Unavailable(
            f"{command[0]} cannot be run ({error.strerror}): HUB_POSTGRES_BIN names its folder."
        ) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-500:].removeprefix(f"{command[0]}: ")
        raise Unfit(f"{command[0]}{f' of {Path(command[-1]).name}' if command[-1].endswith('.dump') else ''}: {said}")


def _read(words: list[str], dump: Path) -> bytes:
    with tempfile.TemporaryFile() as out:
        _run(["pg_restore", *words, str(dump)], "", out)
        out.seek(0)
        return out.read()


def _environment(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    user, _, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    places = [urlsplit(f"//{each}") for each in hosts.split(",")] if hosts else []
    found = {
        "PGHOST": ",".join(unquote(each.hostname or "") for each in places),
        "PGPORT": ",".join(str(each.port or "") for each in places),
        "PGUSER": unquote(name),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": unquote(parts.path[1:]),
    }
    found |= {_ENVIRONMENT[key]: value for key, value in parse_qsl(parts.query) if key in _ENVIRONMENT}
    return {key: value for key, value in found.items() if value.strip(",")}


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
    if not (folder / _KEY).exists():
        err.print("No key has sealed this log yet, so the backup has none: the first “hub serve” makes it.")
    click.echo(f"{folder}: {size / 1e6:,.1f} MB, for its owner alone. Bring it back with hub restore {folder}")
