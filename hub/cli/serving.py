"""``hub serve``, ``hub at``."""

import asyncio
import json
import os
import resource
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from hub.audit import beside, following
from hub.audit.notes import Malformed, Signer
from hub.cli.audit import sealing_key, unnamed
from hub.cli.console import err, failing, free_port
from hub.credentials import FIRST, FIRST_LIVES
from hub.database import database, default_home
from hub.door import Hub
from hub.log import Log, is_there, make_databases
from hub.logs import logged
from hub.programs import Unavailable
from hub.region import auditors_token, is_told, tell
from hub.region.witnesses import witnesses
from hub.settings import SETTINGS, address, policy_file, remember, unknown

MOST_FILES = 65_536
APPLICATION, PROTOCOL = "web.served:served", "web.wire:Wire"


def _run(dsn: str, host: str, port: int, workers: int = 1, has_terminal: bool = False, **settings: Any) -> None:
    import uvicorn

    from hub.supervising import BUSY, run

    logged()
    os.environ["HUB_SERVING"] = json.dumps({"dsn": dsn, **settings})
    # No access log: addresses of one-time links are secrets.
    config = uvicorn.Config(
        APPLICATION,
        factory=True,
        http=PROTOCOL,
        host=host,
        port=port,
        workers=workers,
        log_level="info",  # of which the log keeps what is grave
        access_log=False,
        ws_max_size=1_000_000,
        lifespan="on",
        timeout_worker_healthcheck=BUSY,
        timeout_graceful_shutdown=3,
        server_header=False,
        log_config=None,
    )
    if not run(config, has_terminal):
        sys.exit(3)


def _has_terminal() -> bool:
    # A terminal that is closed ends what it shows; a service has none, and is asked nothing by that.
    return sys.stdin is not None and sys.stdin.isatty()


_port = click.option("--port", envvar="PORT", default=8000, show_default=True, type=click.IntRange(1, 65535))
_host = click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")


class Ending:
    """SIGTERM, which ends a service as Ctrl-C does."""

    told = False

    def __call__(self, *_: object) -> None:
        self.told = True
        # A shell has Ctrl-C ignored by what it starts in the background.
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    def dropped(self, unraisable: "sys.UnraisableHookArgs") -> None:
        """Python drops what is raised while a process is being forked: of an end, or Ctrl-C, that is kept in mind."""
        if unraisable.exc_type is KeyboardInterrupt:
            self.told = True
        else:
            sys.__unraisablehook__(unraisable)

    def heed(self) -> None:
        """Raise it again where it was dropped."""
        if self.told:
            raise KeyboardInterrupt


def _told_settings() -> str:
    lines = [f"  {name:<22}  {words}" for name, words in SETTINGS.items()]
    return "\b\nSettings, from the environment:\n" + "\n".join(lines)


@click.command(epilog=_told_settings())
@_host
@_port
@click.option(
    "--demo", is_flag=True, help="Tell an empty hub the demonstration region, and let anybody sign in as anybody."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that serve.")
@click.option(
    "--answers",
    default=64,
    show_default=True,
    type=click.IntRange(0, 65_536),
    help="Memory of each process for answers that have not changed, in MB; 0 keeps none.",
)
def serve(host: str, port: int, demo: bool, workers: int, answers: int) -> None:
    """Serve the hub: its pages, and GraphQL at /graphql. Ctrl-C ends it."""

    # Each page that is open holds a connection: as many as the system lets it.
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now != resource.RLIM_INFINITY and now < MOST_FILES:
        wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    # What ends a service is the same as Ctrl-C: whatever it began is ended too.
    ending = Ending()
    signal.signal(signal.SIGTERM, ending)
    # Asked now: once it is closed there is none to ask.
    has_terminal = _has_terminal()
    signal.signal(signal.SIGHUP, ending if has_terminal else signal.SIG_IGN)
    sys.unraisablehook = ending.dropped
    with suppress(KeyboardInterrupt):  # it may be told to end before it is open
        _served(host, port, demo, workers, answers, ending, has_terminal)
    err.print("The hub is closed.", style="dim")


def _served(host: str, port: int, demo: bool, workers: int, answers: int, ending: Ending, has_terminal: bool) -> None:
    # Links and the log's name say where the hub is served, wherever that was told.
    os.environ["PORT"] = str(port)
    home, file = default_home(), policy_file()
    try:
        following.policy_of(file)
    except Malformed as error:
        err.print(f"{file}: {error}. “hub policy” prints one to begin with.")
        sys.exit(2)

    for said in unknown():
        err.print(said)
    if not demo and (said := unnamed(home)):
        err.print(said)
        sys.exit(2)

    async def prepare(dsn: str) -> tuple[Signer, str | None]:
        hub = await Hub.open(dsn)
        try:
            if demo and not await hub.log.head():
                err.print(f"The demonstration region was told in {await tell(hub)} events", style="dim")
            elif not demo and await is_told(hub):
                err.print("This hub was begun as the demonstration: its people are invented.", style="dim")
            elif demo and not await is_told(hub):
                # There, anybody could sign in as anybody.
                raise click.UsageError(
                    "This hub was not begun as the demonstration: serve it without --demo (hub serve), or set HUB_HOME "
                    "to another folder for the demonstration."
                )
            if lost := await following.lost(hub, home):
                # An older backup that goes on would make a second history: first what is missing comes back.
                err.print(lost)
                sys.exit(1)
            signer = await sealing_key(hub, home, demo)
            if not demo and not await hub.begun():
                secret = await hub.credentials.begin(FIRST, {}, FIRST_LIVES)
                err.print("The hub is empty. Whoever opens this link becomes its first administrator:")
                err.print(f"  {address()}/sign-in/first/{secret}", soft_wrap=True)
            return signer, await auditors_token(hub) if demo else None
        finally:
            await hub.close()

    free_port(host, port)
    with ExitStack() as stack:
        stack.enter_context(failing())
        dsn = stack.enter_context(database(home, _dimly, alone=True, makes=True))
        ending.heed()
        signer, token = asyncio.run(prepare(dsn))
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        remember(address())
        if demo and not file.exists():
            started = stack.enter_context(witnesses(home / "demonstration", signer))
            file = started.policy(f"{url}/log")
        told = [f"The hub is open at {url} — Ctrl-C ends it"]
        if token is not None:
            told += _for_auditors(url, home, token, file)
        _when_open(host, port, told)
        stack.enter_context(beside.following(dsn, home, signer.name, file))
        ending.heed()
        _run(dsn, host, port, workers, has_terminal, demo=demo, answers=answers)


def _when_open(host: str, port: int, said: Sequence[str]) -> None:
    # Whoever waits for these lines may go on with what they say.
    def look() -> None:
        place = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        while True:
            with suppress(OSError), socket.create_connection((place, port), 1):
                break
            time.sleep(0.05)
        for line in said:
            err.print(line)

    threading.Thread(target=look, daemon=True, name="open").start()


def _for_auditors(url: str, home: Path, token: str, policy: Path) -> Iterator[str]:
    secret = home / "auditor.token"
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(token + "\n")
    program, here = Path(sys.executable).with_name("hub-audit"), home / "audit"
    yield "An auditor would type, somewhere else:"
    for words in (
        ("fetch", f"{url}/log", here, "--token-file", secret),
        ("checkpoint", here, "--policy", policy, "--max-age", "1h"),
        ("fsck", here),
    ):
        yield f"  {shlex.join(map(str, (program, *words)))}"


def _dimly(text: str) -> None:
    err.print(text, style="dim")


@click.command()
@click.argument("when")
@_host
@_port
def at(when: str, host: str, port: int) -> None:
    """Serve the hub as it stood at a position of the log, or at the end of a day (UTC); nothing can be changed."""

    async def find(dsn: str) -> int:
        log = await Log.open((await make_databases(dsn))[0])
        try:
            head = await log.head()
            if when.isdecimal():
                if len(when) > 18 or int(when) > head:
                    err.print(f"The log ends at position {head}.")
                    sys.exit(2)
                return int(when)
            if date.fromisoformat(when) > datetime.now(UTC).date():
                err.print("That day has not come yet.")
                sys.exit(2)
            day = datetime.combine(date.fromisoformat(when) + timedelta(days=1), datetime.min.time())
            # Up to the first of a later day: one that says it is older than what stands before it moves nothing.
            later = await log.pool.fetchval(
                "SELECT min(position) FROM hub.event WHERE at >= $1::timestamp AT TIME ZONE 'UTC'", day
            )
            return head if later is None else int(later) - 1
        finally:
            await log.close()

    async def replay(dsn: str, until: int) -> None:
        await (await Hub.open(dsn, until=until)).close()

    async def remove(dsn: str, until: int) -> None:
        hub = await Hub.open(dsn, until=until)
        await hub.models.remove()
        await hub.close()

    # Whatever ends it: what was made to show the past is removed.
    signal.signal(signal.SIGTERM, Ending())
    free_port(host, port)
    with (
        suppress(KeyboardInterrupt),
        failing(),
        database(default_home(), _dimly) as dsn,
    ):
        if not asyncio.run(is_there(dsn)):
            raise Unavailable("There is no hub in this database. Is HUB_DATABASE_URL right?")
        try:
            until = asyncio.run(find(dsn))
        except (ValueError, OverflowError):
            err.print(f"“{when}” is neither a position nor a day, as in 2027-03-01.")
            sys.exit(2)
        asyncio.run(replay(dsn, until))
        _when_open(
            host, port, [f"The hub as it stood at position {until} is open at http://{host}:{port} — Ctrl-C ends it"]
        )
        try:
            _run(dsn, host, port, until=until)
        finally:
            asyncio.run(remove(dsn, until))
