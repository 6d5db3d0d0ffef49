"""What ``hub restore`` makes of a backup: a hub where there is none."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from hub.audit.events import odd
from hub.audit.notes import Head
from hub.audit.restore import RESTORED
from hub.cli.backups import HEAD, KEY, KEYS, LOG, POLICY, copied, head_in, key_in, on, sealed_with
from hub.cli.console import err
from hub.dumps import Unfit, load, read
from hub.log import is_there, keys_of, make_databases, prepare, prepare_role

_BEGUN = "SELECT to_regclass('restoring') IS NOT NULL"


async def bring_back(dsn: str, home: Path, folder: Path) -> None:
    """Bring a backup back where there is no hub, or one without any event to which nobody is connected; raises
    ``Unfit``, and has left nothing of it behind then.
    """
    for name in (LOG, KEYS):
        if not (folder / name).exists():
            raise Unfit(f"{folder / name} is missing: the backup is not whole.")
    if await is_there(dsn) and await on(dsn, _is_in_use):
        raise Unfit(
            "there is a hub in this database already, or somebody is connected to it. A backup is brought back into an "
            "empty one."
        )
    for name, held in ((LOG, b" TABLE hub event "), (KEYS, b" TABLE public key ")):
        if held not in read(["--list"], folder / name):
            raise Unfit(f"{folder / name} is not what its name says.")
    ours, theirs = key_in(home), key_in(folder)
    if ours is not None and theirs is not None and ours != theirs:
        raise Unfit(f"{home / KEY} is the key of another log.")
    head = head_in(folder)
    await make_databases(dsn)
    await on(dsn, prepare_role)
    home.mkdir(parents=True, exist_ok=True)
    files = [name for name in (KEY, HEAD, POLICY) if (folder / name).exists() and not (home / name).exists()]
    try:
        for name in files:
            copied(folder / name, home / name)
        await on(dsn, _without_models)
        await on(dsn, _without_log)
        # First the keys: whatever ends this in between, there is no hub yet, and it is begun anew.
        new = await _bring_keys_back(dsn, folder)
        load(dsn, folder / LOG)
        sealed = await sealed_with(dsn)
        if (ours is not None and sealed != ours) or (theirs is not None and sealed not in (None, theirs)):
            raise Unfit("log.key has sealed another log, or none: this one is not its.")
        if new and not await _fit(dsn):
            raise Unfit(f"{folder / KEYS} holds the keys of another hub.")
        own, wrong = await on(dsn, lambda db: _is_of(db, head)), await odd(dsn, head)
        if not own or wrong:
            said = f": {wrong}" if wrong else ""
            raise Unfit(
                f"{folder / LOG} is not the log that {folder / HEAD} says was sealed: one of them was changed, "
                f"or is of another hub{said}."
            )
        await prepare(dsn)
        await on(dsn, lambda db: db.execute(RESTORED))
        await on(keys_of(dsn), lambda db: db.execute("DROP TABLE IF EXISTS restoring"))
    except BaseException:
        for name in files:
            (home / name).unlink(missing_ok=True)
        await on(dsn, _without_log)
        if await on(keys_of(dsn), lambda db: db.fetchval(_BEGUN)):
            made = "DROP TABLE IF EXISTS key, pepper, alias, erasing, salt, restoring"
            await on(keys_of(dsn), lambda db: db.execute(made))
        raise


async def _bring_keys_back(dsn: str, folder: Path) -> bool:
    # Whether they are those of the backup. What was begun and never finished is nothing that outlived anything.
    there = await on(keys_of(dsn), _pepper_of_keys)
    if there is None:
        await on(keys_of(dsn), lambda db: db.execute("CREATE TABLE IF NOT EXISTS restoring ()"))
        # What an administrator has let the hub do in another server is theirs to say here, too.
        load(keys_of(dsn), folder / KEYS, "--clean", "--if-exists", "--no-privileges")
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
    people = {row["person"] for row in await on(dsn, lambda db: db.fetch("SELECT DISTINCT person FROM hub.box"))}
    keys = {row["person"] for row in await on(keys_of(dsn), lambda db: db.fetch("SELECT person FROM key"))}
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
    found = re.search(rb"\\\\x([0-9a-f]{64})$", read(["--data-only", "--table=pepper", "--file=-"], dump), re.MULTILINE)
    return bytes.fromhex(found[1].decode()) if found else None
