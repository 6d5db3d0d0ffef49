"""What the pages load: built files under names that change with their content, kept by browsers for ever."""

import hashlib
import json
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from web.asking import codings

BUILT = Path(__file__).parent / "built"
FRONT = Path(__file__).parent / "front"
_FOREVER = "public, max-age=31536000, immutable"
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


@cache
def manifest() -> dict[str, str]:
    """The built files by the names that they are asked for; empty where nothing was built."""
    file = BUILT / "manifest.json"
    return json.loads(file.read_text()) if file.exists() else {}


@cache
def address(name: str) -> str:
    """Where a browser finds an asset; empty where it was not built. The stylesheet is always there."""
    if built := manifest().get(name):
        return f"/static/{built}"
    if name != "hub.css":
        return ""
    return f"/static/hub.css?{hashlib.sha256((FRONT / name).read_bytes()).hexdigest()[:12]}"


@cache
def outlines() -> dict[str, list[list[list[float]]]]:
    """The outlines of the region's countries: rings of longitude and latitude; empty where nothing was built."""
    file = BUILT / "outlines.json"
    return json.loads(file.read_text()) if file.exists() else {}


@cache
def _files() -> dict[str, Path]:
    found = {each.name: each for each in BUILT.iterdir()} if BUILT.exists() else {}
    return found if "hub.css" in manifest() else {**found, "hub.css": FRONT / "hub.css"}


async def static(request: Request) -> Response:
    """``/static/NAME``: compressed as the browser likes it best."""
    file = _files().get(name := request.path_params["name"])
    if file is None or file.suffix in (".br", ".gz"):
        return PlainTextResponse("There is no such file.", 404)
    headers: dict[str, Any] = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    accepted = codings(request)
    try:
        for encoding, suffix in _ENCODINGS:
            if encoding in accepted and (packed := _files().get(name + suffix)):
                return Response(packed.read_bytes(), 200, {**headers, "Content-Encoding": encoding}, media_type=media)
        return Response(file.read_bytes(), 200, headers, media_type=media)
    except FileNotFoundError:
        # Others were built or installed since this hub began.
        return PlainTextResponse("There is no such file.", 404)
