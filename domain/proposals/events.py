"""What happens to a joint proposal."""

from datetime import datetime
from typing import Literal

from domain.core import CallId, Event, OrganizationId, PersonId, ProposalId

RiskLevel = Literal["minimal", "limited", "high", "unacceptable"]


class ProposalDrafted(Event, becomes="draft"):
    """A proposal was begun; who began it is its principal investigator."""

    proposal: ProposalId
    call: CallId
    lead: OrganizationId
    investigator: PersonId
    title: str
    abstract: str


class ProposalRevised(Event):
    """The text of a proposal was changed; what is null stayed as it was."""

    proposal: ProposalId
    title: str | None = None
    abstract: str | None = None


class RiskAssessed(Event):
    """The applicants assessed the risks of the AI that they propose."""

    proposal: ProposalId
    level: RiskLevel
    personal_data: bool
    harms: str
    safeguards: str


class PartnerInvited(Event):
    """An organization was asked to be a partner."""

    proposal: ProposalId
    organization: OrganizationId
    contribution: str
    country: str


class PartnerUninvited(Event):
    """An invitation to be a partner was taken back."""

    proposal: ProposalId
    organization: OrganizationId


class PartnerConfirmed(Event):
    """A partner's own officer confirmed that it takes part; ``revision`` is that of the text that they had read."""

    proposal: ProposalId
    organization: OrganizationId
    revision: int | None = None


class PartnerDeclined(Event):
    """An organization will not take part."""

    proposal: ProposalId
    organization: OrganizationId
    reason: str


class ProposalSubmitted(Event, becomes="submitted"):
    """A version was submitted; ``content`` is the SHA-256 of what was submitted."""

    proposal: ProposalId
    version: int
    content: str
    call: CallId


class ProposalReturned(Event, becomes="returned"):
    """A proposal was given back for changes; the next version may be submitted until then."""

    proposal: ProposalId
    reason: str
    until: datetime


class DeadlineMoved(Event):
    """The time for changes was moved; the next version may be submitted until then."""

    proposal: ProposalId
    reason: str
    until: datetime


class DeadlinePassed(Event):
    """The time that was given for changes has passed."""

    proposal: ProposalId


class EligibilityConfirmed(Event, becomes="in_review"):
    """A proposal meets the formal conditions and goes to review."""

    proposal: ProposalId


class ProposalFoundIneligible(Event, becomes="ineligible"):
    """A proposal does not meet the formal conditions."""

    proposal: ProposalId
    reason: str


class ProposalRecommended(Event, becomes="recommended"):
    """A proposal was recommended for an award."""

    proposal: ProposalId


class AwardOffered(Event):
    """The applicants were offered an award."""

    proposal: ProposalId


class OfferWithdrawn(Event):
    """The offer of an award was taken back before the applicants answered."""

    proposal: ProposalId
    reason: str


class AwardAccepted(Event, becomes="awarded"):
    """The lead organization accepted the award."""

    proposal: ProposalId
    published: bool = True


class AwardPublished(Event):
    """The award was published, with the results of its call."""

    proposal: ProposalId


class AwardRefused(Event, becomes="declined"):
    """The lead organization refused the award."""

    proposal: ProposalId
    reason: str


class ProposalDeclined(Event, becomes="declined"):
    """A proposal was declined."""

    proposal: ProposalId
    reason: str


class ProposalWithdrawn(Event, becomes="withdrawn"):
    """The applicants withdrew their proposal."""

    proposal: ProposalId
    reason: str
