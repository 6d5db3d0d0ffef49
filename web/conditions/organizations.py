"""Which organizations are meant."""

from web.conditions import Asker, condition


@condition
def i_act_for(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the organization."""
    return f"({t}.id = {by.offices('organization')})"
