"""The form of a leaf, as it is documented."""

import json
import re
from datetime import datetime

from hub_audit.folder import parsed

_SALT = re.compile(r"[A-Za-z0-9_-]{22}")
_TYPE = re.compile(r"[A-Z][A-Za-z0-9]{0,99}")
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def is_time(at: bytes) -> bool:
    """Whether it is RFC 3339 in UTC with six digits of a second."""
    try:
        return _TIME.fullmatch(at) is not None and bool(datetime.fromisoformat(at.decode()))
    except ValueError:
        return False


def malformed(leaf: bytes) -> str | None:
    """What of a leaf has not the form that is documented, in words; ``None`` where all has."""
    try:
        event = parsed(leaf)
        data = json.loads(event.data.decode())
    except (ValueError, RecursionError):
        return "its data are no JSON in UTF-8"
    if not isinstance(data, dict) or not isinstance(data.get("salt"), str) or not _SALT.fullmatch(data["salt"]):
        return "its data have no salt of 16 random bytes"
    if not _TYPE.fullmatch(event.type):
        return "its type is none"
    tags = event.tags.split(" ") if event.tags else []
    if tags != sorted(set(tags)) or "" in tags:
        return "its tags are not sorted, each once"
    if any(not each.isprintable() or " " in each for each in (event.actor, event.request)) or not event.actor:
        return "its actor or its request is none"
    return None
