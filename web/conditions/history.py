"""Which events are meant."""

from web.conditions import Asker, condition


@condition
def mentions(t: str, value: str, by: Asker) -> str:
    """The event mentions an id."""
    return f"EXISTS (SELECT FROM hub.tag g WHERE g.position = {t}.position AND g.tag = {value})"


@condition
def since(t: str, value: str, by: Asker) -> str:
    """Recorded at this time or later."""
    return f"{t}.at >= {value}"


@condition
def until(t: str, value: str, by: Asker) -> str:
    """Recorded before this time."""
    return f"{t}.at < {value}"


@condition
def beyond(t: str, value: str, by: Asker) -> str:
    """Recorded after this position."""
    return f"{t}.position > {value}"
