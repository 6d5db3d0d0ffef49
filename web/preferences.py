"""What readers choose for themselves: language, time zone, light or dark. Kept in cookies, found for every request."""

import re
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo, available_timezones

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from web.words import PAGES

HOME_ZONE = "Asia/Dushanbe"
"""Where the Center is: the time that is shown to whoever has not chosen another."""
ZONES = ("Asia/Dushanbe", "Asia/Bishkek", "Asia/Almaty", "Asia/Tashkent", "Asia/Ashgabat", "UTC")
"""The zones that are offered; a browser may tell any other."""
THEMES = ("light", "dark")
LANGUAGE, ZONE, THEME = "hub_language", "hub_zone", "hub_theme"
KNOWN_ZONES = available_timezones() | {"UTC"}
_YEAR = 31_536_000
_QUALITY = re.compile(r"q\s*=\s*([01](?:\.[0-9]{0,3})?)")


@dataclass(frozen=True)
class Preferences:
    """How somebody reads; an empty theme follows the device."""

    language: str = "en"
    zone: str = HOME_ZONE
    theme: str = ""

    def having(self, language: str, zone: str, theme: str) -> Self:
        """These with another choice; what is unknown is none, and an empty theme follows the device."""
        return replace(
            self,
            language=language if language in PAGES else self.language,
            zone=zone if zone in KNOWN_ZONES else self.zone,
            theme=theme if theme in THEMES else "",
        )

    @property
    def tz(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.zone)


_ANYBODY = Preferences()
READER: ContextVar[Preferences] = ContextVar("reader", default=_ANYBODY)
"""Whoever a page is made for; whoever makes one sets it first."""


class Preferring:
    """Finds what the reader chose, or else what their browser asks for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = dict(scope["headers"])
            found = preferred(headers.get(b"cookie", b""), headers.get(b"accept-language", b""))
            scope.setdefault("state", {}).update(preferences=found, language=found.language)
        await self._app(scope, receive, send)


def preferred(cookie: bytes, languages: bytes) -> Preferences:
    """What these headers say; what they say wrongly counts for nothing."""
    chosen = _cookies(cookie)
    zone, theme = unquote(chosen.get(ZONE, "")), chosen.get(THEME, "")
    return Preferences(accepted(languages)).having(chosen.get(LANGUAGE, ""), zone, theme)


def _cookies(raw: bytes) -> dict[str, str]:
    pairs = (each.strip().partition("=") for each in raw.decode("latin-1").split(";"))
    return {name: value for name, _, value in pairs}


def accepted(languages: bytes) -> str:
    """Of these languages the one that is wanted most (``q``) and that there are pages in, the first of several; English
    where there is none.
    """
    best, found = 0.0, "en"
    for each in languages.decode("latin-1").split(","):
        name, *settings = (part.strip().lower() for part in each.split(";"))
        weight = _weight(settings)
        if (language := name.partition("-")[0]) in PAGES and weight > best:
            best, found = weight, language
    return found


def _weight(settings: list[str]) -> float:
    # A weight that is none is as good as none at all.
    for each in settings:
        if (told := _QUALITY.fullmatch(each)) is not None:
            return float(told[1])
    return 1.0


def keep(
    response: Response, language: str = "", zone: str = "", theme: str | None = None, *, secure: bool = False
) -> None:
    """Remember a choice for a year; what is unknown is not kept, an empty theme follows the device again.

    ``secure`` where the hub is reached over https: then a browser sends it over nothing else.
    """
    kept = [(LANGUAGE, language, language in PAGES), (ZONE, zone, zone in KNOWN_ZONES), (THEME, theme, theme in THEMES)]
    for name, value, known in kept:
        if known and value:
            # The script on the page tells the zone of the device, so it has to be able to see whether one is known.
            seen = name == ZONE
            response.set_cookie(name, quote(value, safe=""), _YEAR, secure=secure, httponly=not seen, samesite="lax")
    if theme == "":
        response.delete_cookie(THEME, samesite="lax", httponly=True)
