"""Joint proposals: drafted, confirmed by every partner, submitted, returned, recommended, awarded."""

import hashlib
import textwrap
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from domain.calls import Call
from domain.core import (
    N_,
    Act,
    Actor,
    CallId,
    Command,
    Event,
    Kind,
    LongText,
    Model,
    OrganizationId,
    PersonId,
    ProposalId,
    Reason,
    Reason_,
    Refusal,
    Role,
    State,
    Title,
    refuse,
)
from domain.organizations import Organization
from domain.people import Person

RiskLevel = Literal["minimal", "limited", "high", "unacceptable"]


class ProposalDrafted(Event):
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
    """A partner's own officer confirmed that it takes part."""

    proposal: ProposalId
    organization: OrganizationId


class PartnerDeclined(Event):
    """An organization will not take part."""

    proposal: ProposalId
    organization: OrganizationId
    reason: str


class ProposalSubmitted(Event):
    """A version was submitted; ``content`` is the SHA-256 of what was submitted."""

    proposal: ProposalId
    version: int
    content: str
    call: CallId


class ProposalReturned(Event):
    """A proposal was given back for changes; the next version may be submitted until then."""

    proposal: ProposalId
    reason: str
    until: datetime


class EligibilityConfirmed(Event):
    """A proposal meets the formal conditions and goes to review."""

    proposal: ProposalId


class ProposalFoundIneligible(Event):
    """A proposal does not meet the formal conditions."""

    proposal: ProposalId
    reason: str


class ProposalRecommended(Event):
    """A proposal was recommended for an award."""

    proposal: ProposalId


class AwardOffered(Event):
    """The applicants were offered an award."""

    proposal: ProposalId


class AwardAccepted(Event):
    """The lead organization accepted the award."""

    proposal: ProposalId


class AwardRefused(Event):
    """The lead organization refused the award."""

    proposal: ProposalId
    reason: str


class ProposalDeclined(Event):
    """A proposal was declined."""

    proposal: ProposalId
    reason: str


class ProposalWithdrawn(Event):
    """The applicants withdrew their proposal."""

    proposal: ProposalId
    reason: str


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
        EligibilityConfirmed,
        ProposalFoundIneligible,
        ProposalRecommended,
        AwardOffered,
        AwardAccepted,
        AwardRefused,
        ProposalDeclined,
        ProposalWithdrawn,
    ),
    changed_by=(ProposalRevised,),
):
    """``draft → submitted → in_review → recommended → awarded | declined``, also returned, ineligible, withdrawn."""

    call: str = ""
    lead: str = ""
    investigator: str = ""
    title: str = ""
    abstract: str = ""
    risk: RiskAssessed | None = None
    partners: dict[str, Partner] = {}
    version: int = 1
    revision: int = 0
    until: datetime | None = None
    submitted: bool = False
    offered: bool = False

    def evolve(self, event: Event) -> Self:
        """This proposal after the event."""
        to = msgspec.structs.replace
        match event:
            case ProposalDrafted():
                return to(
                    self,
                    id=event.proposal,
                    status="draft",
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
                return to(self, status="submitted", version=event.version, submitted=True)
            case ProposalReturned():
                return to(self, status="returned", version=self.version + 1, until=event.until)
            case EligibilityConfirmed():
                return to(self, status="in_review")
            case ProposalFoundIneligible():
                return to(self, status="ineligible")
            case ProposalRecommended():
                return to(self, status="recommended")
            case AwardOffered():
                return to(self, offered=True)
            case AwardAccepted():
                return to(self, status="awarded")
            case AwardRefused() | ProposalDeclined():
                return to(self, status="declined")
            case ProposalWithdrawn():
                return to(self, status="withdrawn")
        return self

    def _partner(self, organization: str, partner: Partner) -> Self:
        return msgspec.structs.replace(self, partners={**self.partners, organization: partner})

    def says(self) -> dict[str, str]:
        """Its text, as it is now."""
        return {"title": self.title, "abstract": self.abstract}

    def roles(self, actor: Actor) -> Iterator[Role]:
        """Its investigator, and the officers of the organizations that stand behind it."""
        if self.investigator == actor.id:
            yield Role.AUTHOR
        if self.lead in actor.offices:
            yield Role.LEAD_OFFICER
        behind = {self.lead, *(id for id, each in self.partners.items() if each.status != "declined")}
        # Who stands behind a proposal does not judge it; what was never submitted does not exist for the call.
        if self.call in actor.calls and self.submitted and actor.id != self.investigator and not behind & actor.ties:
            yield Role.CALL_OFFICER
        if any(each in actor.offices for each in self.partners):
            yield Role.PARTNER_OFFICER

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
            "risk": self.risk and {k: getattr(self.risk, k) for k in ("harms", "level", "personal_data", "safeguards")},
            "title": self.title,
        }
        return hashlib.sha256(msgspec.json.encode(what, order="sorted")).hexdigest()


ProposalTitle = Annotated[Title, Meta(title=N_("Title"))]
Abstract = Annotated[
    LongText,
    Meta(
        title=N_("Abstract"),
        description=N_(
            "What you want to find out, how, and why together. Markdown. What is submitted has at least 100 characters."
        ),
        extra_json_schema={"later": True},
    ),
]
Contribution = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=2_000,
        title=N_("Contribution"),
        description=N_("What this organization would do, in a sentence or two."),
        extra_json_schema={"widget": "textarea"},
    ),
]
Revision = Annotated[
    int, Meta(ge=1, le=1_000_000, title=N_("Revision that you started from"), extra_json_schema={"widget": "hidden"})
]
RiskText = Annotated[
    str, Meta(min_length=10, max_length=5_000, extra_json_schema={"widget": "textarea", "format": "markdown"})
]
PartnerField = Annotated[OrganizationId, Meta(title=N_("Organization"))]
EDITABLE = {"draft", "returned"}
LEAST = 100
"""Characters of an abstract that is submitted, at least."""
LONGEST = timedelta(days=366)
"""For changes that a proposal is given back for."""
OVER = N_("The results of this call have been published.")


class DraftProposal(Command, on=Proposal, by=Role.ANYONE):
    """Begin a joint proposal."""

    call: Annotated[CallId, Meta(title=N_("Call"))]
    lead: Annotated[
        OrganizationId, Meta(title=N_("Lead organization"), description=N_("The one that you work at; it is verified."))
    ]
    title: ProposalTitle
    abstract: Abstract = ""

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """In a public call that is not over, led by a verified organization where you said that you work."""
        call, lead = model.get(Call, self.call), model.get(Organization, self.lead)
        if call.status not in ("published", "open") or act.at >= call.closes_at:
            raise Refusal(Reason.ROUND_NOT_OPEN, N_("The round of this call is closed."), "call")
        if lead.status != "verified":
            raise Refusal(Reason.NOT_VERIFIED, N_("The lead organization has not been verified yet."), "lead")
        if act.actor not in lead.officers and not model.get(Person, act.actor).works_at(self.lead, act.at.date()):
            raise Refusal(Reason.NOT_PERMITTED, N_("Say first, on your own page, that you work there."), "lead")
        yield ProposalDrafted(
            proposal=act.new("proposal"),
            call=self.call,
            lead=self.lead,
            investigator=act.actor,
            title=self.title,
            abstract=self.abstract,
        )


class ReviseProposal(Command, on=Proposal, by=Role.AUTHOR, while_=EDITABLE):
    """Change the text of this proposal."""

    proposal: ProposalId
    title: ProposalTitle | None = None
    abstract: Abstract | None = None
    revision: Revision | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Not over a change that the writer has not seen."""
        proposal = model.get(Proposal, self.proposal)
        title = self.title if self.title != proposal.title else None
        abstract = self.abstract if self.abstract != proposal.abstract else None
        if title is None and abstract is None:
            return
        if self.revision is not None and self.revision != proposal.revision:
            raise Refusal(
                Reason.CHANGED_MEANWHILE,
                N_("Somebody changed the text while you were writing. Compare yours with theirs, then save again."),
            )
        yield ProposalRevised(proposal=self.proposal, title=title, abstract=abstract)


class AssessRisk(Command, on=Proposal, by=Role.AUTHOR, while_=EDITABLE):
    """Assess the risks of the AI that you propose."""

    proposal: ProposalId
    level: Annotated[
        RiskLevel,
        Meta(
            title=N_("Level of risk"),
            description=N_(
                "The highest that applies to any use. Minimal: hardly anybody can be harmed. Limited: people can be "
                "misled. High: health, safety or rights depend on it. Unacceptable: it manipulates, scores or watches "
                "people; it cannot be submitted."
            ),
        ),
    ]
    personal_data: Annotated[bool, Meta(title=N_("Personal data are used"))]
    harms: Annotated[RiskText, Meta(title=N_("Who could be harmed, and how"))]
    safeguards: Annotated[RiskText, Meta(title=N_("What you do against it"))]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The same assessment again changes nothing."""
        new = RiskAssessed(
            proposal=self.proposal,
            level=self.level,
            personal_data=self.personal_data,
            harms=self.harms,
            safeguards=self.safeguards,
        )
        if model.get(Proposal, self.proposal).risk != new:
            yield new


class InvitePartner(Command, on=Proposal, by=(Role.AUTHOR, Role.LEAD_OFFICER), while_=EDITABLE):
    """Ask an organization to be a partner."""

    proposal: ProposalId
    organization: PartnerField
    contribution: Contribution

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A verified organization, not the lead; one that declined may be asked again, and for something else."""
        proposal = model.get(Proposal, self.proposal)
        organization = model.get(Organization, self.organization)
        if self.organization == proposal.lead:
            raise Refusal(Reason.INVALID, N_("The lead organization is no partner of its own."), "organization")
        if organization.status != "verified":
            raise Refusal(Reason.NOT_VERIFIED, N_("This organization has not been verified yet."), "organization")
        partner = proposal.partners.get(self.organization)
        if partner and partner.status != "declined":
            if partner.contribution == self.contribution:
                return
            message = N_(
                "It was asked already, for this: “%(contribution)s”. To ask for something else, take that back first."
            )
            asked = textwrap.shorten(partner.contribution, 200, placeholder=" …")
            raise Refusal(Reason.WRONG_STATUS, message, "organization", contribution=asked)
        if len(proposal.partners) >= 50 and partner is None:
            raise Refusal(Reason.TOO_LARGE, N_("A proposal has at most 50 partners."), "organization")
        yield PartnerInvited(
            proposal=self.proposal,
            organization=self.organization,
            contribution=self.contribution,
            country=organization.country,
        )


class UninvitePartner(Command, on=Proposal, by=(Role.AUTHOR, Role.LEAD_OFFICER), while_=EDITABLE):
    """Take back the invitation of a partner."""

    proposal: ProposalId
    organization: PartnerField

    @classmethod
    def idle(cls, record: Proposal) -> bool:
        """Where nobody was asked."""
        return not record.partners

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whatever it has answered; whoever was never asked stays so."""
        if self.organization in model.get(Proposal, self.proposal).partners:
            yield PartnerUninvited(proposal=self.proposal, organization=self.organization)


class ConfirmPartner(Command, on=Proposal, by=Role.PARTNER_OFFICER, while_=EDITABLE, office="organization"):
    """Confirm that your organization takes part in this proposal."""

    proposal: ProposalId
    organization: PartnerField

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Each partner is confirmed by its own officer; anew, where the text was changed since."""
        partner = _asked(model, self.proposal, self.organization)
        if partner.status != "confirmed" or partner.revision != model.get(Proposal, self.proposal).revision:
            yield PartnerConfirmed(proposal=self.proposal, organization=self.organization)


class DeclinePartner(Command, on=Proposal, by=Role.PARTNER_OFFICER, while_=EDITABLE, office="organization"):
    """Say that your organization does not take part. You read it until the invitation is taken back."""

    proposal: ProposalId
    organization: PartnerField
    reason: Reason_

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A confirmation may be taken back until the proposal is submitted."""
        partner = _asked(model, self.proposal, self.organization)
        if partner.status != "declined":
            yield PartnerDeclined(proposal=self.proposal, organization=self.organization, reason=self.reason)


def _asked(model: Model, proposal: str, organization: str) -> Partner:
    partner = model.get(Proposal, proposal).partners.get(organization)
    if partner is None:
        raise Refusal(Reason.NOT_FOUND, N_("This organization was not asked to be a partner."), "organization")
    return partner


class SubmitProposal(Command, on=Proposal, by=Role.AUTHOR, while_={*EDITABLE, "submitted"}):
    """Submit this proposal; its content never changes afterwards."""

    proposal: ProposalId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """While the round is open (or the time given with a return runs), complete, confirmed by every partner."""
        proposal = model.get(Proposal, self.proposal)
        if proposal.status == "submitted":
            return
        refuse(_lacking(model, proposal, act))
        yield ProposalSubmitted(
            proposal=self.proposal, version=proposal.version, content=proposal.content(), call=proposal.call
        )


def _lacking(model: Model, proposal: Proposal, act: Act) -> Iterator[Refusal]:
    call, lead = model.get(Call, proposal.call), model.get(Organization, proposal.lead)
    granted = proposal.status == "returned" and proposal.until is not None and act.at < proposal.until
    if call.is_over:
        yield Refusal(Reason.ROUND_NOT_OPEN, OVER)
    elif not granted and not call.accepts(act.at):
        yield Refusal(Reason.ROUND_NOT_OPEN, N_("The round of this call is not open."))
    if (length := len(proposal.abstract.strip())) < LEAST:
        message = N_("The abstract needs at least %(count)s characters; it has %(found)s.")
        yield Refusal(Reason.INCOMPLETE, message, "abstract", count=LEAST, found=length)
    if proposal.risk is None:
        yield Refusal(Reason.INCOMPLETE, N_("The assessment of AI risk is missing."), "risk")
    elif proposal.risk.level == "unacceptable":
        yield Refusal(Reason.RISK_UNACCEPTABLE, N_("What poses an unacceptable risk cannot be submitted."), "risk")
    person = model.get(Person, proposal.investigator)
    if proposal.investigator not in lead.officers and not person.confirmed_at(proposal.lead, act.at.date()):
        yield Refusal(Reason.INCOMPLETE, N_("The lead organization has not confirmed yet that you work there."), "lead")
    asked = {id: each for id, each in proposal.partners.items() if each.status != "declined"}
    if waiting := sum(each.status != "confirmed" for each in asked.values()):
        yield Refusal(
            Reason.PARTNERS_UNCONFIRMED,
            N_("Partners that have not confirmed yet: %(count)s."),
            "partners",
            count=waiting,
        )
    organizations = [lead, *(model.get(Organization, each) for each in asked)]
    if any(each.status != "verified" for each in organizations):
        yield Refusal(Reason.NOT_VERIFIED, N_("One of the organizations is not verified now."), "partners")
    countries = {each.country for each in organizations}
    if not asked:
        yield Refusal(Reason.INCOMPLETE, N_("A joint proposal has a partner: invite at least one."), "partners")
    if len(countries) < call.countries:
        yield Refusal(
            Reason.TOO_FEW_COUNTRIES,
            N_("This call asks for partners from at least %(needed)s countries; these are from %(found)s."),
            "partners",
            needed=call.countries,
            found=len(countries),
        )


class ReturnProposal(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted", "in_review"}):
    """Give this proposal back for changes."""

    proposal: ProposalId
    reason: Reason_
    until: Annotated[
        datetime, Meta(tz=True, title=N_("Changes until"), description=N_("Date and time, within a year."))
    ]

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once results are out."""
        if model.get(Call, record.call).is_over:
            raise Refusal(Reason.WRONG_STATUS, OVER)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """With time enough to answer, and no more than a year of it."""
        if self.until <= act.at:
            raise Refusal(Reason.INVALID, N_("This time has passed."), "until")
        if self.until > act.at + LONGEST:
            raise Refusal(Reason.INVALID, N_("At most a year from now."), "until")
        yield ProposalReturned(proposal=self.proposal, reason=self.reason, until=self.until)


def _put_away(proposal: Proposal, model: Model) -> None:
    if model.get(Call, proposal.call).status == "archived":
        raise Refusal(Reason.WRONG_STATUS, N_("This call has been put away."))


class ConfirmEligibility(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted"}):
    """Confirm that this proposal meets the formal conditions."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once the call is put away."""
        _put_away(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It goes to review."""
        yield EligibilityConfirmed(proposal=self.proposal)


class FindIneligible(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"submitted"}):
    """Record that this proposal does not meet the formal conditions."""

    proposal: ProposalId
    reason: Reason_

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """With the reason."""
        yield ProposalFoundIneligible(proposal=self.proposal, reason=self.reason)


class RecommendProposal(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"in_review"}):
    """Recommend this proposal for an award."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once the call is put away."""
        _put_away(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """After review."""
        yield ProposalRecommended(proposal=self.proposal)


class OfferAward(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"recommended"}):
    """Offer the applicants an award."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not once the call is put away."""
        _put_away(record, model)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Once."""
        if not model.get(Proposal, self.proposal).offered:
            yield AwardOffered(proposal=self.proposal)


class DeclineProposal(Command, on=Proposal, by=Role.CALL_OFFICER, while_={"returned", "in_review", "recommended"}):
    """Decline this proposal."""

    proposal: ProposalId
    reason: Reason_

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """An offer is the applicants' to refuse; who was asked for changes has the time that was given for them."""
        if record.offered:
            raise Refusal(Reason.WRONG_STATUS, N_("An award has been offered: the applicants answer now."))
        call = model.get(Call, record.call)
        granted = call.accepts(act.at) or (record.until is not None and act.at < record.until)
        if record.status == "returned" and granted and not call.is_over:
            raise Refusal(Reason.WRONG_STATUS, N_("Its authors still have time to change it."))

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Not after an award was offered, which the applicants refuse; nor while they have time for changes."""
        yield ProposalDeclined(proposal=self.proposal, reason=self.reason)


def _offered(proposal: Proposal) -> None:
    if not proposal.offered:
        raise Refusal(Reason.WRONG_STATUS, N_("No award has been offered yet."))


class AcceptAward(Command, on=Proposal, by=Role.LEAD_OFFICER, while_={"recommended"}):
    """Accept the award for your organization."""

    proposal: ProposalId

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """There has to be one."""
        _offered(record)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only what was offered."""
        yield AwardAccepted(proposal=self.proposal)


class RefuseAward(Command, on=Proposal, by=Role.LEAD_OFFICER, while_={"recommended"}, final=True):
    """Refuse the award."""

    proposal: ProposalId
    reason: Reason_

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """There has to be one."""
        _offered(record)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Only what was offered."""
        yield AwardRefused(proposal=self.proposal, reason=self.reason)


class WithdrawProposal(
    Command,
    on=Proposal,
    by=(Role.AUTHOR, Role.LEAD_OFFICER),
    while_={*EDITABLE, "submitted", "in_review", "recommended"},
    final=True,
):
    """Withdraw this proposal."""

    proposal: ProposalId
    reason: Reason_

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It stays readable to those who could read it."""
        yield ProposalWithdrawn(proposal=self.proposal, reason=self.reason)
