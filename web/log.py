"""``/log``: checkpoint, tiles, entries and proofs as C2SP has them; all but the checkpoint never changes."""

import gzip

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hub.audit.merkle import HASH, WIDTH, bundle, tile_named
from hub.audit.notes import Checkpoint, tlog_proof
from hub.audit.seals import published
from hub.audit.tree import Behind, fetched, inclusion, leaves
from hub.door import Hub
from hub.reading import readable
from projections.core import AUDITORS
from projections.history import EntryRow
from web.asking import codings, etag, matches, secret_of
from web.reads.viewer import MIRRORS, Viewers

_FOR_EVER = "max-age=31536000, immutable"
_BYTES = "application/octet-stream"
_LARGEST = 2**62


class LogFiles:
    """The log as files. Who may read an event may have its proof; all entries are for auditors."""

    def __init__(self, hub: Hub, viewers: Viewers) -> None:
        self._hub, self._viewers = hub, viewers

    def routes(self) -> list[BaseRoute]:
        """Their addresses."""
        return [
            Route("/log/checkpoint", self.checkpoint),
            Route("/log/tile/{path:path}", self.tile),
            Route("/log/proof/{position}", self.proof),
            Route("/log/boxes/{digest}", self.box),
            Route("/log/rows/{name}/{position}/{index}", self.rows),
        ]

    async def checkpoint(self, request: Request) -> Response:
        """The newest checkpoint that a quorum has cosigned."""
        note = await published(self._hub.log.pool)
        if note is None:
            return _not_yet("Nothing was sealed yet")
        headers = {"ETag": etag(note), "Cache-Control": "no-cache"}
        if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(None, 304, headers)
        return Response(note, 200, headers, media_type="text/plain; charset=utf-8")

    async def tile(self, request: Request) -> Response:
        """A tile of hashes, for everybody, or an entry bundle."""
        named = tile_named(request.path_params["path"])
        if named is None or named[1] > _LARGEST // WIDTH:
            return PlainTextResponse("This is no address of a tile.\n", 404)
        level, index, width = named
        if level == "entries":
            return await self._auditors(request) or await self._entries(request, index, width)
        hashes = (await fetched(self._hub.log.pool, [(int(level), index)])).get((int(level), index), b"")
        if len(hashes) < width * HASH:
            return PlainTextResponse("The tree does not reach this tile yet.\n", 404)
        return Response(hashes[: width * HASH], 200, {"Cache-Control": f"public, {_FOR_EVER}"}, media_type=_BYTES)

    async def _auditors(self, request: Request) -> Response | None:
        # What every event says is for auditors only; anybody else learns who may ask for it.
        viewer = await self._viewers.find(secret_of(request), request.state.language)
        if AUDITORS in viewer.principals:
            return None
        status, headers = (403, {}) if viewer.person else (401, {"WWW-Authenticate": "Bearer"})
        return PlainTextResponse("Entries are for auditors and mirrors: send an auditor's token.\n", status, headers)

    async def _entries(self, request: Request, index: int, width: int) -> Response:
        found = await leaves(self._hub.log.pool, index * WIDTH, index * WIDTH + width)
        if len(found) < width:
            return PlainTextResponse("The log does not reach this bundle yet.\n", 404)
        body = bundle(found)
        headers = {"Cache-Control": f"private, {_FOR_EVER}", "Vary": "Accept-Encoding, Authorization, Cookie"}
        if "gzip" in codings(request):
            body, headers["Content-Encoding"] = gzip.compress(body, 5, mtime=0), "gzip"
        return Response(body, 200, headers, media_type=_BYTES)

    async def proof(self, request: Request) -> Response:
        """That an event stands in the log: C2SP ``tlog-proof``, with the event's leaf as its extra data."""
        viewer = await self._viewers.find(secret_of(request), request.state.language)
        position = _number(request.path_params["position"])
        own = readable(self._hub.models.schema, EntryRow, filtered=True)
        found = f"SELECT EXISTS (SELECT {own} AND t.position = $2)"
        if not position or not (
            AUDITORS in viewer.principals or await self._hub.log.pool.fetchval(found, viewer.list, position)
        ):
            return PlainTextResponse("There is no such event, or you may not read it.\n", 404)
        leaf = await leaves(self._hub.log.pool, position - 1, position)
        if not leaf:
            return PlainTextResponse("There is no such event, or you may not read it.\n", 404)
        note = await published(self._hub.log.pool, position)
        if note is None:
            return _not_yet("This event is recorded, and not sealed yet")
        try:
            path = await inclusion(self._hub.log.pool, position - 1, Checkpoint.parse(note).head.size)
        except Behind:
            return _not_yet("The tree is being made anew")
        headers = {
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'attachment; filename="event-{position}.tlog-proof"',
        }
        body = tlog_proof(leaf[0], position - 1, path, note)
        return Response(body, 200, headers, media_type="text/plain; charset=utf-8")

    async def box(self, request: Request) -> Response:
        """A personal value, sealed: for mirrors whose token was made for that; it opens nothing without its key."""
        viewer = await self._viewers.find(secret_of(request), request.state.language)
        allowed = MIRRORS in viewer.principals
        digest = request.path_params["digest"]
        box = digest.isprintable() and await self._hub.log.pool.fetchval(
            "SELECT box FROM hub.box WHERE digest = $1", digest
        )
        if not allowed or not box:
            return PlainTextResponse("There is no such box, or this token was not made to mirror it.\n", 404)
        return Response(box, 200, {"Cache-Control": "private, no-store"}, media_type=_BYTES)

    async def rows(self, request: Request) -> Response:
        """The hashes of 256 rows of a read model as it was sealed last: they say which row is not what it should be."""
        if refused := await self._auditors(request):
            return refused
        given = request.path_params
        position, index = _number(given["position"]), _number(given["index"])
        known = position is not None and index is not None and given["name"].isprintable()
        hashes = known and await self._hub.log.pool.fetchval(
            "SELECT hashes FROM hub.sealed_rows WHERE name = $1 AND position = $2 AND index = $3",
            given["name"],
            position,
            index,
        )
        if not hashes:
            return PlainTextResponse("No read model was sealed at this position last.\n", 404)
        return Response(hashes, 200, {"Cache-Control": "private, no-cache"}, media_type=_BYTES)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _not_yet(what: str) -> Response:
    return PlainTextResponse(f"{what}: try again in a few seconds.\n", 404, {"Retry-After": "2"})
