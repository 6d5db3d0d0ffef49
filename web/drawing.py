"""Where things stand in pictures: plain numbers, which the templates draw as SVG."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from math import cos, pi, radians, sin
from typing import Any, NamedTuple

from web.assets import outlines

WEST, EAST, SOUTH, NORTH = 46.0, 88.0, 34.5, 56.0
"""The map's edges in degrees: the five countries, with a little room."""
WIDTH = 720
_SCALE = WIDTH / (EAST - WEST)
# Equirectangular, true to scale at the middle of the region: shapes are right, and a place is two multiplications.
_STRETCH = 1 / cos(radians((SOUTH + NORTH) / 2))
HEIGHT = round((NORTH - SOUTH) * _SCALE * _STRETCH)


class Point(NamedTuple):
    """A point of a picture, in its units."""

    x: float
    y: float


def place(longitude: float, latitude: float) -> Point:
    """Where a place of the region is on the map; what lies outside stands at the nearest edge."""
    x = (min(max(longitude, WEST), EAST) - WEST) * _SCALE
    y = (NORTH - min(max(latitude, SOUTH), NORTH)) * _SCALE * _STRETCH
    return Point(round(x, 1), round(y, 1))


@cache
def borders() -> tuple[tuple[str, str], ...]:
    """The countries of the region as paths, by their code; none where the outlines were not built."""
    return tuple((code, "".join(map(_path, rings))) for code, rings in sorted(outlines().items()))


def _path(ring: list[list[float]]) -> str:
    points = [place(longitude, latitude) for longitude, latitude in ring]
    whole = [(round(each.x), round(each.y)) for each in points]
    kept = [each for n, each in enumerate(whole) if n == 0 or each != whole[n - 1]]
    steps = "".join(f"l{x - a} {y - b}" for (a, b), (x, y) in pairwise(kept))
    return f"M{kept[0][0]} {kept[0][1]}{steps}z"


def arc(a: Point, b: Point) -> str:
    """A path from one point to another, bent so that lines between the same places do not hide each other."""
    dx, dy = b.x - a.x, b.y - a.y
    return f"M{a.x} {a.y}Q{(a.x + b.x) / 2 - dy / 6:.1f} {(a.y + b.y) / 2 + dx / 6:.1f} {b.x} {b.y}"


class Node(NamedTuple):
    """A partner in a network: where it stands, which side its name goes to, and how thick the line to it is."""

    x: float
    y: float
    anchor: str
    weight: float
    of: Any


def around(partners: Sequence[Any], counts: Sequence[int], width: float = 760, height: float = 360) -> list[Node]:
    """Partners on an ellipse around the one that they work with, the first at the top, clockwise."""
    most = max(counts, default=1)
    found = []
    for n, (each, count) in enumerate(zip(partners, counts, strict=True)):
        angle = 2 * pi * n / len(partners) - pi / 2
        x, y = width / 2 + width * 0.22 * cos(angle), height / 2 + height * 0.38 * sin(angle)
        side = "middle" if abs(cos(angle)) < 0.2 else "start" if cos(angle) > 0 else "end"
        found.append(Node(round(x, 1), round(y, 1), side, round(1 + 5 * count / most, 1), each))
    return found


def bar(count: int, most: int, width: float = 100) -> float:
    """How long a bar is; whatever is there at all can be seen."""
    return round(max(1.5, width * count / most), 1) if count and most else 0
