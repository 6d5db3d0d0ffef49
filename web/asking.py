"""A request as it arrives, whatever was sent: its document, its variables, and the secret that was shown."""

import hashlib
import os
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import HTTPConnection, Request

MAX_BODY = 1_000_000
BODY_IN = 120
"""Seconds in which a body is here whole: so long does a megabyte take where a line is slow."""
SECURE = "__Host-hub_session"
"""The cookie of a session over https: no other host, and no page of plain http, can set or read it."""
COOKIE = "hub_session"
"""The same where there is no https: a browser takes no ``__Host-`` there."""


KEY = re.compile(r"[\x21-\x7e]{1,200}")
"""What makes a retry safe: the client's own name of a request."""
_WEIGHTLESS = re.compile(r"\s*q\s*=\s*0(\.0*)?\s*")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


class Malformed(Exception):
    """A request that is no GraphQL request; the message says what to send instead."""

    def __init__(self, message: str, status: int = 400, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code or ("UNAUTHENTICATED" if status == 401 else "BAD_REQUEST")


class TooLarge(Exception):
    """More was sent than a form holds."""


@dataclass(frozen=True)
class Asked:
    """A well-formed request."""

    query: str
    operation: str | None
    variables: dict[str, Any]
    key: str | None = None
    """What makes a retry safe, where no header can say it: ``idempotencyKey`` in the request's ``extensions``."""


def asked(body: Any) -> Asked:
    """The request in a decoded body; raises ``Malformed``."""
    if not isinstance(body, dict):
        raise Malformed("Send one JSON object with a `query`.")
    query, name, variables = body.get("query"), body.get("operationName"), body.get("variables")
    extensions = body.get("extensions")
    if query is None and isinstance(extensions, dict) and "persistedQuery" in extensions:
        # These words, and this code, are those at which a client sends the document after all.
        raise Malformed("PersistedQueryNotSupported", 200, "PERSISTED_QUERY_NOT_SUPPORTED")
    if not isinstance(query, str):
        raise Malformed("`query` has to be a string.")
    if name is not None and not isinstance(name, str):
        raise Malformed("`operationName` has to be a string.")
    if variables is not None and not isinstance(variables, dict):
        raise Malformed("`variables` has to be an object.")
    if extensions is not None and not isinstance(extensions, dict):
        raise Malformed("`extensions` has to be an object.")
    key = (extensions or {}).get("idempotencyKey")
    if key is not None and not (isinstance(key, str) and KEY.fullmatch(key)):
        raise Malformed("The `idempotencyKey` in `extensions` is a string of 1 to 200 visible ASCII characters.")
    return Asked(query, name, variables or {}, key)


def decoded(raw: bytes, what: str = "The body") -> Any:
    """JSON, whatever was sent; raises ``Malformed``, which says ``what`` it was."""
    try:
        raw.decode()
        return msgspec.json.decode(raw)
    except UnicodeDecodeError:
        raise Malformed(f"{what} is not UTF-8.") from None
    except RecursionError:
        raise Malformed(f"{what} is nested too deeply.") from None
    except (msgspec.DecodeError, ValueError) as error:
        if _HALF.search(raw):
            raise Malformed(f"{what} holds half a character: a \\ud800 to \\udfff without its other half.") from None
        raise Malformed(f"{what} is not JSON: {error}") from None


def secret_of(connection: HTTPConnection) -> str | None:
    """The token or session that was shown."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return connection.cookies.get(cookie_of(connection))


def address_of(connection: HTTPConnection) -> str:
    """The address that somebody asks from, as the server knows it or the proxy that it believes says."""
    return connection.client.host if connection.client else ""


def cookie_of(connection: HTTPConnection) -> str:
    """The name of the cookie that holds a session, as the hub is reached here."""
    return SECURE if is_secure(connection) else COOKIE


def base_of(connection: HTTPConnection) -> str:
    """The address at which people reach the hub: as it was set, or as whoever asks has called it."""
    if told := os.environ.get("HUB_URL", "").rstrip("/"):
        return told
    return f"{connection.url.scheme}://{connection.headers.get('host', '')}"


def codings(connection: HTTPConnection) -> set[str]:
    """The codings of a body that whoever asks takes: those of ``Accept-Encoding`` whose weight is not 0."""
    asked = (each.partition(";") for each in connection.headers.get("accept-encoding", "").split(","))
    return {name.strip().lower() for name, _, weight in asked if not _WEIGHTLESS.fullmatch(weight)}


def is_secure(connection: HTTPConnection) -> bool:
    """Whether whoever asks has come over https, at the latest to the proxy that stands before the hub."""
    return connection.url.scheme in ("https", "wss") or os.environ.get("HUB_URL", "").startswith("https://")


def from_elsewhere(connection: HTTPConnection) -> bool:
    """Whether a browser sends this for a page of another site."""
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    if is_secure(connection) and not origin.startswith("https://"):
        # Whoever is on the line may have written that page.
        return True
    # A proxy may call the hub otherwise than people do.
    told = os.environ.get("HUB_URL", "").rstrip("/")
    return origin.partition("://")[2] != connection.headers.get("host") and not (told and origin == told)


def etag(data: bytes) -> str:
    """The tag of an answer: equal for equal bytes."""
    return '"' + hashlib.sha256(data).hexdigest()[:32] + '"'


def matches(tags: str, own: str) -> bool:
    """Whether a client holds what it asks for already."""
    return any(each.strip().removeprefix("W/") in (own, "*") for each in tags.split(","))


async def posted(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; raises ``TooLarge``. The last of several of one name counts."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise TooLarge
    try:
        pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        raise TooLarge from None
    # Browsers send line ends as CR LF; what is recorded has LF.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


async def of_this_site(request: Request) -> dict[str, str] | None:
    """The fields of a form that was sent; ``None`` where another site sent it, or it is too large."""
    if from_elsewhere(request):
        return None
    try:
        return await posted(request)
    except TooLarge:
        return None
