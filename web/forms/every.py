"""All records of a list, to choose one from."""

from typing import Any

from web.forms import Writer

MOST = 2_000
"""So many can be chosen from at most; one that is chosen already can be, also where there are more."""


async def every(writer: Writer, many: str, one: str, asked: str, where: str, chosen: str) -> list[dict[str, Any]]:
    """The records of a list that fit a filter, in its order, as they are ``asked``, and the one ``chosen``."""
    text = f"""query($after: String) {{ found: {many}(first: 100, after: $after, where: {{{where}}}) {{
        nodes {{ {asked} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
    found: list[dict[str, Any]] = []
    page, after = {"hasNextPage": True}, None
    while page["hasNextPage"] and len(found) < MOST:
        listed = (await writer.ask(text, after=after))["found"]
        found += listed["nodes"]
        page, after = listed["pageInfo"], listed["pageInfo"]["endCursor"]
    if page["hasNextPage"] and chosen and chosen not in {each["id"] for each in found}:
        # Where it does not fit any more, it is no choice.
        kept = (await writer.ask(f"query($id: ID!) {{ one: {one}(id: $id) {{ {asked} }} }}", id=chosen))["one"]
        found += [kept] if kept and kept["status"] in where else []
    return found
