"""The application of one process, from its server's start to its end."""

import asyncio
import contextlib
import gc
import json
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import asyncpg
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.door import Hub
from hub.keeping import keep
from hub.logs import logged
from hub.mail import Mail
from hub.settings import address
from web.answers import AWAY
from web.app import Settings, application
from web.assets import manifest
from web.live import Live
from web.mailing import Mailing
from web.wire import SHORTCUT

_log = logging.getLogger("hub")


def _when_it_ends(do: Callable[[], None]) -> None:
    # Streams end when the server is told to, not when it has waited for them: who listens hears that it was the end.
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(each)

        def told(number: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(do)
            if callable(before):
                before(number, frame)

        # Only a process of its own can be told.
        with contextlib.suppress(ValueError):
            signal.signal(each, told)


class Served:
    """The application of one process: it opens its hub when the server starts, and closes it when the server ends."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        self._dsn, self._settings = dsn, settings
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            assert self._app is not None
            await self._app(scope, receive, send)
            return
        await receive()
        ended = asyncio.Event()
        _when_it_ends(ended.set)
        if (hub := await self._opened(ended)) is None:
            await send({"type": "lifespan.startup.failed", "message": "told to end before there was a database"})
            return
        kept = [] if self._settings.until is not None else [asyncio.create_task(keep(hub))]
        live, mail = Live(hub.log, self._settings.until), Mail.told()
        mailing = Mailing(hub, mail, address()) if mail and self._settings.until is None else None
        self._app = scope["state"][SHORTCUT] = application(hub, self._settings, live, mailing)
        if mailing is not None:
            kept.append(asyncio.create_task(mailing.keep()))
        _when_it_ends(live.end)
        gc.freeze()
        gc.set_threshold(50_000)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        await hub.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _opened(self, ended: asyncio.Event) -> Hub | None:
        # A process that begins while the database is away waits for it, as those do that were there before.
        while not ended.is_set():
            try:
                return await Hub.open(self._dsn, self._settings.until)
            except (*AWAY, asyncpg.OperatorInterventionError) as error:
                _log.warning("this process waits for the database: %s", str(error) or type(error).__name__)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 1)
        return None


def _end_with(parent: BaseProcess) -> None:
    # Whoever was killed ends none of those that it began: they would serve on, and nobody would seal.
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def served() -> Served:
    """What ``hub serve`` runs in each of its processes; those end with it, however it ends."""
    logged()
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if not manifest():
        _log.warning("what the pages are made with was not built: they are without scripts, maps without outlines")
    told = json.loads(os.environ["HUB_SERVING"])
    return Served(told.pop("dsn"), Settings(**told))
