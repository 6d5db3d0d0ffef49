"""Who takes part in a proposal: asked by its applicants, confirmed by each partner's own officer."""

import textwrap
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from domain.calls.state import Call
from domain.core import (
    N_,
    Act,
    Actor,
    Command,
    Event,
    Model,
    OrganizationId,
    ProposalId,
    Reason,
    ReasonText,
    Refusal,
    Revision,
    Role,
)
from domain.organizations.state import Organization
from domain.proposals.commands import too_late
from domain.proposals.events import PartnerConfirmed, PartnerDeclined, PartnerInvited, PartnerUninvited
from domain.proposals.state import EDITABLE, Partner, Proposal

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
MOST = 50
PartnerField = Annotated[OrganizationId, Meta(title=N_("Organization"))]


def _in_time(proposal: Proposal, model: Model, act: Act) -> None:
    # Nobody is asked for what cannot be submitted any more.
    if late := too_late(proposal, model.get(Call, proposal.call), act.at):
        raise late


class InvitePartner(Command, on=Proposal, by=(Role.AUTHOR, Role.LEAD_OFFICER), while_=EDITABLE):
    """Ask an organization to be a partner: at most 50 are."""

    proposal: ProposalId
    organization: PartnerField
    contribution: Contribution

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not for what cannot be submitted any more, nor once there are as many as can be, none to be asked again."""
        _in_time(record, model, act)
        if len(record.partners) >= MOST and all(each.status != "declined" for each in record.partners.values()):
            raise Refusal(Reason.TOO_LARGE, N_("A proposal has at most 50 partners."))

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """It is verified and does not lead. One that declined may be asked again, also for something else."""
        proposal = model.get(Proposal, self.proposal)
        organization = model.get(Organization, self.organization)
        if self.organization == proposal.lead:
            raise Refusal(Reason.INVALID, N_("The lead organization cannot also be a partner."), "organization")
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
        if len(proposal.partners) >= MOST and partner is None:
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
    def idle(cls, record: Proposal, by: Actor) -> bool:
        """Where nobody was asked."""
        return not record.partners

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whatever it has answered. Taking back what was never asked changes nothing."""
        if self.organization in model.get(Proposal, self.proposal).partners:
            yield PartnerUninvited(proposal=self.proposal, organization=self.organization)


class ConfirmPartner(Command, on=Proposal, by=Role.PARTNER_OFFICER, while_=EDITABLE, office="organization"):
    """Confirm that your organization takes part in this proposal."""

    proposal: ProposalId
    organization: PartnerField
    revision: Annotated[Revision, Meta(title=N_("Revision that you have read"))] | None = None

    @classmethod
    def bar(cls, record: Proposal, model: Model, act: Act) -> None:
        """Not of what cannot be submitted any more."""
        _in_time(record, model, act)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Each partner's own officer confirms the text that they have read, and anew where it has changed."""
        partner, revision = _asked(model, self.proposal, self.organization), model.get(Proposal, self.proposal).revision
        if partner.status == "confirmed" and partner.revision == revision:
            return
        if self.revision is not None and self.revision != revision:
            message = N_("The text was changed after you had read it. Read it again, then confirm.")
            raise Refusal(Reason.CHANGED_MEANWHILE, message)
        yield PartnerConfirmed(proposal=self.proposal, organization=self.organization, revision=revision)


class DeclinePartner(Command, on=Proposal, by=Role.PARTNER_OFFICER, while_=EDITABLE, office="organization"):
    """Decline for your organization. You can read the proposal until the invitation is taken back."""

    proposal: ProposalId
    organization: PartnerField
    reason: ReasonText

    @classmethod
    def idle(cls, record: Proposal, by: Actor) -> bool:
        """Where each organization for which they act has declined."""
        return all(partner.status == "declined" for id, partner in record.partners.items() if id in by.offices)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A confirmation may be taken back until the proposal is submitted. No reason takes the place of another."""
        partner = _asked(model, self.proposal, self.organization)
        if partner.status == "declined":
            raise Refusal(Reason.WRONG_STATUS, N_("This organization has declined already."), "organization")
        yield PartnerDeclined(proposal=self.proposal, organization=self.organization, reason=self.reason)


def _asked(model: Model, proposal: str, organization: str) -> Partner:
    partner = model.get(Proposal, proposal).partners.get(organization)
    if partner is None:
        raise Refusal(Reason.NOT_FOUND, N_("This organization was not asked to be a partner."), "organization")
    return partner
