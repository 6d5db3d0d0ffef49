"""What applicants and their partners do, from the draft to the submission."""

import textwrap
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from domain.calls.state import Call
from domain.core import (
    N_,
    Act,
    CallId,
    Command,
    Event,
    LongText,
    Model,
    OrganizationId,
    ProposalId,
    Reason,
    Reason_,
    Refusal,
    Role,
    Title,
    refuse,
)
from domain.organizations.state import Organization
from domain.people.state import Person
from domain.proposals.events import (
    PartnerConfirmed,
    PartnerDeclined,
    PartnerInvited,
    PartnerUninvited,
    ProposalDrafted,
    ProposalRevised,
    ProposalSubmitted,
    RiskAssessed,
    RiskLevel,
)
from domain.proposals.state import EDITABLE, Partner, Proposal

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
LEAST = 100
"""Characters of an abstract that is submitted, at least."""
OVER = N_("The results of this call have been published.")
CLOSED = N_("The round of this call has closed.")
NOT_YET = N_("The round of this call has not opened yet.")


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
    """Change the text of this proposal; partners that have confirmed it confirm it anew."""

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


def _too_late(proposal: Proposal, model: Model) -> None:
    # Nobody is asked for what cannot be submitted any more.
    call = model.get(Call, proposal.call)
    if call.is_over or (call.is_closed and proposal.status == "draft"):
        raise Refusal(Reason.ROUND_NOT_OPEN, OVER if call.is_over else CLOSED)


class InvitePartner(Command, on=Proposal, by=(Role.AUTHOR, Role.LEAD_OFFICER), while_=EDITABLE):
    """Ask an organization to be a partner."""

    proposal: ProposalId
    organization: PartnerField
    contribution: Contribution

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not for what cannot be submitted any more."""
        _too_late(record, model)

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

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not of what cannot be submitted any more."""
        _too_late(record, model)

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
        yield Refusal(Reason.ROUND_NOT_OPEN, CLOSED if act.at >= call.closes_at else NOT_YET)
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
    elif older := sum(each.revision != proposal.revision for each in asked.values()):
        yield Refusal(
            Reason.PARTNERS_UNCONFIRMED,
            N_("Partners that confirmed an earlier text: %(count)s. Each confirms the one that is submitted."),
            "partners",
            count=older,
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
