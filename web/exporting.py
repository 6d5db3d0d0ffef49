"""Lists as files: what a list's page shows, all of it, as CSV or JSON."""

import csv
import io
import re
import unicodedata
from collections.abc import AsyncIterator, Iterator
from functools import cache
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    GraphQLObjectType,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from domain.core import N_
from web.pages import LISTS, left_out, operation, text, variables
from web.reads.viewer import Viewer
from web.schema import schema
from web.sessions import ShutOut
from web.site import Site, Unanswered
from web.words import translated

MOST = 20_000
"""Records in one file; whoever needs more asks the API."""
UNKNOWN = N_("This list has no %(name)s=%(value)s: what is asked for would be left out of account, and the file wrong.")
LONG = N_("This list has %(count)s records, and a file holds %(most)s: narrow it down, or ask the API for its pages.")


class Exports:
    """``/proposals.csv?status=AWARDED``: the same address as the page's, with the kind of file in its name.

    Whoever takes a file counts on its being whole: an address that means nothing, a token that is not valid any more,
    and more records than a file holds are refused.
    """

    def __init__(self, site: Site) -> None:
        self._site = site

    async def export(self, request: Request) -> Response:
        """The whole list that this address means, page by page as it is read."""
        name, kind = request.path_params["list"], request.path_params["file"]
        viewer = await self._site.viewer(request)
        if name not in LISTS or kind not in ("csv", "json"):
            return self._site.missing(request, viewer)
        if "authorization" in request.headers and viewer.person is None:
            words = "This token is not valid: it is incomplete, was revoked, or its time has passed.\n"
            return PlainTextResponse(words, 401, {"WWW-Authenticate": "Bearer"})
        self._site.read_by(request)
        document = f"files/{name}"
        given = variables(document, request)
        if unknown := left_out(document, request, given):
            return self._refused(request, viewer, UNKNOWN, name=unknown[0][0], value=unknown[0][1])
        try:
            first = await self._page(name, viewer, given)
        except Unanswered as unanswered:
            return self._site.unanswered(request, viewer, unanswered)
        if first["totalCount"] > MOST:
            return self._refused(request, viewer, LONG, count=first["totalCount"], most=MOST)
        rows = self._rows(request, name, viewer.person, given, first)
        headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "Cache-Control": "private, no-cache"}
        if kind == "json":
            return StreamingResponse(_json(rows), 200, headers, media_type="application/json")
        return StreamingResponse(_csv(rows, columns(name)), 200, headers, media_type="text/csv; charset=utf-8")

    def _refused(self, request: Request, viewer: Viewer, message: str, **values: Any) -> Response:
        said = translated(message, request.state.language, values)
        return self._site.problem(request, viewer, 400, N_("Not understood"), said)

    async def _page(self, name: str, viewer: Viewer, given: dict[str, Any]) -> dict[str, Any]:
        return (await self._site.ask(text(f"files/{name}"), viewer, given))[name]

    async def _rows(
        self, request: Request, name: str, person: str | None, given: dict[str, Any], page: dict[str, Any]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        sent = 0
        while True:
            yield page["nodes"]
            sent += len(page["nodes"])
            if not page["pageInfo"]["hasNextPage"] or sent >= MOST:
                return
            # Whoever reads slowly may be shut out meanwhile: a file that breaks off is not taken for whole.
            if (viewer := await self._site.viewer(request)).person != person:
                raise ShutOut
            page = await self._page(name, viewer, {**given, "after": page["pageInfo"]["endCursor"]})


async def _json(pages: AsyncIterator[list[dict[str, Any]]]) -> AsyncIterator[bytes]:
    before = b"[\n"
    async for nodes in pages:
        for each in nodes:
            yield before + msgspec.json.encode(each)
            before = b",\n"
    yield (b"[" if before == b"[\n" else b"") + b"\n]\n"


@cache
def columns(name: str) -> tuple[str, ...]:
    """The columns of a list's file: the fields of its document, parts by their path."""
    listed = schema().query_type
    assert listed is not None
    root = next(each for each in operation(f"files/{name}").selection_set.selections if isinstance(each, FieldNode))
    connection = get_named_type(listed.fields[root.name.value].type)
    nodes = next(each for each in _fields(root.selection_set) if each.name.value == "nodes")
    assert isinstance(connection, GraphQLObjectType)
    return tuple(_columns(get_named_type(connection.fields["nodes"].type), nodes.selection_set, ""))


def _columns(type: Any, selections: SelectionSetNode | None, before: str) -> Iterator[str]:
    for each in _fields(selections):
        field = type.fields[each.name.value].type
        if each.selection_set and not is_list_type(get_nullable_type(field)):
            yield from _columns(get_named_type(field), each.selection_set, f"{before}{each.name.value}.")
        else:
            yield before + each.name.value


def _fields(selections: SelectionSetNode | None) -> Iterator[FieldNode]:
    return (each for each in (selections.selections if selections else ()) if isinstance(each, FieldNode))


def flat(node: dict[str, Any]) -> dict[str, str]:
    """A record as one line: parts by their path; of several, each with its parts, and semicolons between them."""
    found: dict[str, str] = {}
    for name, value in node.items():
        if isinstance(value, dict):
            found |= {f"{name}.{inner}": each for inner, each in flat(value).items()}
        elif isinstance(value, list):
            found[name] = "; ".join(
                ", ".join(flat(each).values()) if isinstance(each, dict) else str(each) for each in value
            )
        else:
            found[name] = "" if value is None else str(value)
    return found


_PARTED = re.compile(r"""([;\t\r\n][\s"']*)([=+\-@＝＋－＠﹦﹢﹣﹫])""")


def safe(value: str) -> str:
    """A cell that no spreadsheet takes for a formula (OWASP: CSV injection), nor a part of it where a program parts
    lines at semicolons, as in the region it does.
    """
    value = _PARTED.sub(r"\1'\2", value)
    # Full-width signs are taken for the same in the region's east; what leads is skipped by some programs.
    begins = unicodedata.normalize("NFKC", value.lstrip()[:1])
    return f"'{value}" if (begins in ("=", "+", "-", "@") and begins) or value[:1] in ("\t", "\r", "\n") else value


async def _csv(pages: AsyncIterator[list[dict[str, Any]]], names: tuple[str, ...]) -> AsyncIterator[bytes]:
    # The mark at the beginning makes spreadsheets read Cyrillic as what it is.
    yield b"\xef\xbb\xbf"
    rows: list[Any] = [names]
    async for nodes in pages:
        out = io.StringIO()
        rows += [[safe(row.get(each, "")) for each in names] for row in map(flat, nodes)]
        csv.writer(out).writerows(rows)
        rows = []
        yield out.getvalue().encode()
