"""A joint proposal, as decisions see it."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Literal, Self

import msgspec

from domain.core import Actor, Event, Kind, Role, State
from domain.proposals.events import (
    AwardAccepted,
    AwardOffered,
    AwardPublished,
    AwardRefused,
    DeadlineMoved,
    DeadlinePassed,
    EligibilityConfirmed,
    OfferWithdrawn,
    PartnerConfirmed,
    PartnerDeclined,
    PartnerInvited,
    PartnerUninvited,
    ProposalDeclined,
    ProposalDrafted,
    ProposalFoundIneligible,
    ProposalRecommended,
    ProposalReturned,
    ProposalRevised,
    ProposalSubmitted,
    ProposalWithdrawn,
    RiskAssessed,
)

RISKS = ("harms", "level", "personal_data", "safeguards")
"""What an assessment of risks says."""


class Partner(msgspec.Struct, frozen=True):
    """A partner organization, as decisions see it; ``revision`` is that of the text that it confirmed."""

    contribution: str
    status: Literal["invited", "confirmed", "declined"] = "invited"
    revision: int = 0


class Proposal(
    State,
    kind=Kind("proposal"),
    on=(
        ProposalDrafted,
        ProposalRevised,
        RiskAssessed,
        PartnerInvited,
        PartnerUninvited,
        PartnerConfirmed,
        PartnerDeclined,
        ProposalSubmitted,
        ProposalReturned,
        DeadlineMoved,
        DeadlinePassed,
        EligibilityConfirmed,
        ProposalFoundIneligible,
        ProposalRecommended,
        AwardOffered,
        AwardAccepted,
        AwardPublished,
        AwardRefused,
        OfferWithdrawn,
        ProposalDeclined,
        ProposalWithdrawn,
    ),
    changed_by=(ProposalRevised, RiskAssessed, ProposalReturned, DeadlineMoved),
):
    """``draft → submitted → in_review → recommended → awarded | declined``, also returned, ineligible, withdrawn.

    ``decided`` says whether it was ever recommended, or declined for what it says, whatever became of it since.
    """

    call: str = ""
    lead: str = ""
    investigator: str = ""
    title: str = ""
    abstract: str = ""
    risk: RiskAssessed | None = None
    partners: dict[str, Partner] = {}
    version: int = 1
    revision: int = 0
    returned_until: datetime | None = None
    submitted: bool = False
    public: bool = False
    offered: bool = False
    decided: bool = False

    def evolve(self, event: Event) -> Self:
        """This proposal after the event."""
        to = msgspec.structs.replace
        match event:
            case ProposalDrafted():
                return to(
                    self,
                    id=event.proposal,
                    status=event.becomes,
                    call=event.call,
                    lead=event.lead,
                    investigator=event.investigator,
                    title=event.title,
                    abstract=event.abstract,
                    revision=1,
                )
            case ProposalRevised():
                return to(
                    self,
                    title=self.title if event.title is None else event.title,
                    abstract=self.abstract if event.abstract is None else event.abstract,
                    revision=self.revision + 1,
                )
            case RiskAssessed():
                return to(self, risk=event)
            case PartnerInvited():
                return self._partner(event.organization, Partner(event.contribution))
            case PartnerUninvited():
                left = {id: each for id, each in self.partners.items() if id != event.organization}
                return to(self, partners=left)
            case PartnerConfirmed():
                old = self.partners[event.organization]
                return self._partner(event.organization, to(old, status="confirmed", revision=self.revision))
            case PartnerDeclined():
                old = self.partners[event.organization]
                return self._partner(event.organization, to(old, status="declined"))
            case ProposalSubmitted():
                return to(self, status=event.becomes, version=event.version, submitted=True)
            case ProposalReturned():
                return to(self, status=event.becomes, version=self.version + 1, returned_until=event.until)
            case DeadlineMoved():
                return to(self, returned_until=event.until)
            case DeadlinePassed():
                return to(self, returned_until=None)
            case AwardOffered():
                return to(self, offered=True)
            case OfferWithdrawn():
                return to(self, offered=False)
            case AwardAccepted():
                return to(self, status=event.becomes, public=event.published)
            case ProposalRecommended():
                return to(self, status=event.becomes, decided=True)
            case ProposalDeclined():
                # One that was not changed in time was compared with no other.
                return to(self, status=event.becomes, decided=self.status != "returned")
            case AwardPublished():
                return to(self, public=True)
            case EligibilityConfirmed() | ProposalFoundIneligible() | AwardRefused() | ProposalWithdrawn():
                return to(self, status=event.becomes)
        return self

    def _partner(self, organization: str, partner: Partner) -> Self:
        return msgspec.structs.replace(self, partners={**self.partners, organization: partner})

    @property
    def awaits_decision(self) -> bool:
        """Whether the officers of its call have to decide, and nobody else to answer first."""
        return self.status in ("submitted", "in_review") or (self.status == "recommended" and not self.offered)

    def granted(self, at: datetime) -> bool:
        """Whether it was given back, and the time for changes has not run out."""
        return self.status == "returned" and self.returned_until is not None and at < self.returned_until

    def says(self) -> dict[str, str | bool | datetime | None]:
        """Its text and what its applicants say of its risks, as it is now; and until when it is to be changed."""
        risk = {name: getattr(self.risk, name) if self.risk else None for name in RISKS}
        return {"title": self.title, "abstract": self.abstract, **risk, "until": self.returned_until}

    def roles(self, actor: Actor) -> Iterator[Role]:
        """Its investigator, and the officers of the organizations that stand behind it."""
        if self.investigator == actor.id:
            yield Role.AUTHOR
        if self.lead in actor.offices:
            yield Role.LEAD_OFFICER
        if self._is_judged_by(actor) and not self._is_own(actor):
            yield Role.CALL_OFFICER
        if any(each in actor.offices for each in self.partners):
            yield Role.PARTNER_OFFICER

    def kept_from(self, actor: Actor) -> Iterator[Role]:
        """Who stands behind a proposal does not judge it."""
        if self._is_judged_by(actor) and self._is_own(actor):
            yield Role.CALL_OFFICER

    def _is_judged_by(self, actor: Actor) -> bool:
        # What was never submitted does not exist for the call.
        return self.call in actor.offices and self.submitted

    def _is_own(self, actor: Actor) -> bool:
        behind = {self.lead, *(id for id, each in self.partners.items() if each.status == "confirmed")}
        return actor.id == self.investigator or bool(behind & actor.ties)

    def content(self) -> str:
        """The SHA-256 (hex) of what is submitted, as JSON: keys sorted, no spaces, confirmed partners only."""
        what = {
            "abstract": self.abstract,
            "call": self.call,
            "lead": self.lead,
            "partners": [
                {"contribution": partner.contribution, "organization": id}
                for id, partner in sorted(self.partners.items())
                if partner.status == "confirmed"
            ],
            "risk": self.risk and {name: getattr(self.risk, name) for name in RISKS},
            "title": self.title,
        }
        return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


EDITABLE = {"draft", "returned"}


class Submissions(State, kind=Kind("call"), on=(ProposalSubmitted,)):
    """The proposals that were ever submitted for a call."""

    proposals: frozenset[str] = frozenset()

    def evolve(self, event: Event) -> Self:
        """The proposals after the event."""
        match event:
            case ProposalSubmitted():
                return msgspec.structs.replace(self, proposals=self.proposals | {event.proposal})
        return self
