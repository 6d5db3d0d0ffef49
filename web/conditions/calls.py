"""Which calls are meant."""

from web.conditions import Asker, condition


@condition
def i_run(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the call."""
    return f"({t}.id = {by.offices('call')})"
