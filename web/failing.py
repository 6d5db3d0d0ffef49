"""What is answered where something is wrong with a request, with the hub or with its database."""

import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from domain.core import N_
from hub.confirming import Unknown
from hub.waiting import Busy
from projections.core import PUBLIC
from web.answers import AWAY, UNFIT
from web.reads.viewer import Viewer
from web.site import Site, Unanswered

_log = logging.getLogger("hub")


def nobody(request: Request) -> Viewer:
    """A viewer who was not looked up: for pages that say what is wrong."""
    return Viewer(None, frozenset({PUBLIC}), {}, request.state.language)


class Failing:
    """A page for whoever reads, JSON for whoever asked the API."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def handlers(self) -> Mapping[Any, Any]:
        """What answers each status and each exception."""
        return {
            404: self.missing,
            405: self.method,
            ClientDisconnect: self.gone,
            500: self.wrong,
            **dict.fromkeys(UNFIT, self.unfit),
            **dict.fromkeys((*AWAY, Busy, Unknown), self.away),
        }

    async def missing(self, request: Request, error: Exception) -> Response:
        """There is no such address."""
        try:
            viewer = await self._site.viewer(request)
        except AWAY as gone:
            return await self.away(request, gone)
        return self._site.missing(request, viewer)

    async def wrong(self, request: Request, error: Exception) -> Response:
        """The fault is the hub's."""
        _log.exception("a page failed", exc_info=error)
        return self._site.unanswered(request, nobody(request), Unanswered([]))

    async def away(self, request: Request, error: Exception) -> Response:
        """The database is away, or the hub too busy."""
        _log.error("the database is away, or the hub too busy: %s", str(error) or type(error).__name__)
        if request.url.path == "/graphql":
            told = {"message": "The database is away for a moment: try again.", "extensions": {"code": "BUSY"}}
            return JSONResponse({"errors": [told]}, 503, {"Retry-After": "2"})
        message = N_("The hub is away for a moment; nothing was lost. Try again in a few seconds.")
        response = self._site.problem(request, nobody(request), 503, N_("Back soon"), message)
        response.headers["Retry-After"] = "2"
        return response

    async def method(self, request: Request, error: Exception) -> Response:
        """The address takes no such request."""
        if request.url.path != "/graphql":
            return PlainTextResponse("This address takes no such request.", 405, getattr(error, "headers", None))
        told = {"message": "Send a query with GET or POST.", "extensions": {"code": "BAD_REQUEST"}}
        return JSONResponse({"errors": [told]}, 405, {"Allow": "GET, POST"})

    async def gone(self, request: Request, error: Exception) -> Response:
        """Whoever sent half a request hears nothing of it."""
        return Response(status_code=400)

    async def unfit(self, request: Request, error: Exception) -> Response:
        """What was sent is nothing that a record can hold."""
        message = N_("This address or form holds something that no record can hold: open the page anew.")
        return self._site.problem(request, nobody(request), 400, N_("Not understood"), message)
