"""One answer in the making: what a statement leaves open is put in its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from graphql import GraphQLSchema

from hub.door import Hub
from web.reads.plan import Plan, Values
from web.reads.viewer import Viewer

if TYPE_CHECKING:
    from web.reads.executor import Reads

TIMEOUT = 5.0
"""Seconds that an answer may take."""


@dataclass
class Reading:
    """One answer in the making."""

    reads: "Reads"
    viewer: Viewer

    @property
    def hub(self) -> Hub:
        """The hub that is read."""
        return self.reads.hub

    @property
    def schema(self) -> GraphQLSchema:
        """The schema that is answered."""
        return self.reads.schema

    @property
    def until(self) -> int | None:
        """The position at which the hub is shown, where it is not now."""
        return self.reads.until

    @property
    def read_only(self) -> bool:
        """Whether the hub is shown as it stood."""
        return self.reads.until is not None

    async def run(self, plan: Plan, values: Values) -> Any:
        """Run a part of an answer."""
        bound = [bind(values) for bind in plan.binders]
        raw = await self.reads.pool(plan, self.viewer).fetchval(plan.sql, self.viewer.list, *bound, timeout=TIMEOUT)
        if raw is None:
            return None
        return await self.fill(plan, msgspec.json.decode(raw), values)

    async def fill(self, plan: Plan, data: Any, values: Values, volatile: bool | None = None) -> Any:
        """Put the late values in their places; with ``volatile`` only those that are, or only those that are not."""
        from web.reads import changes, former, overview  # noqa: F401  (they register their loaders)
        from web.reads.late import LOADERS

        places: dict[int, list[tuple[Any, str, list[Any]]]] = {}
        for path in plan.paths:
            for holder in _holders(data, path[:-1]):
                placed = holder.get(path[-1])
                if isinstance(placed, list) and placed and isinstance(placed[0], int):
                    places.setdefault(placed[0], []).append((holder, path[-1], placed[1:]))
        for number, found in places.items():
            late = plan.late[number]
            if volatile not in (None, late.volatile):
                continue
            filled = await LOADERS[late.by](self, late, [needs for _, _, needs in found], values)
            for (holder, key, _), value in zip(found, filled, strict=True):
                holder[key] = value
        return data


def _holders(data: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        for each in data:
            yield from _holders(each, path)
    elif isinstance(data, dict):
        if not path:
            yield data
        elif path[0] in data:
            yield from _holders(data[path[0]], path[1:])
