"""The web application: every route in one table."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.door import Hub
from web.asking import BODY_IN, MAX_BODY
from web.assets import static
from web.endpoint import Endpoint
from web.events import events
from web.explorer import Explorer
from web.exporting import Exports
from web.failing import Failing
from web.federation import Federation, Provider
from web.forms.form import Forms
from web.graphql import GraphQL, sdl
from web.live import Live
from web.log import LogFiles
from web.mailing import Mailing
from web.pages import LISTS, SITE, document, text
from web.passkeys import Passkeys
from web.preferences import Preferring
from web.profile import Profile
from web.reads.executor import Reads
from web.reads.viewer import Viewers
from web.schema import schema
from web.sessions import Throttle
from web.shortcut import Shortcut
from web.showing import environment
from web.signing import Signing
from web.site import Site

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


async def _slow(scope: Scope, receive: Receive, send: Send) -> None:
    # The rest may still come: nothing else is read from there.
    said = f"What you sent was not here whole within {BODY_IN} seconds: nothing was done. Please send it again.\n"
    await PlainTextResponse(said, 408, {"Connection": "close"})(scope, receive, send)


class Whole:
    """What is sent is here whole before anybody looks who sends it: whoever is shut out while they send is nobody then.

    More than a form holds is not waited for: whoever reads it, refuses it. Nor is what does not end. ``/graphql`` reads
    for itself, first.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] == "/graphql":
            return await self._app(scope, receive, send)
        body, more, came = bytearray(), True, deque[Message]()
        try:
            async with asyncio.timeout(BODY_IN):
                while more and len(body) <= MAX_BODY:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        came.append(message)
                        break
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
        except TimeoutError:
            return await _slow(scope, receive, send)
        # As one: in however many pieces it came, it takes up what it is long.
        came.appendleft({"type": "http.request", "body": bytes(body), "more_body": more})
        del body

        async def again() -> Message:
            return came.popleft() if came else await receive()

        await self._app(scope, again, send)


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
    forms, profile, signing = Forms(site), Profile(site), Signing(site, throttle, provider is not None)
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
            Route("/passkeys/forget", profile.forget, methods=["POST"]),
            Route("/passkeys", passkeys.make, methods=["POST"]),
            Route("/sessions", profile.sessions, methods=["POST"]),
            Route("/people/{id}/link", signing.invitation, methods=["POST"]),
            Route("/sign-out", signing.sign_out, methods=["POST"]),
            Route("/profile", profile.show),
            Route("/tokens", profile.tokens, methods=["POST"]),
        ]
    if settings.demo:
        routes.insert(0, Route("/sign-in/as", signing.sign_in_as, methods=["POST"]))

    async def health(request: Request) -> Response:
        return await healthy(hub)

    routes.append(Route("/health", health))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Whole), Middleware(Preferring), Middleware(Headers)],
        exception_handlers=Failing(site).handlers(),
    )
    return Shortcut(app, endpoint, _HEADERS, memory // 8)


async def healthy(hub: Hub) -> Response:
    """Whether the database answers, in time."""
    # Whatever the database does, this answers: it is not waited for any longer, not even for it to give up.
    asked = asyncio.create_task(hub.log.pool.fetchval("SELECT 1"))
    asked.add_done_callback(lambda task: task.cancelled() or task.exception())
    await asyncio.wait((asked,), timeout=HEALTH)
    if not asked.done() or asked.exception() is not None:
        asked.cancel()
        return PlainTextResponse("The database is away.\n", 503, {"Cache-Control": "no-store"})
    return PlainTextResponse("The hub is open.\n", headers={"Cache-Control": "no-store"})
