"""The shortest way from a program's request to its answer.

A well-formed query or mutation in ``POST /graphql`` passes none of the application's layers, and who asks is looked up
together with what is asked for, or with others who ask. Everything else takes the usual way.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphql import GraphQLError, OperationDefinitionNode, OperationType
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.answers import EVENTS, Answer, response_of, unforeseen, wanted
from web.asking import KEY, Asked, Malformed, asked, decoded, matches
from web.blocks import Block, Named, Response
from web.endpoint import Endpoint, Failed
from web.preferences import accepted
from web.reads.documents import Prepared
from web.reads.executor import Bound
from web.reads.measuring import limited
from web.reads.recent import Recent
from web.reads.viewer import Look, Viewer

SHORT = 100_000
"""A request whose body has fewer bytes may take the short way."""
_JSON = (b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8")
_UNUSUAL = {b"cookie", b"origin", b"sec-fetch-site", b"content-encoding"}
_REQUEST, _VALUE = 2_000, 200


def _weight(body: bytes) -> int:
    # In memory every value of its JSON, however short, is an object of its own.
    return len(body) + _REQUEST + _VALUE * (body.count(b",") + body.count(b"[") + body.count(b"{"))


class Head(NamedTuple):
    """What the headers of a request say: whose secret is shown, and how it wants to be answered."""

    shown: str
    language: str
    media: str
    key: str | None
    held: str


@dataclass
class Request:
    """A request that was understood: for whom it was planned last, and what it was answered with."""

    id: Any
    asked: Asked
    operation: tuple[Prepared, OperationDefinitionNode, str]
    head: Head
    carries: bool
    weight: int
    viewer: Viewer | None = None
    key: Any = None
    cost: int = 0
    data: bytes | None = None
    response: Response | None = None


class Unusual(Exception):
    """What is asked for takes the usual way."""


class Kept(NamedTuple):
    """An answer, and whose it was."""

    response: Response
    viewer: Viewer


class Shortcut:
    """Stands before the application; ``headers`` are those that every answer of it has.

    ``memory`` is for requests that come again, with their answers, in bytes.
    """

    def __init__(self, app: ASGIApp, endpoint: Endpoint, headers: Named, memory: int) -> None:
        self.usual, self.endpoint = app, endpoint
        self._reads, self._viewers = endpoint.reads, endpoint.viewers
        self._headers = headers
        self._known: Recent[Any, Request] = Recent(memory)
        self._blocks: dict[tuple[tuple[str, str], ...], Block] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/graphql" or scope["method"] != "POST":
            await self.usual(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        received, body = [await receive()], b""
        body += received[0].get("body", b"")
        while received[-1].get("more_body") and len(body) < SHORT:
            received.append(await receive())
            body += received[-1].get("body", b"")
        # None of ours: a body that goes on or whose sender has gone, and a header that is there twice.
        whole = not received[-1].get("more_body", True) and len(headers) == len(scope["headers"])
        head = self.head(headers) if whole else None
        request = self.understood(head, body) if head is not None else None
        response = await self.response(request, head) if head is not None and request is not None else None
        if response is not None:
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            await send({"type": "http.response.body", "body": response.body})
            return
        received.reverse()

        async def again() -> Message:
            return received.pop() if received else await receive()

        await self.usual(scope, again, send)

    async def response(self, request: Request, head: Head) -> Response | None:
        """What a request is answered with; ``None`` where it has to take the usual way."""
        if request.carries:
            key = request.asked.key if head.key is None else head.key
            # Two keys that differ are refused, on the usual way.
            return await self._carried(request, key) if request.asked.key in (None, key) else None
        response = await self._answered(request)
        return self.fit(response, head) if response is not None else None

    def kept(self, request: Request) -> Kept | None:
        """The answer to a query that came before, which is right for as long as a look ``holds``."""
        viewer, response = request.viewer, request.response
        if viewer is None or response is None or self._reads.answer(request.key) is not request.data:
            return None
        recent = self._viewers.recent(request.head.shown, request.head.language)
        return Kept(response, viewer) if recent is viewer and (viewer.person or not request.head.shown) else None

    def look(self, request: Request) -> "asyncio.Future[Look]":
        """Who asks, for ``holds``."""
        return self._viewers.look(request.head.shown)

    def holds(self, request: Request, kept: Kept, look: Look) -> bool:
        """Whether who asks is who they were when the answer was made, and nothing changed."""
        head = request.head
        return self._viewers.same(look[head.shown], head.shown, head.language) is kept.viewer

    @staticmethod
    def fit(response: Response, head: Head) -> Response:
        """The answer, or that it is what is held already."""
        return response.unchanged if head.held and response.tag and matches(head.held, response.tag) else response

    def closing(self, request: Request) -> Response:
        """The answer where the hub closes before there is one."""
        if request.carries:
            message = (
                "The hub is being closed, and whether this was recorded is not known: ask again with the same key."
            )
            return self._written(self.endpoint.failed(limited("UNKNOWN", message)), request.head.media)
        message = "The hub is being closed: try again."
        return self._written(self.endpoint.failed(limited("BUSY", message)), request.head.media)

    def failed(self, request: Request) -> Response:
        """The answer where something went wrong that nobody thought of."""
        return self._written(self.endpoint.failed(unforeseen()), request.head.media)

    def head(self, headers: Mapping[bytes, bytes]) -> Head | None:
        """What the headers of a request say; ``None`` where it has to take the usual way."""
        token = headers.get(b"authorization", b"Bearer ")
        if not token.startswith(b"Bearer ") or not _UNUSUAL.isdisjoint(headers):
            return None
        if headers.get(b"content-type") not in _JSON:
            return None
        key = headers[b"idempotency-key"].decode("latin-1") if b"idempotency-key" in headers else None
        if key is not None and not KEY.fullmatch(key):
            return None
        secret, accept = token[7:].decode("latin-1").strip(), headers.get(b"accept", b"").decode("latin-1")
        if (not secret and b"authorization" in headers) or (media := wanted(accept)) == EVENTS:
            return None
        held = headers.get(b"if-none-match", b"").decode("latin-1")
        return Head(self._viewers.shown(secret), accepted(headers.get(b"accept-language", b"")), media, key, held)

    def understood(self, head: Head, body: bytes) -> Request | None:
        """What is asked for; ``None`` where it has to take the usual way."""
        key = body, head.shown, head.media, head.language
        if (known := self._known.get(key)) is None:
            try:
                ask = asked(decoded(body))
                meant = prepared, operation, _ = self.endpoint.operation(ask)
            except (Malformed, Failed):
                return None
            kind = operation.operation
            if prepared.introspects or kind == OperationType.SUBSCRIPTION:
                return None
            known = Request(key, ask, meant, head, kind == OperationType.MUTATION, _weight(body))
            if not known.carries:
                self._known.put(key, known, known.weight)
        return known

    async def _carried(self, request: Request, key: str | None) -> Response | None:
        try:
            viewer = await self._viewers.showing(request.head.shown, request.head.language)
        except Exception:
            return None  # nothing was carried out yet: the usual way says what is wrong
        if request.head.shown and viewer.person is None:
            return None
        answer = await self.endpoint.run(request.asked, viewer, key=key)
        return self._written(answer, request.head.media)

    async def _answered(self, request: Request) -> Response | None:
        guess = self._viewers.recent(request.head.shown, request.head.language)
        if guess is None or (request.head.shown and guess.person is None):
            return None
        certain = False
        try:
            bound = self._planned(request, guess) if request.viewer is not guess else None
            data = self._reads.answer(request.key)
            if data is None and not self._reads.asks(request.key):
                bound = bound or self._planned(request, guess)
                data = await self._reads.at_once(bound, guess, self._viewers, request.head.shown)
            else:
                viewer = await self._viewers.showing(request.head.shown, request.head.language)
                if request.head.shown and viewer.person is None:
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
            slow = (error.extensions or {}).get("code") in ("TOO_SLOW", "BUSY")
            return self._written(self.endpoint.failed(error), request.head.media) if certain or slow else None
        except Exception:
            return None  # asked again in the usual way, which says what is wrong
        if data is None:
            return None
        if request.response is None or data is not request.data:
            answer = Answer(data, [], {"cost": request.cost}, reads=True)
            request.data, request.response = data, self._written(answer, request.head.media)
            self._known.put(request.id, request, request.weight + len(data) + 2 * len(request.response.body))
        return request.response

    def _planned(self, request: Request, guess: Viewer) -> Bound:
        prepared, operation, name = request.operation
        values = self._reads.values(prepared, operation, request.asked.variables, guess)
        plan = self._reads.plan(prepared, operation, name, values)
        if plan.called:
            raise Unusual
        bound = self._reads.bound(plan, values, guess)
        request.viewer, request.key, request.cost = guess, bound.key, plan.costs(values)
        return bound

    def _written(self, answer: Answer, media: str) -> Response:
        status, headers, body = response_of(answer, media)
        tag = headers.pop("ETag", "")
        own = [(b"content-length", b"%d" % len(body))]
        if tag:
            own.append((b"etag", tag.encode()))
        return Response(status, own, self._shared(tuple(headers.items())), body, tag)

    def _shared(self, headers: tuple[tuple[str, str], ...]) -> Block:
        # There are few: they depend on the medium and on what happened.
        if (known := self._blocks.get(headers)) is None:
            own = [(name.lower().encode(), value.encode()) for name, value in headers]
            known = self._blocks[headers] = Block([*own, *self._headers])
        return known
