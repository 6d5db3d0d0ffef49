"""A region that five witnesses have sealed, made once for a run and copied for each test that changes something."""

import asyncio
import contextlib
import io
import json
import shutil
import time
from pathlib import Path

import asyncpg
import httpx2
import pytest
from hub_audit.__main__ import main as hub_audit

from hub.tables import TABLES
from tests.conftest import copied
from tests.web import home_of, opened

TOLD, MODELS = 286, len(TABLES)
"""The events of the region, and its read models, each of which is sealed by an event of its own."""
SEALED = TOLD + MODELS


def until_sealed(url, at_least=1, patience=30):
    """Wait until everything that is recorded is sealed; answers its position."""
    deadline = time.monotonic() + patience
    while True:
        answer = httpx2.post(f"{url}/graphql", json={"query": "{ hub { head sealedTo stopped troubles } }"}, timeout=10)
        found = answer.json()["data"]["hub"]
        if found["head"] == found["sealedTo"] >= at_least:
            return found["head"]
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def audit(*words):
    """Run the auditor's program; answers its exit code and what it says, as data."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = hub_audit([str(word) for word in words] + ["--json"])
    found = json.loads(out.getvalue())
    assert found["code"] == code
    return code, found


def as_root(dsn, *statements):
    """What somebody with root on the database does."""

    async def story():
        db = await asyncpg.connect(dsn)
        try:
            for each in statements:
                await db.execute(each)
        finally:
            await db.close()

    asyncio.run(story())


def processes(*words):
    """The ids of processes whose command line holds all of these."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdecimal() and all(word.encode() in (folder / "cmdline").read_bytes() for word in words):
                found.append(int(folder.name))
    return found


def _called(pid):
    # One may end between being found and being asked.
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def witness_of(home, country):
    """The process of a country's witness in the demonstration that lives in this folder."""
    forked = processes("hub.region.witnesses", str(home))
    (one,) = (pid for pid in forked if _called(pid) == f"witness {country}")
    return one


class Region:
    """A sealed hub that a test may change: its database, its folder, what an auditor fetched and pinned before."""

    def __init__(self, dsn):
        self.dsn, self.home = dsn, home_of(dsn)
        self.fetched = self.home / "fetched"
        self.policy = self.home / "pinned"
        self.token = self.home / "auditor.token"

    def open(self, *words):
        """Serve it, with its five witnesses."""
        return opened(self.dsn, "--demo", *words)

    def fetch(self, url, folder):
        """What an auditor copies."""
        return audit("fetch", f"{url}/log", folder, "--token-file", self.token)


@pytest.fixture(scope="session")
def sealed_once(server, told_once):
    """The name of a database that was sealed, and the folder of its hub."""
    dsn = server.dsn.replace("/hub?", "/sealed?")

    async def copy():
        db = await asyncpg.connect(server.dsn.replace("/hub?", "/postgres?"))
        for suffix in ("", "_keys"):
            await db.execute(f"CREATE DATABASE sealed{suffix} TEMPLATE {told_once}{suffix}")
        await db.close()

    asyncio.run(copy())
    region = Region(dsn)
    with region.open() as url:
        until_sealed(url, SEALED)
        # Four of five make a quorum; tests take some away, and count on each.
        deadline = time.monotonic() + 30
        while httpx2.get(f"{url}/log/checkpoint", timeout=10).text.count("\n\u2014 ") < 1 + 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        code, _ = region.fetch(url, region.fetched)
        assert code == 0
    shutil.copy(region.home / "demonstration" / "policy", region.policy)
    return region


@pytest.fixture
def sealed(server, sealed_once):
    """A copy of the sealed region."""
    dsn = asyncio.run(copied(server, "sealed"))
    shutil.copytree(sealed_once.home, home_of(dsn), dirs_exist_ok=True, ignore=shutil.ignore_patterns("lock"))
    return Region(dsn)


@pytest.fixture
def fetched(sealed_once, tmp_path):
    """What an auditor fetched, to be changed."""
    return Path(shutil.copytree(sealed_once.fetched, tmp_path / "fetched"))
