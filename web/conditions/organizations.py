"""Which organizations are meant."""

from web.conditions import Asker, condition
from web.conditions.people import unanswered


@condition
def i_act_for(t: str, value: str, by: Asker) -> str:
    """The viewer is an officer of the organization."""
    return f"({t}.id = {by.offices('organization')})"


@condition
def awaits_my_verification(t: str, value: str, by: Asker) -> str:
    """It is not verified yet, and the viewer may do that: the Center or its country's authority, from outside it."""
    may = f"({by.center()} OR {t}.country = {by.countries()})"
    outside = f"NOT ({t}.id = {by.ties()} OR {by.person()} = ANY({t}.described_by))"
    return f"({t}.status = 'registered' AND {may} AND {outside})"


@condition
def organization_awaits_an_officer(t: str, value: str, by: Asker) -> str:
    """The viewer is of the Center, and somebody waits to be confirmed where nobody acts for a verified organization."""
    claims = f"{by.records('affiliation', 'a')} AND a.organization = {t}.id AND {unanswered('a', by)}"
    return f"({by.center()} AND {t}.status = 'verified' AND NOT {t}.represented AND EXISTS (SELECT {claims}))"
