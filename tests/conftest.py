"""One embedded PostgreSQL for the whole run, and a fresh database for each test that asks for one."""

import asyncio
import contextlib
import fcntl
import functools
import itertools
import os
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from hub.database import unset_others
from hub.postgres import Embedded
from hub.settings import SETTINGS


def pytest_configure(config):
    # Whoever runs the tests may have a hub of their own on this machine, and settings for it: no story meets either.
    for name in SETTINGS:
        os.environ.pop(name, None)
    unset_others()
    os.environ["HUB_HOME"] = tempfile.mkdtemp(prefix="hub-nobodys-")
    config.add_cleanup(lambda: shutil.rmtree(os.environ["HUB_HOME"], ignore_errors=True))
    # What a shell starts in the background has Ctrl-C ignored, and so has all that it starts: who presses it in a story
    # would wait in vain.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


async def _hurried(dsn):
    # This machine's power stays on: what the tests kill are processes, and those lose nothing that was written.
    db = await asyncpg.connect(dsn)
    # Nor is any of these databases there for long enough to be tidied up.
    for name in ("fsync", "full_page_writes", "autovacuum"):
        await db.execute(f"ALTER SYSTEM SET {name} = off")
    await db.execute("SELECT pg_reload_conf()")
    await db.close()


def _place():
    # In memory, where there is enough of it: hundreds of databases are made here, and none of them is kept.
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return memory if min(shutil.disk_usage(memory).free, pages) > 6 * 2**30 else None


def _swept(place):
    # What a run that was killed has left: nobody holds its lock any more. A new one may not hold its own yet.
    for left in Path(place).glob("hub-test-*"):
        with contextlib.suppress(OSError), (left / "lock").open("r+") as lock:
            if left.stat().st_mtime < time.time() - 60:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)


@pytest.fixture(scope="session")
def server():
    place = _place() or tempfile.gettempdir()
    _swept(place)
    home = Path(tempfile.mkdtemp(prefix="hub-test-", dir=place))
    os.chmod(home, 0o711)
    embedded = Embedded(home)
    assert embedded.own()
    embedded.start()
    asyncio.run(_hurried(embedded.dsn.replace("/hub?", "/postgres?")))
    yield embedded
    # At once: nobody needs what three hundred databases would still write.
    os.kill(embedded.pid, signal.SIGQUIT)
    embedded.stop()
    shutil.rmtree(home, ignore_errors=True)


_LONG = (
    "test_face",
    "test_writing",
    "test_redteam",
    "test_auditing",
    "test_queries",
    "test_browser",
    "test_cli",
    "test_audit",
    "test_operating",
    "test_hostile",
    "test_log",
    "test_wire",
    "test_privacy",
    "test_clients",
    "test_engines",
    "test_backups",
    "test_pages",
    "test_forms",
    "test_turns",
    "test_signing",
    "test_graphql",
)


def pytest_collection_modifyitems(items):
    """What takes longest begins first, so that no core waits for another at the end."""
    place = {name: n for n, name in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(_LONG)))


_count = itertools.count(1)


class _Administrator:
    # One connection for a whole run, in a loop of its own: each story has another one, and most make a database.
    def __init__(self, dsn):
        self._dsn, self._db, self._turn = dsn, None, asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _run(self, statements):
        async with self._turn:
            # Some stories end all connections of the server.
            if self._db is None or self._db.is_closed():
                self._db = await asyncpg.connect(self._dsn)
            for each in statements:
                await self._db.execute(each)

    async def run(self, statements):
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run(statements), self._loop))


_administrator = functools.cache(_Administrator)


async def administered(server, *statements):
    """Run statements beside the databases of the tests."""
    await _administrator(server.dsn.replace("/hub?", "/postgres?")).run(statements)


def _unused(server):
    name = f"test{next(_count)}"
    asyncio.run(administered(server, f"CREATE DATABASE {name}"))
    made = server.dsn.replace("/hub?", f"/{name}?")
    yield made
    asyncio.run(dropped(server, made))


@pytest.fixture
def empty_dsn(server):
    """The address of a database in which there is nothing."""
    yield from _unused(server)


@pytest.fixture(scope="session")
def begun_once(server):
    """A database in which a hub has been made, and nothing recorded: its name, to be copied."""
    from hub.door import Hub

    async def make():
        await administered(server, "CREATE DATABASE begun")
        await (await Hub.open(server.dsn.replace("/hub?", "/begun?"))).close()

    asyncio.run(make())
    return "begun"


@pytest.fixture
def dsn(server, begun_once):
    """The address of a hub's database in which nothing has been recorded."""
    made = asyncio.run(copied(server, begun_once))
    yield made
    asyncio.run(dropped(server, made))


@pytest.fixture
def another_dsn(server):
    """The address of another one."""
    yield from _unused(server)


async def dropped(server, dsn):
    """Take away a database and its keys, whoever still uses them."""
    name = urlsplit(dsn).path[1:]
    await administered(server, *(f"DROP DATABASE IF EXISTS {name}{suffix} WITH (FORCE)" for suffix in ("", "_keys")))


@pytest.fixture(scope="session")
def told_once(server):
    """A database in which the region has been told: its name, to be copied."""
    from hub.door import Hub
    from hub.region import tell

    async def make():
        await administered(server, "CREATE DATABASE told")
        hub = await Hub.open(server.dsn.replace("/hub?", "/told?"))
        await tell(hub)
        await hub.close()

    asyncio.run(make())
    return "told"


async def copied(server, template):
    """The address of a copy of a database and of its keys."""
    name = f"test{next(_count)}"
    # File by file: block by block, through the write-ahead log, takes twice as long for what is so small.
    how = "STRATEGY FILE_COPY"
    made = (f"CREATE DATABASE {name}{suffix} TEMPLATE {template}{suffix} {how}" for suffix in ("", "_keys"))
    await administered(server, *made)
    return server.dsn.replace("/hub?", f"/{name}?")


@pytest.fixture
def region_dsn(server, told_once):
    """The address of a copy of the told region: a test may change it."""
    made = asyncio.run(copied(server, told_once))
    yield made
    asyncio.run(dropped(server, made))


# Fixtures that several files of tests share; they build on those above.
from tests.browsing import chromium, plain_dsn, region_url, visitor  # noqa: E402, F401
from tests.golang import go  # noqa: E402, F401
from tests.sealed import fetched, sealed, sealed_once  # noqa: E402, F401
