"""Who an actor is: their roles in the hub, and what they act for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from domain.core import (
    HUB,
    Act,
    HubRole,
    Kind,
    Model,
    Offices,
    Role,
    State,
    kind_named,
    subclasses,
)
from domain.organizations.state import ties
from domain.people.state import Person


@dataclass(frozen=True)
class Standing:
    """An actor with everything that roles depend on."""

    id: str
    status: str = ""
    offices: frozenset[str] = frozenset()
    find_ties: Callable[[], frozenset[str]] = frozenset
    hub_roles: frozenset[tuple[str, str]] = frozenset()

    @property
    def ties(self) -> frozenset[str]:
        """The organizations over whose proposals this actor has no say."""
        return self.find_ties()

    @property
    def authority_of(self) -> frozenset[str]:
        """The countries whose national authority this actor is."""
        return frozenset(country for role, country in self.hub_roles if role == HubRole.NATIONAL_AUTHORITY)

    def acts_for(self, kind: Kind) -> list[str]:
        """The ids of what they act for that are of a kind, sorted."""
        return sorted(each for each in self.offices if kind_named(each) == kind.name)

    def roles(self, record: State | None) -> frozenset[Role]:
        """What this actor is in the hub and, where there is a record, to it."""
        if self.id == HUB:
            return frozenset({Role.HUB})
        roles = set(record.roles(self)) if record is not None and record.status else set()
        if self.status == "joined":
            roles.add(Role.ANYONE)
            if (HubRole.CENTER_OFFICER, "") in self.hub_roles:
                roles.add(Role.CENTER_OFFICER)
        else:
            roles &= {Role.SELF} if self.status == "invited" else set()
        return frozenset(roles)


def standing(model: Model, act: Act) -> Standing:
    """Who the actor is now; reading it makes it part of the command's consistency boundary."""
    if (actor := act.actor) == HUB:
        return Standing(HUB)
    person = model.get(Person, actor)
    offices = [model.get(cls, actor).held(model, actor) for cls in _kinds_of_office()]
    return Standing(
        id=actor,
        status=person.status,
        offices=frozenset[str]().union(*offices),
        hub_roles=person.hub_roles,
        # Only where somebody would judge: it depends on the day, and what does so is decided anew when that moves.
        find_ties=lambda: ties(model, act),
    )


@cache
def _kinds_of_office() -> tuple[type[Offices], ...]:
    return tuple(subclasses(Offices))
