"""A form that is sent once more, and not as it was."""

from collections.abc import Mapping
from typing import Any

from web.forms import Writer

_SINCE = """query($id: ID!) {{
    record: {}(id: $id) {{ revision history(first: 50) {{ nodes {{ position actorId }} }} }} }}"""
"""A record as it is now, and who has done anything to it lately."""


async def after(writer: Writer, given: Mapping[str, Any], recorded: int | None) -> Mapping[str, Any]:
    """What is given by whoever went back to a form that they had sent, which ``recorded`` something at a position, and
    sends something else.

    Whoever goes on from their own text, where nobody else has done anything since, has seen it as it is: its revision
    is the one of now. What somebody says to have read is no text of theirs.
    """
    amends = writer.command.on().says().keys() & writer.command.__struct_fields__
    if not (recorded and given.get("revision") and amends):
        return given
    found = (await writer.ask(_SINCE.format(writer.command.on.kind.name), id=writer.record))["record"]
    if found is None or any(
        each["position"] > recorded and each["actorId"] != writer.viewer.person for each in found["history"]["nodes"]
    ):
        return given
    return {**given, "revision": str(found["revision"])}
