"""Which calls are meant."""

from web.conditions import Asker, condition


@condition
def i_run(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the call."""
    return f"({t}.id = {by.offices('call')})"


@condition
def call_awaits_an_officer(t: str, value: str, by: Asker) -> str:
    """The viewer is of the Center, and nobody of the Center runs it any more: the Center appoints somebody."""
    of_the_center = f"{by.records('role', 'r')} AND r.person = o.officer AND r.role = 'center_officer'"
    runs = f"{by.parts('call_officer', 'o')} AND o.call = {t}.id AND EXISTS (SELECT {of_the_center})"
    return f"({by.center()} AND {t}.status <> 'archived' AND NOT EXISTS (SELECT {runs}))"
