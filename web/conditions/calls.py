"""Which calls are meant."""

from web.conditions import Asker, condition
from web.conditions.people import of_the_center


@condition
def i_run(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the call."""
    return f"({t}.id = {by.offices('call')})"


@condition
def call_awaits_an_officer(t: str, value: str, by: Asker) -> str:
    """The viewer is of the Center, and nobody of the Center runs it any more: the Center appoints somebody."""
    runs = f"{by.parts('call_officer', 'r')} AND r.call = {t}.id AND {of_the_center('r.officer', by)}"
    return f"({by.center()} AND {t}.status <> 'archived' AND NOT EXISTS (SELECT {runs}))"
