"""JSON as RFC 8785 has it: one spelling for one value."""

import json
from decimal import Decimal
from typing import Any


def number(value: float) -> str:
    """A double as ECMAScript writes it (RFC 8785, 3.2.2.3): the fewest digits that give it back."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, n = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(digits) <= n <= 21:
        found = text + "0" * (n - len(digits))
    elif 0 < n <= 21:
        found = f"{text[:n]}.{text[n:]}"
    elif -6 < n <= 0:
        found = "0." + "0" * -n + text
    else:
        found = text[0] + (f".{text[1:]}" if text[1:] else "") + f"e{n - 1:+d}"
    return "-" * sign + found


def canonical(value: Any) -> str:
    """The canonical JSON of a value made of objects, arrays, texts, numbers, booleans and null."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(name)}:{canonical(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number(value)
    return json.dumps(value, ensure_ascii=False)
