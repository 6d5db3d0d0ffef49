"""The web application: every route in one table."""

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
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

import asyncpg
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.core import N_
from hub.confirming import Unknown
from hub.console import address
from hub.door import Hub
from hub.keeping import keep
from hub.logs import logged
from hub.mail import Mail
from hub.writer import Busy
from projections.core import PUBLIC
from web.answers import AWAY, UNFIT
from web.assets import static
from web.endpoint import Endpoint
from web.events import events
from web.explorer import Explorer
from web.exporting import Exports
from web.federation import Federation, Provider
from web.forms.form import Forms
from web.graphql import GraphQL, sdl
from web.live import Live
from web.log import LogFiles
from web.mailing import Mailing
from web.pages import LISTS, SITE, document, text
from web.passkeys import Passkeys
from web.preferences import Preferring
from web.reads.executor import Reads
from web.reads.viewer import Viewer, Viewers
from web.schema import schema
from web.sessions import Throttle
from web.shortcut import Shortcut
from web.showing import environment
from web.signing import Signing
from web.site import Site, Unanswered
from web.wire import SHORTCUT

_log = logging.getLogger("hub")


@dataclass(frozen=True)
class Settings:
    """How the hub is served: with the demonstration's "sign in as", or as it stood at a position.

    ``answers`` is the memory for answers that have not changed, in MB.
    """

    demo: bool = False
    until: int | None = None
    answers: int = 64


HEALTH = 3.0
"""Seconds that the database has to say that it is there."""
_HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
]


class Headers:
    """What a browser is told with every answer: nothing comes from elsewhere, nothing is framed, nothing guessed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in own)]
            try:
                await send(message)
            except RuntimeError as error:
                # Whoever has gone hears no more of it.
                if "handler is closed" not in str(error):
                    raise

        await self._app(scope, receive, headed if scope["type"] == "http" else send)


def application(
    hub: Hub, settings: Settings | None = None, live: Live | None = None, mailing: Mailing | None = None
) -> Shortcut:
    """The application over an open hub."""
    settings = settings or Settings()
    memory = settings.answers * 1_000_000
    reads = Reads(hub, schema(), settings.until, memory - memory // 8)
    viewers = Viewers(hub)
    endpoint = Endpoint(reads, viewers, live or Live(hub.log, settings.until), _log.error)
    graphql = GraphQL(endpoint)
    site = Site(endpoint, settings.demo, settings.until, mailing)
    environment()
    for each in (*(page.name for page in SITE), *(f"files/{name}" for name in LISTS)):
        text(each)
    throttle, provider = Throttle(), Provider.told()
    forms, signing = Forms(site), Signing(site, throttle, provider is not None)
    passkeys, federation = Passkeys(site, throttle), Federation(site, throttle, provider)
    routes: list[BaseRoute] = [
        Route("/graphql", graphql.http, methods=["GET", "POST"]),
        WebSocketRoute("/graphql", graphql.socket),
        Route("/schema.graphql", sdl),
        Route("/events.json", events),
        Route("/pages/{name}.graphql", document),
        Route("/static/{name}", static),
        Route("/{list}.{file}", Exports(site).export),
        Route("/explorer", Explorer(site).show),
        Route("/do/{mutation}", forms.show, methods=["GET", "POST"]),
        Route("/preferences", signing.preferences, methods=["POST"]),
        *(site.page(page) for page in SITE),
    ]
    if settings.until is None:
        routes += LogFiles(hub, viewers).routes()
        routes += [
            Route("/sign-in", signing.sign_in),
            Route("/sign-in/mail", signing.mail, methods=["POST"]),
            Route("/sign-in/passkey/begin", passkeys.begin, methods=["POST"]),
            Route("/sign-in/passkey", passkeys.sign_in, methods=["POST"]),
            Route("/sign-in/institution", federation.begin),
            Route("/sign-in/institution/back", federation.back),
            Route("/sign-in/first/{secret}", signing.first, methods=["GET", "POST"]),
            Route("/sign-in/{link}", signing.link, methods=["GET", "POST"]),
            Route("/passkeys/begin", passkeys.begin_making, methods=["POST"]),
            Route("/passkeys/forget", signing.forget, methods=["POST"]),
            Route("/passkeys", passkeys.make, methods=["POST"]),
            Route("/sessions", signing.sessions, methods=["POST"]),
            Route("/people/{id}/link", signing.invitation, methods=["POST"]),
            Route("/sign-out", signing.sign_out, methods=["POST"]),
            Route("/profile", signing.profile),
            Route("/tokens", signing.tokens, methods=["POST"]),
        ]
    if settings.demo:
        routes.insert(0, Route("/sign-in/as", signing.sign_in_as, methods=["POST"]))

    async def health(request: Request) -> Response:
        # Whatever the database does, this answers: it is not waited for any longer, not even for it to give up.
        asked = asyncio.create_task(hub.log.pool.fetchval("SELECT 1"))
        asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.wait((asked,), timeout=HEALTH)
        if not asked.done() or asked.exception() is not None:
            asked.cancel()
            return PlainTextResponse("The database is away.\n", 503, {"Cache-Control": "no-store"})
        return PlainTextResponse("The hub is open.\n", headers={"Cache-Control": "no-store"})

    routes.append(Route("/health", health))

    async def missing(request: Request, error: Exception) -> Response:
        try:
            viewer = await site.viewer(request)
        except AWAY as gone:
            return await away(request, gone)
        return site.missing(request, viewer)

    async def wrong(request: Request, error: Exception) -> Response:
        _log.exception("a page failed", exc_info=error)
        return site.unanswered(request, nobody(request), Unanswered([]))

    async def away(request: Request, error: Exception) -> Response:
        _log.error("the database is away, or the hub too busy: %s", error or type(error).__name__)
        if request.url.path == "/graphql":
            told = {"message": "The database is away for a moment: try again.", "extensions": {"code": "BUSY"}}
            return JSONResponse({"errors": [told]}, 503, {"Retry-After": "2"})
        message = N_("The hub is away for a moment; nothing was lost. Try again in a few seconds.")
        response = site.problem(request, nobody(request), 503, N_("Back soon"), message)
        response.headers["Retry-After"] = "2"
        return response

    async def method(request: Request, error: Exception) -> Response:
        if request.url.path != "/graphql":
            return PlainTextResponse("This address takes no such request.", 405, getattr(error, "headers", None))
        told = {"message": "Send a query with GET or POST.", "extensions": {"code": "BAD_REQUEST"}}
        return JSONResponse({"errors": [told]}, 405, {"Allow": "GET, POST"})

    async def gone(request: Request, error: Exception) -> Response:
        # Whoever sent half a request hears nothing of it.
        return Response(status_code=400)

    async def unfit(request: Request, error: Exception) -> Response:
        message = N_("This address or form holds something that no record can hold: open the page anew.")
        return site.problem(request, nobody(request), 400, N_("Not understood"), message)

    app = Starlette(
        routes=routes,
        middleware=[Middleware(Preferring), Middleware(Headers)],
        exception_handlers={
            404: missing,
            405: method,
            ClientDisconnect: gone,
            500: wrong,
            **dict.fromkeys(UNFIT, unfit),
            **dict.fromkeys((*AWAY, Busy, Unknown), away),
        },
    )
    return Shortcut(app, endpoint, _HEADERS, memory // 8)


def nobody(request: Request) -> Viewer:
    """A viewer who was not looked up: for pages that say what is wrong."""
    return Viewer(None, frozenset({PUBLIC}), {}, request.state.language)


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
            except (*AWAY, asyncpg.InterfaceError, asyncpg.OperatorInterventionError) as error:
                _log.warning("this process waits for the database: %s", error or type(error).__name__)
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
    told = json.loads(os.environ["HUB_SERVING"])
    return Served(told.pop("dsn"), Settings(**told))
