"""GraphQL over HTTP: queries, mutations, and subscriptions over server-sent events and ``graphql-transport-ws``."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.websockets import WebSocket

from web.answers import EVENTS, JSON, RESPONSE, Answer, accepts_events, response_of, wanted
from web.asking import (
    BODY_IN,
    KEY,
    MAX_BODY,
    Asked,
    Malformed,
    address_of,
    asked,
    cookie_of,
    decoded,
    from_elsewhere,
    matches,
    secret_of,
)
from web.endpoint import Endpoint
from web.live import Closing
from web.reads.fallback import Place
from web.reads.viewer import Viewer
from web.schema import published
from web.socket import Socket


class GraphQL:
    """The transports of an endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    async def http(self, request: Request) -> Response:
        """``/graphql``."""
        media = wanted(request.headers.get("accept", ""))
        try:
            ask = await self._asked(request)
            if media != EVENTS and accepts_events(request.headers.get("accept", "")) and self._endpoint.follows(ask):
                media = EVENTS
            keys = set(request.headers.getlist("idempotency-key"))
            if len(keys) > 1:
                raise Malformed("Two Idempotency-Keys were sent: send one.")
            key = keys.pop() if keys else ask.key
            if ask.key not in (None, key):
                raise Malformed("The `idempotencyKey` in `extensions` is another one than the header's: send one.")
            if key is not None and not KEY.fullmatch(key):
                raise Malformed("An Idempotency-Key has 1 to 200 visible ASCII characters.")
            heard = _heard(request.headers.get("last-event-id", "") if media == EVENTS else "")
            secret = secret_of(request)
            if "authorization" in request.headers and not secret:
                raise Malformed("This request shows no token: send `Authorization: Bearer hub_…`, or none.", 401)
            viewer = await self._endpoint.viewers.find(secret, request.state.language)
            if "authorization" in request.headers and viewer.person is None:
                raise Malformed("This token is not valid: it is incomplete, was revoked, or its time has passed.", 401)
        except Malformed as error:
            answer = Answer(None, [{"message": str(error), "extensions": {"code": error.code}}], {}, began=False)
            headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
            headers |= {"Connection": "close"} if error.status == 408 else {}
            return Response(answer.body(), error.status, headers, media_type=media if media != EVENTS else RESPONSE)
        if media == EVENTS:
            return StreamingResponse(
                self._events(
                    ask, viewer, secret, key, request.method != "POST", Place(heard, address=address_of(request))
                ),
                media_type=EVENTS,
                headers={"Cache-Control": "no-store"},
            )
        answer = await self._endpoint.run(ask, viewer, secret, key, reading=request.method != "POST")
        return self._responded(request, answer, media)

    def _responded(self, request: Request, answer: Answer, media: str) -> Response:
        status, headers, body = response_of(answer, media)
        if "ETag" in headers and matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            del headers["Content-Type"]
            return Response(None, 304, headers)
        return Response(body, status, headers)

    async def _asked(self, request: Request) -> Asked:
        if request.method in ("GET", "HEAD"):
            body: dict[str, Any] = dict(request.query_params)
            for name in ("variables", "extensions"):
                if body.get(name):
                    body[name] = decoded(body[name].encode("utf-8", "surrogatepass"), f"The parameter `{name}`")
                else:
                    body.pop(name, None)
            return asked(body)
        if from_elsewhere(request) and cookie_of(request) in request.cookies:
            raise Malformed("Pages of other sites may not act in a visitor's name: send a token instead.", 403)
        if (coding := request.headers.get("content-encoding", "").strip().lower()) not in ("", "identity"):
            raise Malformed(f"Send the body as it is, and not as {coding[:40]}.", 415)
        kind, _, parameters = request.headers.get("content-type", "").partition(";")
        if kind.strip().lower() != JSON or ("charset" in parameters.lower() and "utf-8" not in parameters.lower()):
            raise Malformed("Send the request as application/json in UTF-8.", 415)
        raw = bytearray()
        try:
            async with asyncio.timeout(BODY_IN):
                async for chunk in request.stream():
                    raw += chunk
                    if len(raw) > MAX_BODY:
                        raise Malformed(f"The body is larger than {MAX_BODY:,} bytes.", 413)
        except TimeoutError:
            raise Malformed(f"The body was not here whole within {BODY_IN} seconds.", 408) from None
        return asked(decoded(bytes(raw)))

    async def _events(
        self, ask: Asked, viewer: Viewer, secret: str | None, key: str | None, reading: bool, place: Place
    ) -> AsyncIterator[bytes]:
        # A comment now and then: the server learns that the client has gone, the client that the server is there.
        results = self._endpoint.results(ask, viewer, secret, key, reading, place)
        waiting: asyncio.Future[bytes] | None = None
        yield b":\n\n"
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(results))
                done, _ = await asyncio.wait([waiting], timeout=15)
                if not done:
                    yield b":\n\n"
                    continue
                try:
                    said = b"event: next\ndata: " + waiting.result() + b"\n\n"
                    yield said if place.told is None else b"id: %d\n" % place.told + said
                except StopAsyncIteration:
                    yield b"event: complete\ndata:\n\n"
                    return
                except Closing:
                    # Cut off, not complete: clients come back by themselves.
                    return
                waiting = None
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
            await results.aclose()

    async def socket(self, websocket: WebSocket) -> None:
        """``/graphql`` as a ``graphql-transport-ws`` socket."""
        if "graphql-transport-ws" not in websocket.scope.get("subprotocols", ()):
            await websocket.close(4406, "Subprotocol not acceptable")
            return
        if from_elsewhere(websocket) and cookie_of(websocket) in websocket.cookies:
            await websocket.close(4403, "Forbidden")
            return
        await websocket.accept("graphql-transport-ws")
        await Socket(self._endpoint, websocket).serve()


async def sdl(request: Request) -> Response:
    """``/schema.graphql``, as text that a browser shows."""
    return PlainTextResponse(published())


def _heard(last: str) -> int | None:
    # What a browser's EventSource sends when it comes back: the id of the last event that it heard.
    if not last:
        return None
    if not (last.isascii() and last.isdecimal() and len(last) <= 18):
        raise Malformed("Last-Event-ID is the id of an event of this stream: a position of the log.")
    return int(last)
