"""Backups: made while the hub serves, brought back into an empty database, and what is not brought back."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from hashlib import sha256
from types import SimpleNamespace

import asyncpg
import httpx2
import pytest

from hub import dumps
from hub.audit.notes import LOG, Head, Signer
from hub.cli import backups
from hub.door import Hub
from hub.log import keys_of
from tests.conftest import administered, dropped
from tests.sealed import as_root
from tests.test_log import person, region, told
from tests.web import home_of, hub, opened


@pytest.fixture
def empty(another_dsn):
    """The address of another database, where no hub is."""
    return another_dsn


async def _count(dsn, table):
    db = await asyncpg.connect(dsn)
    try:
        return await db.fetchval(f"SELECT count(*) FROM {table}")
    finally:
        await db.close()


def test_a_backup_is_made_while_the_hub_serves_and_brought_back_whole(dsn, empty, tmp_path):
    async def begin():
        hub = await Hub.open(dsn)
        _, author, _, _ = await region(hub)
        await hub.identity.token(author, ["read"], "nightly", 9)
        # What somebody else has in the same database is theirs to keep.
        db = await asyncpg.connect(dsn)
        await db.execute("CREATE SCHEMA reports; CREATE TABLE reports.monthly (); CREATE TABLE public.notes ()")
        await db.close()
        await hub.close()
        return author

    author = told(begin())
    folder = tmp_path / "backups" / "monday"
    with opened(dsn) as url:
        code, _, said = hub(dsn, "backup", folder)
        assert code == 0, said
        httpx2.get(url).raise_for_status()
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {each.name: each.stat().st_mode & 0o077 for each in folder.iterdir()}
    assert modes.items() >= dict.fromkeys(("hub.dump", "keys.dump", "log.key"), 0).items()
    assert "monday" in hub(dsn, "doctor")[1]
    code, out, said = hub(empty, "restore", folder)
    assert code == 0 and "as they were when the backup was made" in out, said
    assert "before this is served" in out and asyncio.run(_count(empty, "hub.restored")) == 1
    assert (home_of(empty) / "log.key").read_bytes() == (home_of(dsn) / "log.key").read_bytes()
    assert hub(empty, "verify")[0] == hub(empty, "doctor")[0] == 0
    assert asyncio.run(_count(empty, "pg_class WHERE relname IN ('monthly', 'notes')")) == 0
    # A seal may have been recorded after the backup, and nothing else.
    logs = [hub(each, "log", "--json")[1].splitlines() for each in (dsn, empty)]
    assert logs[0][: len(logs[1])] == logs[1] and len(logs[1]) > 5
    found = hub(empty, "people", author)[1]
    assert "Zarina" in found and "0 tokens, 0 sessions" in found
    assert "1 tokens" in hub(dsn, "people", author)[1]
    with opened(empty) as url, opened(dsn) as old:
        assert httpx2.get(f"{url}/status").status_code == 200
        # Whoever keeps a copy learns that this is not the log that they copied.
        ask = {"query": "{ hub { epoch } }"}
        lives = [httpx2.post(f"{each}/graphql", json=ask).json()["data"]["hub"]["epoch"] for each in (url, old, old)]
        assert lives[0] != lives[1] == lives[2]


def test_a_backup_is_never_written_or_brought_back_over_something(dsn, empty, tmp_path):
    told(_one(dsn))
    folder = tmp_path / "monday"
    assert hub(dsn, "backup", folder)[0] == 0
    for words, why in ((("backup", folder), "there already"), (("restore", folder), "there is a hub in this database")):
        code, _, said = hub(dsn, *words)
        assert code == 1 and why in said
    assert hub(empty, "backup", tmp_path / "none")[0] == 3 and not (tmp_path / "none").exists()
    (folder / "keys.dump").rename(tmp_path / "elsewhere")
    code, _, said = hub(empty, "restore", folder)
    assert code == 1 and "keys.dump is missing" in said
    (folder / "keys.dump").write_bytes((tmp_path / "elsewhere").read_bytes()[:500])
    code, _, said = hub(empty, "restore", folder)
    assert code == 1 and "pg_restore" in said
    code, _, said = hub(empty, "doctor")
    assert code == 3 and "There is no hub" in said
    (tmp_path / "elsewhere").rename(folder / "keys.dump")
    assert hub(empty, "restore", folder)[0] == 0


def test_a_backup_asks_for_no_role_of_the_server_that_it_comes_from(dsn, empty, tmp_path):
    """What an administrator let somebody do there is theirs to say in the new place."""

    async def given(*statements):
        db = await asyncpg.connect(keys_of(dsn))
        for each in statements:
            await db.execute(each)
        await db.close()

    told(_one(dsn))
    told(given("CREATE ROLE ministry", "GRANT SELECT ON pepper TO ministry"))
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0
    told(given("REVOKE ALL ON pepper FROM ministry", "DROP ROLE ministry"))
    code, _, said = hub(empty, "restore", tmp_path / "monday")
    assert code == 0, said


def test_a_hub_that_somebody_is_about_to_begin_is_not_overwritten(dsn, empty, tmp_path):
    told(_one(dsn))
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0

    async def held():
        opened = await Hub.open(empty)
        code, _, said = await asyncio.to_thread(hub, empty, "restore", tmp_path / "monday")
        assert code == 1 and "somebody is connected" in said
        await opened.close()

    told(held())
    assert hub(empty, "restore", tmp_path / "monday")[0] == 0


def test_keys_that_outlived_the_log_are_kept_and_who_was_erased_since_stays_erased(dsn, empty, tmp_path):
    async def later():
        hub = await Hub.open(dsn)
        await person(hub, "Later")
        await hub.close()

    told(_one(dsn))
    zarina = hub(dsn, "people", "zarina")[1].split()[0]
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0
    told(later())
    assert hub(dsn, "forget", zarina, "--yes")[0] == 0

    async def lose():
        # The log's database is lost; that of the keys is not.
        db = await asyncpg.connect(dsn)
        await db.execute("DROP SCHEMA hub CASCADE")
        for (schema,) in await db.fetch("SELECT nspname FROM pg_namespace WHERE nspname ~ '^read_'"):
            await db.execute(f"DROP SCHEMA {schema} CASCADE")
        await db.execute("DROP EXTENSION pg_trgm")
        await db.close()
        keys = await asyncpg.connect(keys_of(dsn))
        found = await keys.fetchval("SELECT count(*) FROM key")
        await keys.close()
        return found

    assert told(lose()) == 1
    code, _, said = hub(dsn, "restore", tmp_path / "monday")
    assert code == 0 and "stays as it is" in said and "1 people's names cannot be read" in said
    assert "Zarina" not in hub(dsn, "people")[1]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (
            "postgresql://hub:s%40cret@db.example:5433/hub?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            {
                "PGHOST": "db.example",
                "PGPORT": "5433",
                "PGUSER": "hub",
                "PGPASSWORD": "s@cret",
                "PGDATABASE": "hub",
                "PGSSLMODE": "verify-full",
                "PGSSLROOTCERT": "/etc/ca.pem",
            },
        ),
        (
            "postgres://a.example,b.example:6432/hub",
            {"PGHOST": "a.example,b.example", "PGPORT": ",6432", "PGDATABASE": "hub"},
        ),
        ("postgresql:///hub?host=/run/postgresql", {"PGHOST": "/run/postgresql", "PGDATABASE": "hub"}),
        (
            # Several with one in brackets among them are no address to every Python.
            "postgres://hub@[::1]:6432/hub?password=s%40cret&search_path=x",
            {
                "PGHOST": "::1",
                "PGPORT": "6432",
                "PGUSER": "hub",
                "PGPASSWORD": "s@cret",
                "PGDATABASE": "hub",
            },
        ),
    ],
)
def test_an_address_is_told_to_programs_where_nobody_sees_it(monkeypatch, address, expected):
    seen = []

    def run(command, env, **_):
        seen.append((command, env))
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    before = dict(os.environ)
    dumps._run(["pg_dump", "--format=custom"], address, None)
    ((command, env),) = seen
    assert command[1:] == ["--format=custom"]
    assert {name: value for name, value in env.items() if before.get(name) != value and name != "PGAPPNAME"} == expected
    assert dict(os.environ) == before


def test_a_backup_that_cannot_be_whole_is_none(dsn, empty, tmp_path, monkeypatch):
    told(_one(dsn))
    with opened(dsn) as url:
        _sealed(url)
    folder = tmp_path / "monday"
    code, _, said = hub(dsn, "backup", folder, home=tmp_path / "another")
    assert code == 1 and "Is HUB_HOME right?" in said
    for odd in (tmp_path / "file" / "monday", tmp_path / "file"):
        (tmp_path / "file").write_text("in the way")
        code, _, said = hub(dsn, "backup", odd)
        assert code == 1 and "No backup was made" in said
    # What somebody else keeps beside it is theirs; nothing half-made stays.
    (tmp_path / "monday.new").mkdir()
    code, _, said = hub(dsn, "backup", folder, HUB_POSTGRES_BIN=str(tmp_path))
    assert code == 3 and "pg_dump" in said
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "monday.new"]
    assert hub(dsn, "backup", folder)[0] == 0
    whole = (folder / "hub.dump").read_bytes()
    (folder / "hub.dump").write_bytes(whole[: len(whole) // 2])
    home = home_of(empty)
    for _ in range(2):
        code, _, said = hub(empty, "restore", folder)
        assert code == 1 and "pg_restore" in said
        assert not (home / "log.key").exists() and hub(empty, "doctor")[0] == 3
    assert told(_keys_of(empty)) == 0
    (folder / "hub.dump").write_bytes(whole)
    assert hub(empty, "restore", folder)[0] == 0
    assert (home / "log.key").stat().st_mode & 0o777 == 0o600


def test_a_head_that_is_not_of_the_log_is_no_part_of_a_backup(dsn, empty, tmp_path):
    """It is what stops two histories: damaged or lost, the hub would accuse itself, or remember nothing."""
    told(_one(dsn))
    with opened(dsn) as url:
        _sealed(url)
    folder, head = tmp_path / "monday", tmp_path / "monday" / "log.head"
    assert hub(dsn, "backup", folder)[0] == 0
    whole = head.read_bytes()
    origin, size, root, *rest = whole.decode().split("\n")
    other = ("A" if root[0] != "A" else "B") + root[1:]
    for text in ([f"x{origin}", size, root], [origin, size, other], [origin, str(int(size) + 500), root]):
        head.write_text("\n".join([*text, *rest]))
        code, _, said = hub(empty, "restore", folder)
        assert code == 1 and "one of them was changed, or is of another hub" in said, said
    head.unlink()
    code, _, said = hub(empty, "restore", folder)
    assert code == 1 and "log.head" in said
    assert hub(empty, "doctor")[0] == 3
    head.write_bytes(whole)
    assert hub(empty, "restore", folder)[0] == 0


def test_a_log_that_was_changed_makes_no_backup(dsn, tmp_path):
    """It would look like one each night, while those from before are thrown away."""
    told(_one(dsn))
    with opened(dsn) as url:
        _sealed(url)
    as_root(dsn, "UPDATE hub.event SET actor = 'somebody' WHERE position = 1")
    code, _, said = hub(dsn, "backup", tmp_path / "monday")
    assert code == 1 and "is not what was signed" in said and "hub verify" in said, said
    assert not (tmp_path / "monday").exists() and not (home_of(dsn) / "backed-up").exists()
    # Nor are the read models made to fit it.
    code, _, said = hub(dsn, "rebuild")
    assert code == 1 and "Nothing was made anew" in said


def test_a_log_whose_events_are_hidden_makes_no_backup_and_is_not_brought_back(dsn, empty, tmp_path, monkeypatch):
    """What decisions read is found by tags: no root is made of these."""
    told(_one(dsn))
    with opened(dsn) as url:
        _sealed(url)
    as_root(dsn, "DELETE FROM hub.tag WHERE position = 1")
    code, _, said = hub(dsn, "backup", tmp_path / "monday")
    assert code == 1 and "event 1 mentions" in said, said

    async def unseen(*_):
        return ""

    monkeypatch.setattr(backups, "odd", unseen)
    told(backups.back_up(dsn, home_of(dsn), tmp_path / "monday"))
    code, _, said = hub(empty, "restore", tmp_path / "monday")
    assert code == 1 and "event 1 mentions" in said, said


def test_what_a_backup_cannot_be_called_leaves_what_was_known_of_the_last(dsn, tmp_path):
    told(_one(dsn))
    code, _, said = hub(dsn, "backup", tmp_path / "monday")
    assert code == 0 and "No key has sealed this log yet" in said
    code, _, said = hub(dsn, "backup", os.fsdecode(bytes(tmp_path / "tuesday") + b"\xff"))
    assert code == 1 and "not UTF-8" in said
    assert [each.name for each in tmp_path.iterdir()] == ["monday"]
    assert "monday" in (home_of(dsn) / "backed-up").read_text()


def test_a_log_is_not_brought_under_the_key_of_another(dsn, empty, tmp_path):
    told(_one(dsn))
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0
    Signer.kept(home_of(empty) / "log.key", "kept.invalid/log", LOG)
    code, _, said = hub(empty, "restore", tmp_path / "monday")
    assert code == 1 and "sealed another log, or none" in said
    assert hub(empty, "doctor")[0] == 3 and (home_of(empty) / "log.key").exists()


def test_files_of_different_hubs_are_no_backup(dsn, empty, server, tmp_path):
    asyncio.run(administered(server, "CREATE DATABASE other"))
    other = server.dsn.replace("/hub?", "/other?")
    try:
        for each, name in ((dsn, "mine"), (other, "theirs")):
            told(_one(each))
            with opened(each) as url:
                _sealed(url)
            assert hub(each, "backup", tmp_path / name)[0] == 0
    finally:
        asyncio.run(dropped(server, other))
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    whole = {each.name: each.read_bytes() for each in mine.iterdir()}
    mixed = [
        {"keys.dump": (theirs / "keys.dump").read_bytes()},
        {"log.key": (theirs / "log.key").read_bytes()},
        {"log.head": b"garbage"},
        {"hub.dump": whole["keys.dump"]},
        {"hub.dump": whole["keys.dump"], "keys.dump": whole["hub.dump"]},
    ]
    for changes in mixed:
        for name, data in (whole | changes).items():
            (mine / name).write_bytes(data)
        code, _, said = hub(empty, "restore", mine)
        assert code == 1 and "Nothing was restored" in said, changes.keys()
        assert hub(empty, "doctor")[0] == 3 and told(_keys_of(empty)) == 0
        assert not (home_of(empty) / "log.key").exists() and not (home_of(empty) / "log.head").exists()
    for name, data in whole.items():
        (mine / name).write_bytes(data)
    assert hub(empty, "restore", mine)[0] == 0


def test_a_restore_that_was_killed_is_begun_anew(dsn, empty, tmp_path):
    async def half():
        # The keys of an older backup are there, the log is not.
        hub = await Hub.open(empty)
        await person(hub, "Older")
        await hub.close()
        for address, sql in ((empty, "DROP SCHEMA hub CASCADE"), (keys_of(empty), "CREATE TABLE restoring ()")):
            db = await asyncpg.connect(address)
            await db.execute(sql)
            await db.close()

    told(_one(dsn))
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0
    told(half())
    code, _, said = hub(empty, "restore", tmp_path / "monday")
    assert code == 0 and "cannot be read" not in said
    assert "Zarina" in hub(empty, "people")[1] and told(_keys_of(empty)) == 1

    async def marked(address, sql):
        db = await asyncpg.connect(keys_of(address))
        try:
            return await db.fetchval(sql)
        finally:
            await db.close()

    # Killed at its very end, when all is there: from the next opening on these keys are the hub's own.
    told(marked(empty, "CREATE TABLE restoring ()"))
    assert hub(empty, "doctor")[0] == 0
    assert told(marked(empty, "SELECT to_regclass('restoring') IS NULL"))


def _sealed(url):
    deadline = time.monotonic() + 30
    while httpx2.get(f"{url}/log/checkpoint").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_is_neither_a_backup_nor_a_mirror_is_said_to_be_neither(empty, tmp_path):
    code, _, said = hub(empty, "restore", tmp_path)
    assert code == 2 and "neither a backup nor a mirror" in said


def test_keys_of_another_hub_are_not_taken_for_this_ones(dsn, empty, tmp_path):
    async def strangers():
        hub = await Hub.open(empty)
        await person(hub, "Stranger")
        await hub.close()
        db = await asyncpg.connect(empty)
        await db.execute("DROP SCHEMA hub CASCADE")
        await db.close()

    told(_one(dsn))
    told(strangers())
    assert hub(dsn, "backup", tmp_path / "monday")[0] == 0
    code, _, said = hub(empty, "restore", tmp_path / "monday")
    assert code == 1 and "keys of another hub" in said
    assert hub(empty, "doctor")[0] == 3 and told(_keys_of(empty)) == 1


def test_what_was_sealed_is_in_the_backup_however_much_is_recorded_meanwhile(dsn, tmp_path, monkeypatch):
    async def story():
        hub = await Hub.open(dsn)
        await person(hub, "Zarina")
        run = backups.dump

        before, later = (Head(f"{when}.example/log", 0, sha256().digest()).text for when in ("before", "later"))

        def slowly(address, to, *words):
            run(address, to, *words)
            if "--exclude-schema=read_*" in words:
                (home_of(dsn) / "log.head").write_text(later)

        (home_of(dsn) / "log.head").write_text(before)
        monkeypatch.setattr(backups, "dump", slowly)
        await backups.back_up(dsn, home_of(dsn), tmp_path / "monday")
        await hub.close()

    told(story())
    assert (tmp_path / "monday" / "log.head").read_text().startswith("before.example/log")


def test_what_is_sealed_for_the_first_time_meanwhile_has_its_head_in_the_backup(dsn, empty, tmp_path, monkeypatch):
    told(_one(dsn))
    with opened(dsn) as url:
        _sealed(url)
    folder, head, run = tmp_path / "monday", home_of(dsn) / "log.head", backups.dump
    whole = head.read_bytes()
    head.unlink()

    def slowly(address, to, *words):
        head.write_bytes(whole)
        run(address, to, *words)

    monkeypatch.setattr(backups, "dump", slowly)
    assert hub(dsn, "backup", folder)[0] == 0
    monkeypatch.undo()
    assert (folder / "log.head").read_bytes() == whole
    assert hub(empty, "restore", folder)[0] == 0


async def _keys_of(dsn):
    db = await asyncpg.connect(keys_of(dsn))
    try:
        return await db.fetchval("SELECT count(*) FROM key") if await db.fetchval("SELECT to_regclass('key')") else 0
    finally:
        await db.close()


async def _one(dsn):
    hub = await Hub.open(dsn)
    await person(hub, "Zarina")
    await hub.close()


@pytest.mark.parametrize("told_to_end", [signal.SIGTERM, signal.SIGHUP])
def test_a_backup_that_is_told_to_end_leaves_no_half_with_the_key_in_it(dsn, tmp_path, told_to_end):
    """A job of the night that takes too long, a terminal that is closed."""
    with opened(dsn):
        home = home_of(dsn)
        env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home)}
        command = [sys.executable, "-m", "hub", "backup", str(tmp_path / "nights" / "monday")]
        backup = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not [*(tmp_path / "nights").glob(".monday.*/*")] and time.monotonic() < deadline:
            time.sleep(0.002)
        backup.send_signal(told_to_end)
        _, said = backup.communicate(timeout=30)
        assert b"Traceback" not in said, said
        done = backup.returncode == 0
        assert done or backup.returncode == 128 + told_to_end
        assert [each.name for each in (tmp_path / "nights").iterdir()] == (["monday"] if done else [])
