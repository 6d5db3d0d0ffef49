"""Which people are meant."""

from web.conditions import Asker, condition


def of_the_center(person: str, by: Asker) -> str:
    """Whether somebody is an officer of the Center, as far as the viewer may know that."""
    return f"EXISTS (SELECT {by.records('role', 'o')} AND o.person = {person} AND o.role = 'center_officer')"


def has_joined(person: str, by: Asker) -> str:
    """Whether somebody has joined, as far as the viewer may know that."""
    return f"EXISTS (SELECT {by.records('person', 'p')} AND p.id = {person} AND p.status = 'joined')"


def unanswered(a: str, by: Asker) -> str:
    """Whether an affiliation waits to be confirmed."""
    return f"NOT {a}.confirmed AND NOT {a}.withdrawn AND {has_joined(f'{a}.person', by)}"


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
    still = of_the_center("r.proposed_by", by)
    waits = f"EXISTS (SELECT {by.records('role_proposal', 'r')} AND {others} AND {still})"
    return f"({by.center()} AND {waits})"


@condition
def awaits_my_confirmation(t: str, value: str, by: Asker) -> str:
    """Somebody says that they work, or worked, at an organization that the viewer acts for, and nobody has answered."""
    mine = f"{t}.person <> {by.person()} AND {t}.organization = {by.offices('organization')}"
    return f"({mine} AND {unanswered(t, by)})"
