"""Begins and ends sessions in browsers; and holds back who tries to sign in too often."""

import re
import time
from collections import OrderedDict
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.door import Hub
from hub.identity import SESSION_LIVES, Way
from web.asking import cookie_of, is_secure

_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "CrOS", "Linux")
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("YaBrowser", "Yandex"), ("Firefox", "Firefox"), ("Chrome", "Chrome"))


def within(target: str) -> str:
    """An address of this site, or the first page: nobody is sent elsewhere."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"


def device(agent: str) -> str:
    """What somebody uses, in two words, so that they know their sessions apart: ``Chrome, Android``."""
    browser = next((name for sign, name in _BROWSERS if sign in agent), "Safari" if "Safari" in agent else "")
    system = next((name for name in _SYSTEMS if name in agent), "")
    return ", ".join(filter(None, (browser, system))) or re.sub(r"[^\x20-\x7e]", "", agent)[:40]


class ShutOut(Exception):
    """What somebody has shown lets nobody in any more."""


async def begin(hub: Hub, request: Request, person: str, by: Way | None = None) -> str:
    """A new session, whatever the browser held before: that ends. Raises ``ShutOut``."""
    label, old = device(request.headers.get("user-agent", "")), request.cookies.get(cookie_of(request), "")
    if (session := await hub.identity.session(person, label, by, old)) is None:
        raise ShutOut
    return session


def hold(response: Response, request: Request, session: str) -> None:
    """Let the browser keep a session: where no script and no other site can reach it."""
    response.set_cookie(
        cookie_of(request),
        session,
        max_age=int(SESSION_LIVES.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


async def signed_in(hub: Hub, request: Request, person: str, target: str, by: Way | None = None) -> Response:
    """Begin a session, and go on; raises ``ShutOut``."""
    response = RedirectResponse(quote(within(target), safe="/?&=%#"), 303)
    hold(response, request, await begin(hub, request, person, by))
    return response


class Throttle:
    """So many tries at a time from one address; one more becomes possible every ``seconds``.

    It counts within one process: with several, each allows as many.
    """

    def __init__(self, tries: int = 20, seconds: float = 3, most: int = 10_000) -> None:
        self._tries, self._seconds, self._most = tries, seconds, most
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, address: str, now: float | None = None) -> int:
        """Count a try; answers how many seconds to wait before it is one too many no longer, 0 where it may go on."""
        now = time.monotonic() if now is None else now
        spent, at = self._spent.pop(address, (0.0, now))
        spent = max(0.0, spent - (now - at) / self._seconds)
        allowed = spent + 1 <= self._tries
        self._spent[address] = (spent + 1 if allowed else spent), now
        while len(self._spent) > self._most:
            self._spent.popitem(last=False)
        return 0 if allowed else max(1, round((spent + 1 - self._tries) * self._seconds))
