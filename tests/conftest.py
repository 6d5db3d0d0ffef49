"""One embedded PostgreSQL for the whole run, and a fresh database for each test that asks for one."""

import asyncio
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import asyncpg
import pytest

from hub.postgres import Embedded


@pytest.fixture(scope="session")
def server():
    home = Path(tempfile.mkdtemp(prefix="hub-test-"))
    os.chmod(home, 0o711)
    embedded = Embedded(home)
    assert embedded.own()
    embedded.start()
    yield embedded
    embedded.stop()
    shutil.rmtree(home, ignore_errors=True)


_count = itertools.count(1)


@pytest.fixture
def dsn(server):
    """The address of a database that nobody has used."""
    name = f"test{next(_count)}"
    admin = server.dsn.replace("/hub?", "/postgres?")

    async def create():
        db = await asyncpg.connect(admin)
        await db.execute(f"CREATE DATABASE {name}")
        await db.close()

    asyncio.run(create())
    return server.dsn.replace("/hub?", f"/{name}?")
