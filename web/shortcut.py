"""The shortest way from a program's request to its answer.

A well-formed query or mutation in ``POST /graphql`` passes none of the application's layers, and who asks is looked up
together with what is asked for, or with others who ask. Everything else takes the usual way.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import GraphQLError, OperationType
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.asking import Asked, Malformed, asked, decoded, matches
from web.graphql import EVENTS, KEY, Answer, Endpoint, Failed, wanted
from web.preferences import accepted
from web.reads.executor import Bound, Recent
from web.reads.viewer import Viewer

_JSON = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")
_UNUSUAL = {b"cookie", b"origin", b"sec-fetch-site", b"content-encoding"}
_REQUEST, _SHORT = 2_000, 100_000
_OF_BODIES = (b"content-type", b"content-length")


class _Response(NamedTuple):
    """What an answer is on the wire."""

    tag: str
    start: Message
    body: Message


@dataclass
class _Request:
    """A request that was understood: for whom it was planned last, and what it was answered with."""

    id: Any
    asked: Asked
    shown: str
    language: str
    media: str
    carries: bool
    viewer: Viewer | None = None
    key: Any = None
    cost: int = 0
    data: bytes | None = None
    response: _Response | None = None


class Shortcut:
    """Stands before the application; ``headers`` are those that every answer of it has.

    ``memory`` is for requests that come again, with their answers, in bytes.
    """

    def __init__(self, app: ASGIApp, endpoint: Endpoint, headers: list[tuple[bytes, bytes]], memory: int) -> None:
        self.usual, self.endpoint = app, endpoint
        self._reads, self._viewers = endpoint.reads, endpoint.viewers
        self._headers = headers
        self._known: Recent[Any, _Request] = Recent(memory)
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/graphql" or scope["method"] != "POST":
            await self.usual(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        received, body = [await receive()], b""
        body += received[0].get("body", b"")
        while received[-1].get("more_body") and len(body) < _SHORT:
            received.append(await receive())
            body += received[-1].get("body", b"")
        # None of ours: a body that goes on or whose sender has gone, and a header that is there twice.
        whole = not received[-1].get("more_body", True) and len(headers) == len(scope["headers"])
        request = self._understood(headers, body) if whole else None
        response = None
        if request is not None and request.carries:
            response = await self._carried(request, headers.get(b"idempotency-key"))
        elif request is not None:
            response = await self._answered(request)
        if response is not None:
            tag, start, rest = response
            if tag and b"if-none-match" in headers and matches(headers[b"if-none-match"].decode("latin-1"), tag):
                kept = [each for each in start["headers"] if each[0] not in _OF_BODIES]
                start, rest = {**start, "status": 304, "headers": kept}, {**rest, "body": b""}
            await send(start)
            await send(rest)
            return
        received.reverse()

        async def again() -> Message:
            return received.pop() if received else await receive()

        await self.usual(scope, again, send)

    def _understood(self, headers: dict[bytes, bytes], body: bytes) -> _Request | None:
        token = headers.get(b"authorization", b"Bearer ")
        if not token.startswith(b"Bearer ") or not _UNUSUAL.isdisjoint(headers):
            return None
        if headers.get(b"content-type") not in _JSON:
            return None
        if b"idempotency-key" in headers and not KEY.fullmatch(headers[b"idempotency-key"].decode("latin-1")):
            return None
        secret, accept = token[7:].decode("latin-1").strip(), headers.get(b"accept", b"")
        if not secret and b"authorization" in headers:
            return None
        shown, languages = self._viewers.shown(secret), headers.get(b"accept-language", b"")
        key = body, shown, accept, languages
        if (known := self._known.get(key)) is None:
            try:
                ask, media = asked(decoded(body)), wanted(accept.decode("latin-1"))
                prepared, operation, _ = self.endpoint.operation(ask)
            except (Malformed, Failed):
                return None
            kind = operation.operation
            if media == EVENTS or prepared.introspects or kind == OperationType.SUBSCRIPTION:
                return None
            known = _Request(key, ask, shown, accepted(languages), media, kind == OperationType.MUTATION)
            if not known.carries:
                self._known.put(key, known, len(body) + _REQUEST)
        return known

    async def _carried(self, request: _Request, key: bytes | None) -> _Response | None:
        try:
            viewer = await self._viewers.showing(request.shown, request.language)
        except Exception:
            return None  # nothing was carried out yet: the usual way says what is wrong
        if request.shown and viewer.person is None:
            return None
        answer = await self.endpoint.run(request.asked, viewer, key=key.decode("latin-1") if key else None)
        return self._written(answer, request.media)

    async def _answered(self, request: _Request) -> _Response | None:
        guess = self._viewers.recent(request.shown, request.language)
        if guess is None or (request.shown and guess.person is None):
            return None
        self._answering += 1
        certain = False
        try:
            bound = self._planned(request, guess) if request.viewer is not guess else None
            data = self._reads.answer(request.key)
            if data is None and self._answering == 1:
                # Nobody else is here whose look could be shared.
                bound = bound or self._planned(request, guess)
                data = await self._reads.at_once(bound, guess, self._viewers, request.shown)
            else:
                viewer = await self._viewers.showing(request.shown, request.language)
                if request.shown and viewer.person is None:
                    return None
                certain = True
                if viewer is not guess:
                    bound = None
                if request.viewer is not viewer:
                    bound = self._planned(request, viewer)
                if (data := self._reads.answer(request.key)) is None:
                    bound = bound or self._planned(request, viewer)
                    data = await self._reads.data(bound, viewer)
        except GraphQLError as error:
            # Nobody is told what is wrong before it is certain who they are; but who has waited does not wait again.
            slow = (error.extensions or {}).get("code") == "TOO_SLOW"
            return self._written(self.endpoint.failed(error), request.media) if certain or slow else None
        except Exception:
            return None  # asked again in the usual way, which says what is wrong
        finally:
            self._answering -= 1
        if data is None:
            return None
        if request.response is None or data is not request.data:
            answer = Answer(data, [], {"cost": request.cost}, reads=True)
            request.data, request.response = data, self._written(answer, request.media)
            weight = len(request.id[0]) + len(data) + len(request.response.body["body"]) + _REQUEST
            self._known.put(request.id, request, weight)
        return request.response

    def _planned(self, request: _Request, guess: Viewer) -> Bound:
        context = self.endpoint.context(request.asked, guess)
        plan = self._reads.plan(context.prepared, context.operation, context.name, context.values)
        bound = self._reads.bound(plan, context.values, guess)
        request.viewer, request.key, request.cost = guess, bound.key, plan.costs(context.values)
        return bound

    def _written(self, answer: Answer, media: str) -> _Response:
        status, headers, body = self.endpoint.written(answer, media)
        sent = [
            (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in headers.items()),
            *self._headers,
        ]
        start = {"type": "http.response.start", "status": status, "headers": sent}
        return _Response(headers.get("ETag", ""), start, {"type": "http.response.body", "body": body})
