"""Which people are meant."""

from web.conditions import Asker, condition


@condition
def works_at(t: str, value: str, by: Asker) -> str:
    """The person names an organization as one where they work, or have worked."""
    return f"EXISTS (SELECT {by.records('affiliation', 'a')} AND a.person = {t}.id AND a.organization = {value})"


@condition
def has_role(t: str, value: str, by: Asker) -> str:
    """The person has a role in the whole hub."""
    return f"EXISTS (SELECT {by.records('role', 'r')} AND r.person = {t}.id AND r.role = lower({value}))"


@condition
def role_awaits_my_confirmation(t: str, value: str, by: Asker) -> str:
    """The viewer is of the Center, and another officer of it proposed a role for the person, who is somebody else."""
    others = f"r.person = {t}.id AND r.proposed_by <> {by.person()} AND {t}.id <> {by.person()}"
    still = f"{by.records('role', 'o')} AND o.person = r.proposed_by AND o.role = 'center_officer'"
    waits = f"EXISTS (SELECT {by.records('role_proposal', 'r')} AND {others} AND EXISTS (SELECT {still}))"
    return f"({by.center()} AND {waits})"


@condition
def awaits_my_confirmation(t: str, value: str, by: Asker) -> str:
    """Somebody says that they work, or worked, at an organization that the viewer acts for, and nobody has answered."""
    open = f"NOT {t}.confirmed AND NOT {t}.withdrawn AND {t}.person <> {by.person()}"
    joined = f"EXISTS (SELECT {by.records('person', 'p')} AND p.id = {t}.person AND p.status = 'joined')"
    return f"({open} AND {t}.organization = {by.offices('organization')} AND {joined})"
