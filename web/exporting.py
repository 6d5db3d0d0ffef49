"""Lists as files: what a list's page shows, all of it, as CSV or JSON."""

import csv
import io
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from web.pages import LISTS, text, variables
from web.reads.viewer import Viewer
from web.site import Site, Unanswered

MOST = 20_000
"""Records in one file; whoever needs more asks the API."""


class Exports:
    """``/proposals.csv?status=AWARDED``: the same address as the page's, with the kind of file in its name."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def export(self, request: Request) -> Response:
        """The whole list that this address means, page by page as it is read."""
        name, kind = request.path_params["list"], request.path_params["file"]
        viewer = await self._site.viewer(request)
        if name not in LISTS or kind not in ("csv", "json"):
            return self._site.missing(request, viewer)
        self._site.read_by(request)
        given = variables(name, request)
        try:
            first = await self._page(name, viewer, given)
        except Unanswered as unanswered:
            return self._site.unanswered(request, viewer, unanswered)
        rows = self._rows(name, viewer, given, first)
        headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Cache-Control": "private, no-cache"}
        if kind == "json":
            return StreamingResponse(_json(rows), 200, headers, media_type="application/json")
        return StreamingResponse(_csv(rows), 200, headers, media_type="text/csv; charset=utf-8")

    async def _page(self, name: str, viewer: Viewer, given: dict[str, Any]) -> dict[str, Any]:
        return (await self._site.ask(text(name), viewer, given))[LISTS[name]]

    async def _rows(
        self, name: str, viewer: Viewer, given: dict[str, Any], page: dict[str, Any]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        sent = 0
        while True:
            yield page["nodes"]
            sent += len(page["nodes"])
            if not page["pageInfo"]["hasNextPage"] or sent >= MOST:
                return
            page = await self._page(name, viewer, {**given, "after": page["pageInfo"]["endCursor"]})


async def _json(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for nodes in pages:
        for each in nodes:
            yield before + msgspec.json.encode(each)
            before = b",\n"
    yield (b"[" if before == b"[\n" else b"") + b"\n]\n"


def flat(node: dict[str, Any]) -> dict[str, str]:
    """A record as one line: parts by their path, lists joined."""
    found: dict[str, str] = {}
    for name, value in node.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        elif isinstance(value, list):
            found[name] = "; ".join(
                " ".join(map(str, each.values())) if isinstance(each, dict) else str(each) for each in value
            )
        else:
            found[name] = "" if value is None else str(value)
    return found


def safe(value: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP: CSV injection)."""
    # Full-width signs are taken for the same in the region's east; what leads is skipped by some programs.
    begins = unicodedata.normalize("NFKC", value.lstrip()[:1])
    return f"'{value}" if (begins in ("=", "+", "-", "@") and begins) or value[:1] in ("\t", "\r", "\n") else value


async def _csv(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    # The mark at the beginning makes spreadsheets read Cyrillic as what it is.
    yield b"\xef\xbb\xbf"
    columns: list[str] = []
    async for nodes in pages:
        out = io.StringIO()
        writer = csv.writer(out)
        for row in map(flat, nodes):
            if not columns:
                columns = [*row]
                writer.writerow(columns)
            writer.writerow([safe(row.get(each, "")) for each in columns])
        yield out.getvalue().encode()
