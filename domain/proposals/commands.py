"""What applicants do, from the draft to the submission."""

from collections.abc import Iterator
from datetime import datetime
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
    Refusal,
    Role,
    StartedFrom,
    Title,
    changed,
    refuse,
    refuse_unseen,
)
from domain.organizations.state import Organization, belongs
from domain.people.state import Person
from domain.proposals.events import ProposalDrafted, ProposalRevised, ProposalSubmitted, RiskAssessed, RiskLevel
from domain.proposals.state import EDITABLE, Proposal

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
RiskText = Annotated[
    str, Meta(min_length=10, max_length=5_000, extra_json_schema={"widget": "textarea", "format": "markdown"})
]
LEAST = 100
"""Characters of an abstract that is submitted, at least."""
OVER = N_("This call is over: its results are published, or it was archived.")
CLOSED = N_("The round of this call has closed.")
NOT_YET = N_("The round of this call has not opened yet.")


def too_late(proposal: Proposal, call: Call, at: datetime) -> Refusal | None:
    """Why it cannot be submitted any more: its round has closed, and no time for changes runs; or results are out."""
    if call.is_over:
        return Refusal(Reason.ROUND_NOT_OPEN, OVER)
    if not proposal.granted(at) and (call.is_closed or at >= call.closes_at):
        return Refusal(Reason.ROUND_NOT_OPEN, CLOSED)
    return None


class DraftProposal(Command, on=Proposal, by=Role.ANYONE):
    """Begin a joint proposal."""

    call: Annotated[CallId, Meta(title=N_("Call"))]
    lead: Annotated[
        OrganizationId, Meta(title=N_("Lead organization"), description=N_("The one that you work at; it is verified."))
    ]
    title: ProposalTitle
    abstract: Abstract = ""

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """The call is public and its round not over; a verified organization leads, where you say that you work."""
        call, lead = model.get(Call, self.call), model.get(Organization, self.lead)
        if call.status not in ("published", "open") or act.at >= call.closes_at:
            raise Refusal(Reason.ROUND_NOT_OPEN, N_("The round of this call is closed."), "call")
        if lead.status != "verified":
            raise Refusal(Reason.NOT_VERIFIED, N_("The lead organization has not been verified yet."), "lead")
        if not belongs(model, act, self.lead):
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
    revision: StartedFrom | None = None

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Nobody writes over a change that they have not seen."""
        proposal = model.get(Proposal, self.proposal)
        if new := changed(self, proposal):
            refuse_unseen(self.revision, proposal.revision)
            yield ProposalRevised(proposal=self.proposal, **new)


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
        """The same assessment again changes nothing. Partners confirm the text, not the assessment."""
        new = RiskAssessed(
            proposal=self.proposal,
            level=self.level,
            personal_data=self.personal_data,
            harms=self.harms,
            safeguards=self.safeguards,
        )
        if model.get(Proposal, self.proposal).risk != new:
            yield new


class SubmitProposal(Command, on=Proposal, by=Role.AUTHOR, while_=EDITABLE, done="submitted"):
    """Submit this proposal; its content never changes afterwards."""

    proposal: ProposalId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """While the round is open (or the time given with a return runs), complete, confirmed by every partner."""
        proposal = model.get(Proposal, self.proposal)
        refuse(_lacking(model, proposal, act))
        yield ProposalSubmitted(
            proposal=self.proposal, version=proposal.version, content=proposal.content(), call=proposal.call
        )


def _lacking(model: Model, proposal: Proposal, act: Act) -> Iterator[Refusal]:
    call, lead = model.get(Call, proposal.call), model.get(Organization, proposal.lead)
    if late := too_late(proposal, call, act.at):
        yield late
    elif not proposal.granted(act.at) and not call.accepts(act.at):
        yield Refusal(Reason.ROUND_NOT_OPEN, NOT_YET)
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
