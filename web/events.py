"""What the events of the log hold, for programs: ``/events.json``, JSON Schema of the data of each type."""

from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from domain.core import every_event, record_kind_of, tagged_fields
from web.asking import etag, matches

SAYS = (
    "The types of events of the hub's log, by their stable names: what `Event.data` and the lines of the log hold. "
    "`history` is the kind of record in whose history such an event stands, `tags` are those fields whose ids find "
    "it. Types and fields are added; none is removed or changes its meaning."
)

_SALT = {
    "type": "string",
    "description": "At random, in base64url: what stands here is not guessed from its hash.",
}


@cache
def published() -> dict[str, Any]:
    """Each type with what its data are; ``$defs`` are JSON Schema (2020-12)."""
    events = sorted(every_event(), key=lambda each: each.type)
    schemas, parts = msgspec.json.schema_components(events, ref_template="#/$defs/{name}")
    for event in events:
        parts[event.__name__]["properties"] = {"salt": _SALT, **parts[event.__name__]["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": SAYS,
        "events": {
            event.type: {
                "says": parts[event.__name__].get("description", "").replace("``", "`"),
                "history": record_kind_of(event),
                "tags": [name for name, _, _ in tagged_fields(event)],
                "data": schema,
            }
            for event, schema in zip(events, schemas, strict=True)
        },
        "$defs": parts,
    }


async def events(request: Request) -> Response:
    """``/events.json``."""
    body = msgspec.json.format(msgspec.json.encode(published()))
    headers = {"ETag": etag(body), "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(None, 304, headers)
    return Response(body, 200, headers, media_type="application/json")
