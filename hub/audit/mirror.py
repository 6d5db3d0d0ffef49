"""A mirror: follows a hub's log, verifies as it goes, keeps every byte, and serves the same addresses."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub import outside
from hub.audit.copy import Copy, Leaf
from hub.audit.merkle import (
    WIDTH,
    Edge,
    Tile,
    hash_of,
    inclusion_ranges,
    leaf_hash,
    tile_named,
    tile_path,
    tiles_of,
    unbundled,
)
from hub.audit.notes import Checkpoint, Malformed, tlog_proof
from hub.audit.policy import Policy

AT_ONCE = 8
APART = timedelta(days=1)
"""By so much no two clocks differed that a hub and a witness have signed by."""
_BYTES = "application/octet-stream"


class Away(Exception):
    """The hub cannot be asked now, or has nothing that a quorum has cosigned; later it may."""


class Forged(Exception):
    """What the hub serves is not what it has signed, or not a continuation of what was mirrored."""


class Mirror:
    """Copies one log into one folder."""

    def __init__(self, url: str, folder: Path, policy: Policy, token: Callable[[], str | None]) -> None:
        """``token`` is asked for at each step: it may be another one by then."""
        self._url, self._policy, self._token = url.rstrip("/"), policy, token
        self.copy = Copy(folder)
        self._staged = Copy(folder / ".staged")
        self._http = outside.client(30)
        self.strange = {each.name for each in (folder / "evidence" / "boxes").glob("[0-9a-f]*")}
        """The digests in events for which the hub has served another personal value."""
        self.forged = False
        """Whether the hub was found to serve what it has not signed: nothing more is taken over."""

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    def _forged(self, message: str) -> Forged:
        self.forged = True
        return Forged(message)

    async def step(self) -> tuple[int, int]:
        """Take over what is new; answers how many events that were, and how many are here.

        What comes is staged, and becomes part of the copy once it leads to the root that was signed: nothing that was
        verified is ever replaced or taken away by what was not. The checkpoint moves last, so a mirror that is killed
        goes on. Raises ``Away``, ``Forged`` or ``Malformed``.
        """
        note = await self._get("checkpoint", 100_000)
        new = Checkpoint.parse(note)
        if not self._policy.logged(new):
            raise Malformed(f"no log of the policy has signed this checkpoint of “{new.head.origin}”")
        if not self._policy.witnessed(self._policy.cosigned(new)):
            raise Away("No quorum of witnesses has cosigned the hub's checkpoint yet.")
        old = self.copy.checkpoint()
        size = old.head.size if old else 0
        if new.head.size < size:
            raise Away(f"The hub serves {new.head.size:,} events, and {size:,} are here: newer ones are missing there.")
        edge = self.copy.edge(size)
        if old is not None and edge.root != old.head.root:
            raise Malformed(f"the tiles in {self.copy.folder} are damaged: the mirror has to be made anew")
        shutil.rmtree(self._staged.folder, ignore_errors=True)
        tiles = await self._stage(edge, size, new, old)
        if edge.root != new.head.root:
            self._accuse(old, new)
        await asyncio.to_thread(self._numbered, size, new.head.size)
        if old is not None and size and new.head.size > size:
            self._timely(old, new, next(self._staged.leaves(new.head.size, size))[0])
        await self._take_over(size, new.head.size, tiles)
        if old is None or note != old.note:
            self.copy.write(f"seen/{new.head.size}", note)
            self.copy.write("checkpoint", note)
        return new.head.size - size, new.head.size

    async def _stage(self, edge: Edge, size: int, new: Checkpoint, old: Checkpoint | None) -> dict[Tile, bytes]:
        tiles: dict[Tile, bytes] = {}
        for first in range(size - size % WIDTH, new.head.size, WIDTH * AT_ONCE):
            indexes = range(first // WIDTH, (min(new.head.size, first + WIDTH * AT_ONCE) + WIDTH - 1) // WIDTH)
            bundles = await asyncio.gather(*(self._bundle(index, new.head.size) for index in indexes))
            for index, (bundle, leaves) in zip(indexes, bundles, strict=True):
                # What a partial bundle held before is covered by the edge already.
                known = max(0, edge.size - index * WIDTH)
                hashes = [leaf_hash(leaf) for leaf in leaves]
                await asyncio.to_thread(self._staged.write, tile_path("entries", index, len(leaves)), bundle)
                if b"".join(hashes[:known]) != edge.partial:
                    self._accuse(old, new)
                tiles |= edge.grow(hashes[known:])
        return tiles

    def _numbered(self, size: int, new: int) -> None:
        position = size
        for leaves in self._staged.leaves(new, size):
            for leaf in leaves:
                position += 1
                if not leaf.startswith(b"hub-event/v1\n%d\n" % position):
                    raise self._forged(f"What the hub has sealed as event {position} says that it is another one.")

    def _timely(self, old: Checkpoint, new: Checkpoint, leaf: bytes) -> None:
        # The first event of those that are new, against the time of those who have cosigned that there was none.
        times = self._policy.cosigned(old)
        told = (at for at in times.values() if self._policy.witnessed([n for n, own in times.items() if own >= at]))
        since = max(told, default=0)
        if since and Leaf.parse(leaf).at < datetime.fromtimestamp(since, UTC) - APART:
            self._accuse(
                old,
                new,
                f"Event {old.head.size + 1:,} is dated long before a quorum cosigned that the log ended without it: it "
                "was put in later",
            )

    async def _take_over(self, size: int, new: int, tiles: dict[Tile, bytes]) -> None:
        for leaves in self._staged.leaves(new, size):
            await self._boxes(leaves)
        for index in range(size // WIDTH, (new + WIDTH - 1) // WIDTH):
            name = tile_path("entries", index, min(WIDTH, new - index * WIDTH))
            if (bundle := self._staged.read(name)) is not None:
                await asyncio.to_thread(self.copy.write, name, bundle)
        await asyncio.to_thread(self.copy.keep_tiles, tiles.items())
        shutil.rmtree(self._staged.folder, ignore_errors=True)

    def _accuse(self, old: Checkpoint | None, new: Checkpoint, what: str = "") -> None:
        # Both signed heads, and the entries that were served for the new one.
        at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        said = {"old": old.note.decode() if old else None, "new": new.note.decode(), "served": f"{at}/"}
        self.copy.write(f"evidence/{at}.json", json.dumps(said, indent=2, ensure_ascii=False).encode())
        with suppress(OSError):
            self._staged.folder.rename(self.copy.folder / "evidence" / at)
        what = what or (
            f"The {new.head.size:,} events that the hub serves do not lead to the root that it has signed, or are not "
            "those that were mirrored"
        )
        raise self._forged(f"{what}: both signed heads are kept in {self.copy.folder / 'evidence'}.")

    async def _get(self, name: str, most: int = WIDTH * 65_537) -> bytes:
        token, body = self._token(), b""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            sent = self._http.stream("GET", f"{self._url}/{name}", headers=headers)
            async with asyncio.timeout(120), sent as answer:
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > most:
                        raise Away(f"{self._url}/{name} is larger than such a file can be")
        except Away:
            raise
        except Exception as error:
            raise Away(f"{self._url} cannot be reached: {str(error) or type(error).__name__}") from None
        if answer.status_code in (401, 403):
            given = "the token that was given is not an auditor's, or not valid any more" if token else "none was given"
            raise Malformed(f"{self._url} gives entries to auditors only, and {given} (--token-file)")
        if answer.status_code != 200:
            raise Away(f"{self._url}/{name} answers {answer.status_code}: is this the address of a log?")
        return body

    async def _bundle(self, index: int, size: int) -> tuple[bytes, list[bytes]]:
        wide = min(WIDTH, size - index * WIDTH)
        bundle = await self._get(tile_path("entries", index, wide))
        try:
            leaves = unbundled(bundle)
        except ValueError:
            leaves = []
        if len(leaves) != wide:
            raise Away(f"The entry bundle {index} of {self._url} holds {len(leaves)} events instead of {wide}.")
        return bundle, leaves

    async def _boxes(self, leaves: list[bytes]) -> None:
        # Personal values stay sealed here; those of an erased person go.
        for leaf in (Leaf.parse(each) for each in leaves if b'"sealed"' in each or b"\nPersonErased\n" in each):
            if leaf.type == "PersonErased" and leaf.person:
                await asyncio.to_thread(shutil.rmtree, self.copy.folder / "boxes" / leaf.person, ignore_errors=True)
            for digest in leaf.boxes if leaf.person else ():
                with suppress(Away, Malformed):
                    box = await self._get(f"boxes/{digest}", 100_000)
                    if hashlib.sha256(box).hexdigest() == digest:
                        self.copy.write(f"boxes/{leaf.person}/{digest}", box)
                    else:
                        self.copy.write(f"evidence/boxes/{digest}", box)
                        self.strange.add(digest)


class Served:
    """The mirror's own addresses: those of the log. Entries and proofs are for whoever is on the list of readers."""

    def __init__(self, copy: Copy, readers: frozenset[str]) -> None:
        self._copy, self._readers = copy, readers

    def application(self) -> Starlette:
        """As an application."""
        return Starlette(
            routes=[
                Route("/log/checkpoint", self._checkpoint),
                Route("/log/tile/{path:path}", self._tile),
                Route("/log/proof/{position}", self._proof),
            ]
        )

    def _refused(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hashlib.sha256(token.strip().encode()).hexdigest() in self._readers:
            return None
        said = "Entries are for the readers of this mirror: send a token that its operator has listed.\n"
        return PlainTextResponse(said, 401, {"WWW-Authenticate": "Bearer"})

    async def _checkpoint(self, request: Request) -> Response:
        note = self._copy.read("checkpoint")
        if note is None:
            return PlainTextResponse("Nothing was mirrored yet: try again in a moment.\n", 404)
        return Response(note, 200, {"Cache-Control": "no-cache"}, media_type="text/plain; charset=utf-8")

    async def _tile(self, request: Request) -> Response:
        named = tile_named(request.path_params["path"])
        if named is None:
            return PlainTextResponse("This is no address of a tile.\n", 404)
        level, index, width = named
        if level == "entries" and (refused := self._refused(request)):
            return refused
        found = self._copy.read(tile_path(level, index, width))
        if found is None:
            return PlainTextResponse("This tile is not here.\n", 404)
        whom = "private" if level == "entries" else "public"
        return Response(found, 200, {"Cache-Control": f"{whom}, max-age=31536000, immutable"}, media_type=_BYTES)

    async def _proof(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        text, checkpoint = request.path_params["position"], self._copy.checkpoint()
        position = int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0
        if checkpoint is None or not 0 < position <= checkpoint.head.size:
            return PlainTextResponse("This event is not here.\n", 404)
        size, ranges = checkpoint.head.size, inclusion_ranges(position - 1, checkpoint.head.size)
        leaf = next(self._copy.leaves(size, position - 1))[0]
        tiles = {
            (level, n): self._copy.tile(level, n, min(WIDTH, (size >> 8 * level) - n * WIDTH)) or b""
            for level, n in tiles_of(ranges)
        }
        return Response(
            tlog_proof(leaf, position - 1, [hash_of(tiles, *each) for each in ranges], checkpoint.note),
            media_type="text/plain; charset=utf-8",
        )
