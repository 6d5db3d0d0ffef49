"""``/explorer``: GraphiQL, served from here, with the document of a page ready to run."""

import json

from starlette.requests import Request
from starlette.responses import Response

from web.assets import address
from web.pages import SITE, text, variables, variables_of
from web.site import Site, told

# The editor writes its own styles, holds its icons as data, and runs its checks beside the page: nowhere else may any.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
    "img-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


class Explorer:
    """The one page that is a program; without scripts it says where the schema and the documents are."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request) -> Response:
        """``?page=proposal&id=…`` opens a page's document with what it was shown with."""
        viewer = await self._site.viewer(request)
        name = request.query_params.get("page", "")
        query = ""
        given: dict[str, object] = {}
        if name in {page.name for page in SITE} | {"profile"}:
            query = text(name)
            given = variables(name, request)
            given |= {each: value for each, value in told(viewer, given).items() if each in variables_of(name)}
        workers = {
            "editor": address("editor.worker.js"),
            "json": address("json.worker.js"),
            "graphql": address("graphql.worker.js"),
        }
        values = json.dumps(given, indent=2) if given else ""
        response = self._site.render(request, "explorer", viewer, query=query, variables=values, workers=workers)
        response.headers["Content-Security-Policy"] = _POLICY
        return response
