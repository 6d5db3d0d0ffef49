"""What an operation gave, and how it is sent."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg
import msgspec
from graphql import GraphQLError

from web.asking import (
    etag,
)

RESPONSE, JSON, EVENTS = "application/graphql-response+json", "application/json", "text/event-stream"
NEGOTIATED = {"Vary": "Accept, Accept-Language, Authorization, Cookie", "Cache-Control": "private, no-cache"}
"""What caches are told: whose an answer is, and that it has to be asked for again."""
SAID = 1_000
"""Characters that an error says, about: some of them repeat what was sent."""
UNFIT = (asyncpg.DataError, asyncpg.CharacterNotInRepertoireError, UnicodeEncodeError)
"""What PostgreSQL's client raises for a value that no column can hold."""
AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What it raises while there is no server, or one without room, or one that lets the hub in, or write, no more; and
over a connection that ended while it was used.
"""


@dataclass
class Answer:
    """What an operation gave: ``data`` as bytes where it was compiled; ``reads`` where it changed nothing."""

    data: bytes | None
    errors: list[dict[str, Any]]
    extensions: dict[str, Any]
    began: bool = True
    reads: bool = False

    def body(self) -> bytes:
        """The JSON of the response."""
        parts = []
        if self.errors:
            parts.append(b'"errors":' + msgspec.json.encode(self.errors))
        if self.began:
            parts.append(b'"data":' + (self.data or b"null"))
        if self.extensions:
            parts.append(b'"extensions":' + msgspec.json.encode(self.extensions))
        return b"{" + b",".join(parts) + b"}"


_USUAL = 500


def response_of(answer: Answer, media: str) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the body that say what an operation gave."""
    status = answer.extensions.pop("status", 0)
    codes = {each.get("extensions", {}).get("code") for each in answer.errors}
    headers = {"Content-Type": f"{media}; charset=utf-8", **NEGOTIATED}
    if status == 405:
        headers["Allow"] = "POST"
    if codes & {"BUSY", "UNKNOWN"}:
        status, headers["Retry-After"] = 503, "1"
    elif not status:
        status = 400 if not answer.began and media == RESPONSE else 200
    body = answer.body()
    if status == 200 and answer.reads and not answer.errors:
        headers["ETag"] = etag(body)
    return status, headers, body


def wanted(accept: str) -> str:
    """What is liked best of what there is, or else asked for first; who asks for nothing in particular gets JSON."""
    # Nobody who likes much in particular fills the memory with it.
    return _wanted(accept) if len(accept) <= _USUAL else _wanted.__wrapped__(accept)


@lru_cache(1_000)
def _wanted(accept: str) -> str:
    liked = ((_quality(each), each.partition(";")[0].strip().lower()) for each in accept.split(","))
    kinds = [kind for much, kind in sorted(liked, key=lambda each: -each[0]) if much > 0]
    for kind in kinds:
        if kind in (RESPONSE, JSON, EVENTS):
            return kind
    return RESPONSE if any(kind in ("application/*", "*/*") for kind in kinds) and accept != "*/*" else JSON


def accepts_events(accept: str) -> bool:
    """Whether server-sent events are taken, liked best or not."""
    return any(each.partition(";")[0].strip().lower() == EVENTS and _quality(each) > 0 for each in accept.split(","))


def _quality(each: str) -> float:
    found = re.search(r";\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)", each)
    return float(found[1]) if found else 1.0


_IN_JSON = {"None": "null", "True": "true", "False": "false"}
_DIGITS = "integer string conversion"
"""What Python says of a number that it does not even look at."""
_PYTHON = re.compile(r"(not to be |value: )(None|True|False)\b")


def told(error: GraphQLError) -> dict[str, Any]:
    """An error as it is sent: with its code, and no longer than is read."""
    said = error.formatted
    code = "INVALID_DOCUMENT" if not said.get("extensions") else None
    extensions = {**(said.get("extensions") or {}), **({"code": code} if code else {})}
    message = _PYTHON.sub(lambda found: found[1] + _IN_JSON[found[2]], said["message"])
    if _DIGITS in message:
        message = "An Int has no more digits than 2147483647."
    return {**said, "message": _short(message), "extensions": extensions}


def _short(message: str) -> str:
    # What was sent is repeated so far as whoever sent it knows it again; how the message ends says what is wrong.
    return message if len(message) <= SAID else f"{message[: SAID // 2]} … {message[-SAID // 2 :]}"


def unforeseen(error: GraphQLError | None = None) -> GraphQLError:
    """What is told of a fault of the hub's own."""
    message = "This went wrong on the hub's side; nothing was lost. Try again, and tell the Center if it stays."
    return GraphQLError(message, path=error.path if error else None, extensions={"code": "INTERNAL"})
