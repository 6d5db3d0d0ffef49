"""A person, as decisions see them, and who holds an ORCID iD or an e-mail address."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Self

import msgspec

from domain.core import HUB, Act, Actor, Event, HubRole, Kind, Model, Role, State
from domain.people.events import (
    AccessEnded,
    AccessGiven,
    AffiliationConfirmed,
    AffiliationDeclared,
    AffiliationEnded,
    AffiliationRefused,
    NameCorrected,
    NoticesChosen,
    OrcidLinked,
    OrcidUnlinked,
    PersonErased,
    PersonInvited,
    PersonJoined,
    RoleAgreed,
    RoleGranted,
    RoleProposalWithdrawn,
    RoleProposed,
    RoleRevoked,
)


@dataclass(frozen=True)
class Affiliation:
    """Where a person works, as decisions see it; ``withdrawn`` is one that was ended or refused before it was
    confirmed.
    """

    organization: str
    since: date
    until: date | None
    confirmed: bool
    position: str = ""
    withdrawn: bool = False

    def lasts(self, on: date) -> bool:
        """Whether it has not ended before that day."""
        return self.until is None or self.until >= on


class Person(
    State,
    kind=Kind("person"),
    on=(
        PersonInvited,
        PersonJoined,
        NameCorrected,
        OrcidLinked,
        OrcidUnlinked,
        NoticesChosen,
        AffiliationDeclared,
        AffiliationConfirmed,
        AffiliationEnded,
        AffiliationRefused,
        RoleProposed,
        RoleAgreed,
        RoleProposalWithdrawn,
        RoleGranted,
        RoleRevoked,
        AccessGiven,
        AccessEnded,
        PersonErased,
    ),
):
    """``invited → joined → erased``.

    ``link_shown`` says whether an officer was shown a link with which they came, or somebody else in their place, until
    all that lets in as them is ended; ``proposed_roles`` who proposed each role that waits for a second officer of the
    Center; ``let_go_by`` who took the role of an officer of the Center from them, where somebody did.
    """

    orcid: str = ""
    notices: tuple[bool, str] = True, "en"
    affiliations: dict[str, Affiliation] = {}
    hub_roles: frozenset[tuple[str, str]] = frozenset()
    link_shown: bool = False
    proposed_roles: dict[tuple[str, str], str] = {}
    let_go_by: str = ""

    def evolve(self, event: Event) -> Self:
        """This person after the event."""
        match event:
            case PersonInvited():
                return msgspec.structs.replace(
                    self, id=event.person, status=event.becomes, notices=(True, event.language)
                )
            case PersonJoined():
                return msgspec.structs.replace(self, status=event.becomes)
            case AccessGiven():
                return msgspec.structs.replace(self, link_shown=self.link_shown or event.shown_to is not None)
            case AccessEnded():
                return msgspec.structs.replace(self, link_shown=False)
            case OrcidLinked():
                return msgspec.structs.replace(self, orcid=event.orcid_alias)
            case OrcidUnlinked():
                return msgspec.structs.replace(self, orcid="")
            case NoticesChosen():
                return msgspec.structs.replace(self, notices=(event.mailed, event.language))
            case AffiliationDeclared():
                new = Affiliation(event.organization, event.since, event.until, False, event.position)
                return self._with(event.affiliation, new)
            case AffiliationConfirmed():
                old = self.affiliations[event.affiliation]
                return self._with(event.affiliation, replace(old, confirmed=True, withdrawn=False))
            case AffiliationRefused():
                old = self.affiliations[event.affiliation]
                return self._with(event.affiliation, replace(old, until=event.until, withdrawn=True))
            case AffiliationEnded():
                old = self.affiliations[event.affiliation]
                ended = replace(old, until=event.until, withdrawn=not old.confirmed)
                return self._with(event.affiliation, ended)
            case RoleProposed():
                proposed = {**self.proposed_roles, (event.role, event.country or ""): event.by}
                return msgspec.structs.replace(self, proposed_roles=proposed)
            case RoleAgreed() | RoleProposalWithdrawn():
                waits = {**self.proposed_roles}
                waits.pop((event.role, event.country or ""), None)
                return msgspec.structs.replace(self, proposed_roles=waits)
            case RoleGranted():
                return msgspec.structs.replace(self, hub_roles=self.hub_roles | {(event.role, event.country or "")})
            case RoleRevoked():
                left = self.hub_roles - {(event.role, event.country or "")}
                by = event.by or "" if event.role == HubRole.CENTER_OFFICER else self.let_go_by
                return msgspec.structs.replace(self, hub_roles=left, let_go_by=by)
            case PersonErased():
                return msgspec.structs.replace(self, status=event.becomes, hub_roles=frozenset())
        return self

    def _with(self, id: str, affiliation: Affiliation) -> Self:
        return msgspec.structs.replace(self, affiliations={**self.affiliations, id: affiliation})

    def roles(self, actor: Actor) -> Iterator[Role]:
        """The person themselves, and the officers of the organizations that they name, unless they took that back."""
        if self.id == actor.id:
            yield Role.SELF
        if any(each.organization in actor.offices for each in self.affiliations.values() if not each.withdrawn):
            yield Role.OFFICER

    @property
    def of_the_center(self) -> bool:
        """Whether they have joined, and are an officer of the Center."""
        return self.status == "joined" and (HubRole.CENTER_OFFICER, "") in self.hub_roles

    def worked_since(self, day: date) -> frozenset[str]:
        """The organizations where they say that they worked on that day or later, confirmed or not."""
        return frozenset(a.organization for a in self.affiliations.values() if a.lasts(day))

    def works_at(self, organization: str, on: date) -> bool:
        """Whether they name this organization, confirmed or not, as one where they work on that day or later, and have
        not taken that back.
        """
        return any(
            a.organization == organization and a.lasts(on) and not a.withdrawn for a in self.affiliations.values()
        )

    def confirmed_at(self, organization: str, on: date) -> bool:
        """Whether the organization has confirmed that they work there on that day."""
        return any(
            a.organization == organization and a.confirmed and a.since <= on and a.lasts(on)
            for a in self.affiliations.values()
        )


class OrcidHolder(State, kind=Kind("orcid", claim=True), on=(OrcidLinked, OrcidUnlinked)):
    """Who holds an ORCID iD: one person per iD, and one iD per person."""

    person: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case OrcidLinked():
                return msgspec.structs.replace(self, status="held", person=event.person)
            case OrcidUnlinked():
                return msgspec.structs.replace(self, status="", person="")
        return self


class EmailHolder(State, kind=Kind("email", claim=True), on=(PersonInvited,)):
    """Who was invited under an e-mail address: one person per address."""

    person: str = ""

    def evolve(self, event: Event) -> Self:
        """The holder after the event."""
        match event:
            case PersonInvited():
                return msgspec.structs.replace(self, status="held", person=event.person)
        return self


def of_the_center(model: Model, act: Act) -> bool:
    """Whether the actor is an officer of the Center, or the hub itself."""
    return act.actor == HUB or model.get(Person, act.actor).of_the_center
