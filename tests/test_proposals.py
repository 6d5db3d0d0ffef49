"""Stories of proposals: the corridor from draft to submission, and what follows."""

from datetime import date, timedelta

import msgspec
import pytest

from domain.call_results import ArchiveCall, PublishResults
from domain.calls.events import CallArchived, CallOfficerAppointed, ResultsPublished, RoundClosed
from domain.core import HUB, HubRole, Reason
from domain.organizations.events import (
    OfficerAppointed,
    OfficerDismissed,
    OrganizationAmended,
    OrganizationClosed,
    OrganizationSuspended,
    OrganizationVerified,
)
from domain.people.events import (
    AffiliationConfirmed,
    AffiliationDeclared,
    AffiliationEnded,
    PersonErased,
    RoleGranted,
    RoleRevoked,
)
from domain.proposals.commands import AssessRisk, DraftProposal, ReviseProposal, SubmitProposal
from domain.proposals.decisions import (
    AcceptAward,
    ConfirmEligibility,
    DeclineProposal,
    FindIneligible,
    MoveDeadline,
    OfferAward,
    PassDeadline,
    RecommendProposal,
    RefuseAward,
    ReturnProposal,
    WithdrawOffer,
    WithdrawProposal,
)
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
from domain.proposals.partners import ConfirmPartner, DeclinePartner, InvitePartner, UninvitePartner
from domain.proposals.state import Proposal
from projections.core import fold
from projections.proposals import ProposalRow
from tests.region import (
    AIBEK,
    AT_DUSHANBE,
    BISHKEK,
    CALL,
    CLOSES,
    DRAFTED_CALL,
    DUSHANBE,
    KHUJAND,
    OFFICER,
    REGION,
    STRANGER,
    UNVERIFIED,
    ZARINA,
    registered,
)
from tests.stories import NOW, given, id_

P = id_("proposal")
SECOND = timedelta(seconds=1)
DRAFTED = ProposalDrafted(
    proposal=P, call=CALL, lead=DUSHANBE, investigator=ZARINA, title="Glaciers from above", abstract="A" * 100
)
ASSESSED = RiskAssessed(
    proposal=P, level="limited", personal_data=False, harms="Nobody directly", safeguards="Open review of results"
)
INVITED = PartnerInvited(proposal=P, organization=BISHKEK, contribution="Field data", country="KG")
CONFIRMED = PartnerConfirmed(proposal=P, organization=BISHKEK, revision=1)
CONFIRMED_ANEW = PartnerConfirmed(proposal=P, organization=BISHKEK, revision=2)
MOVED = OrganizationAmended(organization=BISHKEK, reason="It moved", country="TJ")
READY = [*REGION, DRAFTED, ASSESSED, INVITED, CONFIRMED]


def content(*events):
    state = Proposal()
    for event in events:
        state = state.evolve(event)
    return state.content()


SUBMITTED = ProposalSubmitted(proposal=P, version=1, content=content(DRAFTED, ASSESSED, INVITED, CONFIRMED), call=CALL)
CLOSED = RoundClosed(call=CALL)
LEAD_OFFICER = OfficerAppointed(organization=DUSHANBE, person=AIBEK)


def test_a_proposal_is_drafted_in_a_public_call_by_a_verified_organization():
    draft = DraftProposal(call=CALL, lead=DUSHANBE, title="Glaciers from above", abstract="A" * 100)
    given(*REGION).when(draft, by=ZARINA).then(msgspec.structs.replace(DRAFTED, proposal=id_("proposal", 101)))
    given(*REGION, RoundClosed(call=CALL)).when(draft, by=ZARINA).refused(Reason.ROUND_NOT_OPEN, "call")
    given(*REGION).when(draft, by=ZARINA, at=CLOSES).refused(Reason.ROUND_NOT_OPEN, "call")
    unverified = DraftProposal(call=CALL, lead=UNVERIFIED, title="Glaciers")
    given(*REGION).when(unverified, by=ZARINA).refused(Reason.NOT_VERIFIED, "lead")
    elsewhere = DraftProposal(call=id_("call", 9), lead=DUSHANBE, title="Glaciers")
    given(*REGION).when(elsewhere, by=ZARINA).refused(Reason.NOT_FOUND, "call")


def test_a_proposal_is_begun_in_the_name_of_where_one_works():
    """Said to work there is enough to begin: the organization confirms it before anything is submitted."""
    draft = DraftProposal(call=CALL, lead=KHUJAND, title="Glaciers from above", abstract="A" * 100)
    begun = msgspec.structs.replace(DRAFTED, proposal=id_("proposal", 101), lead=KHUJAND)
    given(*REGION).when(draft, by=ZARINA).refused(Reason.NOT_PERMITTED, "lead")
    said = AffiliationDeclared(
        person=ZARINA,
        affiliation=id_("affiliation", 7),
        organization=KHUJAND,
        position="Guest",
        since=NOW.date() + timedelta(days=30),
    )
    given(*REGION, said).when(draft, by=ZARINA).then(begun)
    over = AffiliationEnded(
        person=ZARINA, affiliation=id_("affiliation", 7), organization=KHUJAND, until=NOW.date() - timedelta(days=1)
    )
    given(*REGION, said, over).when(draft, by=ZARINA).refused(Reason.NOT_PERMITTED, "lead")
    # Who acts for it needs to say no more.
    given(*REGION).when(draft, by=AIBEK).then(msgspec.structs.replace(begun, investigator=AIBEK))


def test_a_call_that_is_still_a_draft_looks_like_none_at_all():
    secret = msgspec.structs.replace(DRAFTED_CALL, call=id_("call", 5))
    for lead in (DUSHANBE, id_("organization", 99)):
        draft = DraftProposal(call=id_("call", 5), lead=lead, title="Glaciers")
        given(*REGION, secret).when(draft, by=ZARINA).refused(Reason.NOT_FOUND, "call")


def test_text_is_revised_but_never_over_an_unseen_change():
    revised = ProposalRevised(proposal=P, title="Ice from above")
    given(*READY).when(ReviseProposal(proposal=P, title="Ice from above", revision=1), by=ZARINA).then(revised)
    given(*READY).when(ReviseProposal(proposal=P, title="Glaciers from above"), by=ZARINA).then()
    given(*READY, revised).when(ReviseProposal(proposal=P, title="Snow", revision=1), by=ZARINA).refused(
        Reason.CHANGED_MEANWHILE
    )
    given(*READY, revised).when(ReviseProposal(proposal=P, title="Ice from above", revision=1), by=ZARINA).then()


def test_to_a_stranger_a_draft_looks_like_no_record():
    hidden = ReviseProposal(proposal=P, title="Mine now")
    absent = ReviseProposal(proposal=id_("proposal", 77), title="Mine now")
    told = [given(*READY).when(each, by=STRANGER).refusal for each in (hidden, absent)]
    assert str(told[0]) == str(told[1])
    assert told[0].reason == told[1].reason == Reason.NOT_PERMITTED
    assert told[0].args[1:] == told[1].args[1:]


def test_a_draft_is_hidden_from_the_officer_of_the_call():
    given(*READY).when(ConfirmEligibility(proposal=P), by=OFFICER).refused(Reason.NOT_PERMITTED)
    withdrawn = ProposalWithdrawn(proposal=P, reason="No time")
    given(*READY, withdrawn).when(ConfirmEligibility(proposal=P), by=OFFICER).refused(Reason.NOT_PERMITTED)


def test_who_stands_behind_a_proposal_does_not_judge_it():
    judge = ConfirmEligibility(proposal=P)
    for organization in (DUSHANBE, BISHKEK):
        office = OfficerAppointed(organization=organization, person=OFFICER)
        given(*READY, SUBMITTED, office).when(judge, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
        # Also while it is suspended, after its end, and whoever works there: three years long.
        apart = OrganizationSuspended(organization=organization, reason="Under inquiry")
        given(*READY, SUBMITTED, office, apart).when(judge, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
        worked = AffiliationDeclared(
            person=OFFICER,
            affiliation=id_("affiliation", 9),
            organization=organization,
            position="Lecturer",
            since=date(2015, 1, 1),
            until=(NOW - timedelta(days=3 * 365)).date(),
        )
        given(*READY, SUBMITTED, worked).when(judge, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
        long_ago = msgspec.structs.replace(worked, until=date(2020, 1, 1))
        given(*READY, SUBMITTED, long_ago).when(judge, by=OFFICER).then(EligibilityConfirmed(proposal=P))
        # Who has ever acted for it may have confirmed what they would judge.
        acted = [office, OfficerDismissed(organization=organization, person=OFFICER)]
        given(*READY, SUBMITTED, *acted).when(judge, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
        # Whoever declined takes no part in it.
        if organization == BISHKEK:
            no = PartnerDeclined(proposal=P, organization=BISHKEK, reason="No staff")
            other = PartnerInvited(proposal=P, organization=KHUJAND, contribution="Data", country="TJ")
            given(*READY, no, other, SUBMITTED, office).when(judge, by=OFFICER).then(EligibilityConfirmed(proposal=P))
    # Nor does who was only asked: an applicant must not be able to choose who judges.
    back = ProposalReturned(proposal=P, reason="Partners", until=CLOSES)
    asked = PartnerInvited(proposal=P, organization=KHUJAND, contribution="Data", country="TJ")
    office = OfficerAppointed(organization=KHUJAND, person=OFFICER)
    moved = MoveDeadline(proposal=P, reason="A week more", until=CLOSES - SECOND)
    assert given(*READY, SUBMITTED, back, asked, office).when(moved, by=OFFICER).refusal is None
    yes = PartnerConfirmed(proposal=P, organization=KHUJAND, revision=1)
    given(*READY, SUBMITTED, back, asked, yes, office).when(moved, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
    own = msgspec.structs.replace(DRAFTED, investigator=OFFICER)
    mine = given(*REGION, own, ASSESSED, INVITED, CONFIRMED, SUBMITTED)
    mine.when(judge, by=OFFICER).refused(Reason.OWN_ORGANIZATION)
    given(*READY, SUBMITTED).when(judge, by=OFFICER).then(EligibilityConfirmed(proposal=P))
    # Whose draft it is not is told nothing of it, with a conflict or without.
    given(*REGION, DRAFTED, office).when(judge, by=OFFICER).refused(Reason.NOT_PERMITTED)


def test_a_call_is_run_by_officers_of_the_center_only():
    gone = RoleRevoked(person=OFFICER, role=HubRole.CENTER_OFFICER)
    given(*READY, SUBMITTED, gone).when(ConfirmEligibility(proposal=P), by=OFFICER).refused(Reason.NOT_PERMITTED)
    second = RoleGranted(person=STRANGER, role=HubRole.CENTER_OFFICER)
    appointed = CallOfficerAppointed(call=CALL, officer=STRANGER)
    given(*READY, SUBMITTED, second).when(ConfirmEligibility(proposal=P), by=STRANGER).refused(Reason.NOT_PERMITTED)
    given(*READY, SUBMITTED, second, appointed).when(ConfirmEligibility(proposal=P), by=STRANGER).then(
        EligibilityConfirmed(proposal=P)
    )


def test_a_partner_is_invited_and_answers_for_itself():
    invite = InvitePartner(proposal=P, organization=BISHKEK, contribution="Field data")
    given(*REGION, DRAFTED).when(invite, by=ZARINA).then(INVITED)
    given(*READY).when(invite, by=ZARINA).then()
    confirm = ConfirmPartner(proposal=P, organization=BISHKEK)
    given(*REGION, DRAFTED, INVITED).when(confirm, by=AIBEK).then(CONFIRMED)
    given(*READY).when(confirm, by=AIBEK).then()
    given(*REGION, DRAFTED, INVITED).when(confirm, by=ZARINA).refused(Reason.NOT_PERMITTED)
    decline = DeclinePartner(proposal=P, organization=BISHKEK, reason="No staff")
    declined = PartnerDeclined(proposal=P, organization=BISHKEK, reason="No staff")
    given(*READY).when(decline, by=AIBEK).then(declined)
    # What it answered is what it was asked for: nobody changes that under its hands.
    other = InvitePartner(proposal=P, organization=BISHKEK, contribution="All the field data")
    for told in ((*REGION, DRAFTED, INVITED), READY):
        given(*told).when(other, by=ZARINA).refused(Reason.WRONG_STATUS, "organization")
    # Where the text was changed since, its officer says so anew, or leaves it.
    revised = ProposalRevised(proposal=P, abstract="Another plan")
    given(*READY, revised).when(confirm, by=AIBEK).then(CONFIRMED_ANEW)
    given(*READY, revised, CONFIRMED_ANEW).when(confirm, by=AIBEK).then()
    assert "ConfirmPartner" in given(*READY, revised).may(AIBEK, P)
    assert "ConfirmPartner" not in given(*READY).may(AIBEK, P)
    anew = msgspec.structs.replace(INVITED, contribution="All the field data")
    given(*READY, declined).when(other, by=ZARINA).then(anew)


def test_an_invitation_is_taken_back():
    take_back, gone = (
        UninvitePartner(proposal=P, organization=BISHKEK),
        PartnerUninvited(proposal=P, organization=BISHKEK),
    )
    given(*REGION, DRAFTED, INVITED).when(take_back, by=ZARINA).then(gone)
    given(*READY).when(take_back, by=ZARINA).then(gone)
    given(*REGION, DRAFTED).when(take_back, by=ZARINA).then()
    given(*REGION, DRAFTED, INVITED).when(take_back, by=AIBEK).refused(Reason.NOT_PERMITTED)
    given(*READY, SUBMITTED).when(take_back, by=ZARINA).refused(Reason.WRONG_STATUS)
    # Who is asked no more holds nobody up, and is no partner: the countries are counted without it.
    alone = given(*READY, gone).when(SubmitProposal(proposal=P), by=ZARINA)
    alone.refused(Reason.INCOMPLETE, "partners", "partners")
    assert alone.refusal.every[1].reason == Reason.TOO_FEW_COUNTRIES
    given(*READY, gone).when(ConfirmPartner(proposal=P, organization=BISHKEK), by=AIBEK).refused(Reason.NOT_PERMITTED)


def test_so_many_partners_and_no_more():
    many = [
        each
        for n in range(200, 250)
        for each in (
            registered(id_("organization", n), "UZ"),
            OrganizationVerified(organization=id_("organization", n)),
            PartnerInvited(proposal=P, organization=id_("organization", n), contribution="Data", country="UZ"),
        )
    ]
    invite = InvitePartner(proposal=P, organization=BISHKEK, contribution="Field data")
    given(*REGION, DRAFTED, *many[:-1]).when(invite, by=ZARINA).then(INVITED)
    full = given(*REGION, DRAFTED, *many)
    full.when(invite, by=ZARINA).refused(Reason.TOO_LARGE)
    assert full.may(ZARINA, P)["InvitePartner"] is Reason.TOO_LARGE
    # One that declined may be asked again, and nobody else.
    last = many[-1].organization
    declined = given(*REGION, DRAFTED, *many, PartnerDeclined(proposal=P, organization=last, reason="No staff"))
    assert declined.when(msgspec.structs.replace(invite, organization=last), by=ZARINA).refusal is None
    declined.when(invite, by=ZARINA).refused(Reason.TOO_LARGE, "organization")


def test_what_is_submitted_names_confirmed_partners_alone():
    asked = PartnerInvited(proposal=P, organization=KHUJAND, contribution="Data", country="TJ")
    declined = PartnerDeclined(proposal=P, organization=KHUJAND, reason="No staff")
    ready = (DRAFTED, ASSESSED, INVITED, CONFIRMED)
    assert content(*ready) == content(*ready, asked) == content(*ready, asked, declined)
    assert content(*ready) != content(*ready, asked, PartnerConfirmed(proposal=P, organization=KHUJAND))


@pytest.mark.parametrize(
    ("organization", "reason"),
    [(DUSHANBE, Reason.INVALID), (UNVERIFIED, Reason.NOT_VERIFIED), (id_("organization", 99), Reason.NOT_FOUND)],
)
def test_whom_one_cannot_invite(organization, reason):
    invite = InvitePartner(proposal=P, organization=organization, contribution="Field data")
    given(*REGION, DRAFTED).when(invite, by=ZARINA).refused(reason, "organization")


def test_an_officer_answers_for_their_own_organization_only():
    other = PartnerInvited(proposal=P, organization=DUSHANBE, contribution="Data", country="TJ")
    confirm = ConfirmPartner(proposal=P, organization=DUSHANBE)
    given(*REGION, DRAFTED, INVITED, other).when(confirm, by=AIBEK).refused(Reason.NOT_PERMITTED, "organization")


def test_an_office_in_a_suspended_organization_confirms_nothing():
    suspended = OrganizationSuspended(organization=BISHKEK, reason="Inquiry")
    other = PartnerInvited(proposal=P, organization=KHUJAND, contribution="Data", country="TJ")
    confirm = ConfirmPartner(proposal=P, organization=BISHKEK)
    given(*REGION, DRAFTED, INVITED, other, suspended).when(confirm, by=AIBEK).refused(
        Reason.NOT_PERMITTED, "organization"
    )


def test_risk_is_assessed():
    assess = AssessRisk(
        proposal=P, level="limited", personal_data=False, harms="Nobody directly", safeguards="Open review of results"
    )
    given(*REGION, DRAFTED).when(assess, by=ZARINA).then(ASSESSED)
    given(*READY).when(assess, by=ZARINA).then()
    given(*READY).when(assess, by=STRANGER).refused(Reason.NOT_PERMITTED)


def test_a_complete_proposal_is_submitted_once():
    given(*READY).when(SubmitProposal(proposal=P), by=ZARINA).then(SUBMITTED)
    given(*READY, SUBMITTED).when(SubmitProposal(proposal=P), by=ZARINA).then()
    given(*READY, SUBMITTED).when(ReviseProposal(proposal=P, title="Too late"), by=ZARINA).refused(Reason.WRONG_STATUS)


@pytest.mark.parametrize(
    ("events", "reason", "field"),
    [
        ([DRAFTED, INVITED, CONFIRMED], Reason.INCOMPLETE, "risk"),
        (
            [msgspec.structs.replace(DRAFTED, abstract="short"), ASSESSED, INVITED, CONFIRMED],
            Reason.INCOMPLETE,
            "abstract",
        ),
        ([DRAFTED, ASSESSED, INVITED], Reason.PARTNERS_UNCONFIRMED, "partners"),
        ([DRAFTED, ASSESSED], Reason.INCOMPLETE, "partners"),
        (
            [
                DRAFTED,
                ASSESSED,
                PartnerInvited(proposal=P, organization=KHUJAND, contribution="Data", country="TJ"),
                PartnerConfirmed(proposal=P, organization=KHUJAND),
            ],
            Reason.TOO_FEW_COUNTRIES,
            "partners",
        ),
        # Where a partner is counts when the proposal is submitted, as it does for the lead.
        (
            [DRAFTED, ASSESSED, INVITED, CONFIRMED, MOVED],
            Reason.TOO_FEW_COUNTRIES,
            "partners",
        ),
        (
            [DRAFTED, msgspec.structs.replace(ASSESSED, level="unacceptable"), INVITED, CONFIRMED],
            Reason.RISK_UNACCEPTABLE,
            "risk",
        ),
        (
            [DRAFTED, ASSESSED, INVITED, CONFIRMED, OrganizationSuspended(organization=BISHKEK, reason="-")],
            Reason.NOT_VERIFIED,
            "partners",
        ),
    ],
)
def test_what_is_not_ready_is_not_submitted(events, reason, field):
    given(*REGION, *events).when(SubmitProposal(proposal=P), by=ZARINA).refused(reason, field)


def test_nobody_submits_in_the_name_of_an_organization_that_has_not_confirmed_them():
    submit = SubmitProposal(proposal=P)
    foreign = msgspec.structs.replace(DRAFTED, lead=KHUJAND)
    events = [*REGION, foreign, ASSESSED, INVITED, CONFIRMED]
    given(*events).when(submit, by=ZARINA).refused(Reason.INCOMPLETE, "lead")
    ended = AffiliationEnded(
        person=ZARINA, affiliation=AT_DUSHANBE, organization=DUSHANBE, until=(NOW - timedelta(days=1)).date()
    )
    given(*READY, ended).when(submit, by=ZARINA).refused(Reason.INCOMPLETE, "lead")
    later = [
        AffiliationDeclared(
            person=ZARINA,
            affiliation=(new := id_("affiliation", 77)),
            organization=DUSHANBE,
            position="Professor",
            since=(NOW + timedelta(days=1)).date(),
        ),
        AffiliationConfirmed(person=ZARINA, affiliation=new, organization=DUSHANBE),
    ]
    given(*READY, ended, *later).when(submit, by=ZARINA).refused(Reason.INCOMPLETE, "lead")
    office = OfficerAppointed(organization=DUSHANBE, person=ZARINA)
    given(*READY, ended, office).when(submit, by=ZARINA).then(SUBMITTED)


def test_the_deadline_holds_even_before_the_closing_is_recorded():
    submit = SubmitProposal(proposal=P)
    given(*READY).when(submit, by=ZARINA, at=CLOSES - SECOND).then(SUBMITTED)
    given(*READY).when(submit, by=ZARINA, at=CLOSES).refused(Reason.ROUND_NOT_OPEN)
    given(*READY, RoundClosed(call=CALL)).when(submit, by=ZARINA).refused(Reason.ROUND_NOT_OPEN)


def test_a_returned_proposal_becomes_a_new_version_within_the_time_given():
    until = CLOSES + 7 * 24 * 3600 * SECOND
    give_back = ReturnProposal(proposal=P, reason="Budget unclear", until=until)
    returned = ProposalReturned(proposal=P, reason="Budget unclear", until=until)
    given(*READY, SUBMITTED).when(give_back, by=OFFICER).then(returned)
    given(*READY, SUBMITTED).when(give_back, by=ZARINA).refused(Reason.NOT_PERMITTED)
    given(*READY, SUBMITTED).when(give_back, by=OFFICER, at=until).refused(Reason.INVALID, "until")
    slip = msgspec.structs.replace(give_back, until=until.replace(year=2099))
    given(*READY, SUBMITTED).when(slip, by=OFFICER).refused(Reason.INVALID, "until")
    over = [RoundClosed(call=CALL), ResultsPublished(call=CALL)]
    given(*READY, SUBMITTED, *over).when(give_back, by=OFFICER).refused(Reason.WRONG_STATUS)
    after = given(*READY, SUBMITTED, returned, RoundClosed(call=CALL))
    given(*READY, SUBMITTED, returned, *over).when(SubmitProposal(proposal=P), by=ZARINA).refused(Reason.ROUND_NOT_OPEN)
    second = ProposalSubmitted(proposal=P, version=2, content=SUBMITTED.content, call=CALL)
    after.when(SubmitProposal(proposal=P), by=ZARINA, at=until - SECOND).then(second)
    after.when(SubmitProposal(proposal=P), by=ZARINA, at=until).refused(Reason.ROUND_NOT_OPEN)
    # Not while the round is open: they may submit it then, too.
    short = ProposalReturned(proposal=P, reason="Budget unclear", until=NOW + SECOND)
    declining = DeclineProposal(proposal=P, reason="No answer")
    given(*READY, SUBMITTED, short).when(declining, by=OFFICER, at=NOW + 2 * SECOND).refused(Reason.WRONG_STATUS)
    # Who never answers is declined, once that time is over, or the results are out.
    decline, declined = (
        DeclineProposal(proposal=P, reason="No answer"),
        ProposalDeclined(proposal=P, reason="No answer"),
    )
    after.when(decline, by=OFFICER, at=until - SECOND).refused(Reason.WRONG_STATUS)
    after.when(decline, by=OFFICER, at=until).then(declined)
    given(*READY, SUBMITTED, returned, *over).when(decline, by=OFFICER).then(declined)


@pytest.mark.parametrize(
    ("before", "command", "event"),
    [
        ([], ConfirmEligibility(proposal=P), EligibilityConfirmed(proposal=P)),
        ([], FindIneligible(proposal=P, reason="No lead"), ProposalFoundIneligible(proposal=P, reason="No lead")),
        ([EligibilityConfirmed(proposal=P), CLOSED], RecommendProposal(proposal=P), ProposalRecommended(proposal=P)),
        ([ProposalRecommended(proposal=P), CLOSED], OfferAward(proposal=P), AwardOffered(proposal=P)),
        (
            [ProposalRecommended(proposal=P), CLOSED],
            DeclineProposal(proposal=P, reason="No money"),
            ProposalDeclined(proposal=P, reason="No money"),
        ),
    ],
)
def test_the_officer_of_the_call_decides_and_nobody_else(before, command, event):
    given(*READY, SUBMITTED, *before).when(command, by=OFFICER).then(event)
    given(*READY, SUBMITTED, *before).when(command, by=ZARINA).refused(Reason.NOT_PERMITTED)
    given(*READY).when(command, by=OFFICER).refused(Reason.NOT_PERMITTED)
    # Whoever is first to be submitted is judged beside all the others.
    if CLOSED in before:
        given(*READY, SUBMITTED, before[0]).when(command, by=OFFICER).refused(Reason.WRONG_STATUS)


def test_a_partner_confirms_the_text_that_is_submitted_and_no_earlier_one():
    """Silence is never consent: a change of the text asks for a new yes."""
    revised = ProposalRevised(proposal=P, abstract="Another abstract, " * 10)
    submit = SubmitProposal(proposal=P)
    given(*READY, revised).when(submit, by=ZARINA).refused(Reason.PARTNERS_UNCONFIRMED, "partners")
    assert given(*READY, revised, CONFIRMED_ANEW).may(ZARINA, P)["SubmitProposal"] is None


def test_a_partner_confirms_what_its_officer_has_read():
    """Who revises while an officer reads does not get a yes to what nobody read."""
    read = ConfirmPartner(proposal=P, organization=BISHKEK, revision=1)
    revised = ProposalRevised(proposal=P, abstract="Another abstract, " * 10)
    asked = [*REGION, DRAFTED, INVITED]
    given(*asked).when(read, by=AIBEK).then(CONFIRMED)
    given(*asked, revised).when(read, by=AIBEK).refused(Reason.CHANGED_MEANWHILE)
    given(*asked, revised).when(msgspec.structs.replace(read, revision=2), by=AIBEK).then(CONFIRMED_ANEW)
    # A retry of what was said before the change is no second yes, and a page that is older than the yes no refusal.
    given(*READY, revised).when(read, by=AIBEK).refused(Reason.CHANGED_MEANWHILE)
    given(*READY, revised, CONFIRMED_ANEW).when(read, by=AIBEK).then()


def test_nobody_is_asked_for_what_cannot_be_submitted_any_more():
    draft, confirm = [*REGION, DRAFTED, INVITED], ConfirmPartner(proposal=P, organization=BISHKEK)
    invite = InvitePartner(proposal=P, organization=KHUJAND, contribution="Data")
    for command, by in ((confirm, AIBEK), (invite, ZARINA)):
        given(*draft, CLOSED).when(command, by=by).refused(Reason.ROUND_NOT_OPEN)
    # What was given back in time is confirmed, until results are out.
    returned = [*READY, SUBMITTED, ProposalReturned(proposal=P, reason="Budget", until=NOW + 99 * SECOND), CLOSED]
    revised = ProposalRevised(proposal=P, title="Another title")
    given(*returned, revised).when(confirm, by=AIBEK).then(CONFIRMED_ANEW)
    given(*returned, revised).when(confirm, by=AIBEK, at=NOW + 99 * SECOND).refused(Reason.ROUND_NOT_OPEN)
    over = [*returned, revised, ResultsPublished(call=CALL)]
    given(*over).when(confirm, by=AIBEK).refused(Reason.ROUND_NOT_OPEN)
    # Who acts for several organizations is told why, as whoever acts for one.
    assert given(*draft, CLOSED).may(AIBEK, P)["ConfirmPartner"] == Reason.ROUND_NOT_OPEN


def test_results_are_published_once_every_proposal_is_decided():
    publish, over = PublishResults(call=CALL), [CLOSED]
    decided = ResultsPublished(call=CALL)
    for waiting in ([], [EligibilityConfirmed(proposal=P)], [ProposalRecommended(proposal=P)]):
        told = given(*READY, SUBMITTED, *waiting, *over)
        told.when(publish, by=OFFICER).refused(Reason.WRONG_STATUS)
        assert told.may(OFFICER, CALL)["PublishResults"] == Reason.WRONG_STATUS
        given(*READY, SUBMITTED, *waiting, *over, decided).when(ArchiveCall(call=CALL), by=OFFICER).refused(
            Reason.WRONG_STATUS
        )
    # Nor while its authors have the time that they were given; an answer to an offer is waited for by nobody here.
    returned = ProposalReturned(proposal=P, reason="Budget", until=NOW + 9 * SECOND)
    told = given(*READY, SUBMITTED, returned, *over)
    told.when(publish, by=OFFICER, at=NOW).refused(Reason.WRONG_STATUS)
    told.when(publish, by=OFFICER, at=NOW + 9 * SECOND).then(decided)
    given(*READY, SUBMITTED, ProposalRecommended(proposal=P), AwardOffered(proposal=P), *over).when(
        publish, by=OFFICER
    ).then(decided)
    given(*READY, *over).when(publish, by=OFFICER).then(decided)


def test_an_award_is_public_once_the_results_of_its_call_are():
    accepted = AwardAccepted(proposal=P, published=False)
    awarded = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P), AwardOffered(proposal=P)]
    given(*awarded, CLOSED).when(AcceptAward(proposal=P), by=AIBEK).then(accepted)
    given(*awarded, CLOSED, accepted).when(PublishResults(call=CALL), by=OFFICER).then(
        AwardPublished(proposal=P), ResultsPublished(call=CALL)
    )
    # What is public already is not published again.
    public = AwardAccepted(proposal=P, published=True)
    given(*awarded, CLOSED, public).when(PublishResults(call=CALL), by=OFFICER).then(ResultsPublished(call=CALL))
    # What is accepted later is public at once.
    given(*awarded, CLOSED, ResultsPublished(call=CALL)).when(AcceptAward(proposal=P), by=AIBEK).then(
        AwardAccepted(proposal=P)
    )


def test_the_time_for_changes_is_moved_also_nearer():
    returned = ProposalReturned(proposal=P, reason="Budget", until=NOW + timedelta(days=170))
    given(*READY, SUBMITTED).when(
        ReturnProposal(proposal=P, reason="Budget", until=NOW + timedelta(days=200)), by=OFFICER
    ).refused(Reason.INVALID, "until")
    nearer = MoveDeadline(proposal=P, reason="It was a slip", until=NOW + timedelta(days=10))
    moved = DeadlineMoved(proposal=P, reason="It was a slip", until=nearer.until)
    told = given(*READY, SUBMITTED, returned)
    told.when(nearer, by=OFFICER).then(moved)
    told.when(nearer, by=ZARINA).refused(Reason.NOT_PERMITTED)
    told.when(msgspec.structs.replace(nearer, until=NOW - SECOND), by=OFFICER).refused(Reason.INVALID, "until")
    told.when(msgspec.structs.replace(nearer, until=returned.until), by=OFFICER).then()
    given(*READY, SUBMITTED).when(nearer, by=OFFICER).refused(Reason.WRONG_STATUS)
    over = [CLOSED, ResultsPublished(call=CALL)]
    given(*READY, SUBMITTED, returned, *over).when(nearer, by=OFFICER).refused(Reason.WRONG_STATUS)
    # It is the same version that is given back, and it may be declined once that time is over.
    decline, after = DeclineProposal(proposal=P, reason="No answer"), nearer.until + SECOND
    given(*READY, SUBMITTED, returned, CLOSED).when(decline, by=OFFICER, at=after).refused(Reason.WRONG_STATUS)
    given(*READY, SUBMITTED, returned, moved, CLOSED).when(decline, by=OFFICER, at=after).then(
        ProposalDeclined(proposal=P, reason="No answer")
    )


def test_that_the_time_for_changes_is_over_is_a_fact():
    after = CLOSES + timedelta(days=9)
    returned, passed = ProposalReturned(proposal=P, reason="Budget", until=after), DeadlinePassed(proposal=P)
    told = given(*READY, SUBMITTED, returned, CLOSED)
    told.when(PassDeadline(proposal=P), by=HUB, at=after - SECOND).then()
    told.when(PassDeadline(proposal=P), by=HUB, at=after).then(passed)
    told.when(PassDeadline(proposal=P), by=OFFICER, at=after).refused(Reason.NOT_PERMITTED)
    over = given(*READY, SUBMITTED, returned, CLOSED, passed)
    over.when(PassDeadline(proposal=P), by=HUB, at=after + SECOND).then()
    declined = ProposalDeclined(proposal=P, reason="No answer")
    over.when(DeclineProposal(proposal=P, reason="No answer"), by=OFFICER, at=after).then(declined)
    # What was submitted in time is waited for no more; a deadline that was moved begins anew.
    given(*READY, SUBMITTED, returned, msgspec.structs.replace(SUBMITTED, version=2)).when(
        PassDeadline(proposal=P), by=HUB, at=after
    ).refused(Reason.WRONG_STATUS)
    moved = DeadlineMoved(proposal=P, reason="A week more", until=after + timedelta(days=7))
    over.when(MoveDeadline(proposal=P, reason="A week more", until=moved.until), by=OFFICER, at=after).then(moved)
    given(*READY, SUBMITTED, returned, passed, moved).when(PassDeadline(proposal=P), by=HUB, at=after).then()
    row = None
    for event in (DRAFTED, SUBMITTED, returned, passed):
        row = fold(ProposalRow, row, event, NOW)
    assert (row.status, row.returned_until, row.status_reason) == ("returned", None, "Budget")


def test_nothing_is_decided_in_a_call_that_was_put_away():
    away = [RoundClosed(call=CALL), ResultsPublished(call=CALL), CallArchived(call=CALL)]
    steps = [EligibilityConfirmed(proposal=P), ProposalRecommended(proposal=P), AwardOffered(proposal=P)]
    for n, command in enumerate((ConfirmEligibility, RecommendProposal, OfferAward)):
        told = [*READY, SUBMITTED, *steps[:n]]
        given(*told, *away[:2]).when(command(proposal=P), by=OFFICER).then(steps[n])
        given(*told, *away).when(command(proposal=P), by=OFFICER).refused(Reason.WRONG_STATUS)


def test_an_award_is_accepted_or_refused_by_the_lead_organization_once_offered():
    recommended = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P)]
    offered = [*recommended, AwardOffered(proposal=P)]
    given(*offered).when(AcceptAward(proposal=P), by=AIBEK).then(AwardAccepted(proposal=P, published=False))
    given(*offered).when(RefuseAward(proposal=P, reason="Too small"), by=AIBEK).then(
        AwardRefused(proposal=P, reason="Too small")
    )
    given(*offered).when(AcceptAward(proposal=P), by=ZARINA).refused(Reason.NOT_PERMITTED)
    partner = OfficerAppointed(organization=BISHKEK, person=STRANGER)
    given(*offered, partner).when(AcceptAward(proposal=P), by=STRANGER).refused(Reason.NOT_PERMITTED)
    given(*recommended).when(AcceptAward(proposal=P), by=AIBEK).refused(Reason.WRONG_STATUS)
    given(*offered).when(DeclineProposal(proposal=P, reason="Changed our mind"), by=OFFICER).refused(
        Reason.WRONG_STATUS
    )


def test_an_offer_that_nobody_answers_is_taken_back_and_decided_anew():
    recommended = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P), CLOSED]
    offered = [*recommended, AwardOffered(proposal=P)]
    withdraw = WithdrawOffer(proposal=P, reason="Nobody has answered for a year")
    back = OfferWithdrawn(proposal=P, reason=withdraw.reason)
    # Also once the results are out: by then nobody has answered for longest.
    for published in ([], [ResultsPublished(call=CALL)], [ResultsPublished(call=CALL), CallArchived(call=CALL)]):
        given(*offered, *published).when(withdraw, by=OFFICER).then(back)
        decline = DeclineProposal(proposal=P, reason="It is given to others")
        given(*offered, *published).when(decline, by=OFFICER).refused(Reason.WRONG_STATUS)
        given(*offered, *published, back).when(decline, by=OFFICER).then(
            ProposalDeclined(proposal=P, reason=decline.reason)
        )
    given(*offered, back).when(AcceptAward(proposal=P), by=AIBEK).refused(Reason.WRONG_STATUS)
    given(*offered, back).when(OfferAward(proposal=P), by=OFFICER).then(AwardOffered(proposal=P))
    assert "WithdrawOffer" not in given(*recommended).may(OFFICER, P)
    given(*recommended).when(withdraw, by=OFFICER).refused(Reason.WRONG_STATUS)
    for other in (AIBEK, ZARINA, STRANGER):
        given(*offered).when(withdraw, by=other).refused(Reason.NOT_PERMITTED)
    answered = [*offered, AwardAccepted(proposal=P, published=False)]
    given(*answered).when(withdraw, by=OFFICER).refused(Reason.WRONG_STATUS)
    suspended = OrganizationSuspended(organization=DUSHANBE, reason="Under inquiry")
    given(*offered, suspended).when(withdraw, by=OFFICER).refused(Reason.WRONG_STATUS)
    row = None
    for event in (DRAFTED, AwardOffered(proposal=P), back):
        row = fold(ProposalRow, row, event, NOW)
    assert not row.offered


def test_nothing_is_offered_to_an_organization_that_cannot_answer_nor_left_open_there():
    recommended = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P), CLOSED]
    decline = DeclineProposal(proposal=P, reason="Nobody can accept it")
    for end in (OrganizationSuspended, OrganizationClosed):
        gone = end(organization=DUSHANBE, reason="Under inquiry")
        given(*recommended, gone).when(OfferAward(proposal=P), by=OFFICER).refused(Reason.WRONG_STATUS)
        offered = given(*recommended, AwardOffered(proposal=P), gone)
        if end is OrganizationClosed:
            assert offered.may(OFFICER, P)["DeclineProposal"] is None
            offered.when(decline, by=OFFICER).then(ProposalDeclined(proposal=P, reason=decline.reason))
        else:
            # It may be verified again: nobody takes back in the meantime what was offered.
            waits = offered.when(decline, by=OFFICER)
            waits.refused(Reason.WRONG_STATUS)
            assert "suspended" in str(waits.refusal)
    back = OrganizationVerified(organization=DUSHANBE)
    again = [*recommended, OrganizationSuspended(organization=DUSHANBE, reason="Under inquiry"), back]
    given(*again).when(OfferAward(proposal=P), by=OFFICER).then(AwardOffered(proposal=P))


def test_what_was_said_once_is_not_said_again_in_other_words():
    """A reason that somebody typed is recorded, or they hear that it is not."""
    decline = DeclinePartner(proposal=P, organization=BISHKEK, reason="No staff")
    asked = [*REGION, DRAFTED, INVITED]
    declined = PartnerDeclined(proposal=P, organization=BISHKEK, reason="No staff")
    assert "DeclinePartner" in given(*asked).may(AIBEK, P)
    given(*asked).when(decline, by=AIBEK).then(declined)
    given(*asked, declined).when(decline, by=AIBEK).refused(Reason.WRONG_STATUS, "organization")
    assert "DeclinePartner" not in given(*asked, declined).may(AIBEK, P)
    # Of an award that was offered, that is not offered once more, whatever became of its lead.
    offered = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P), CLOSED, AwardOffered(proposal=P)]
    for end in ([], [OrganizationSuspended(organization=DUSHANBE, reason="Under inquiry")]):
        assert "OfferAward" not in given(*offered, *end).may(OFFICER, P)


def test_what_is_offered_to_do_can_be_done_and_what_cannot_says_why():
    recommended = [*READY, LEAD_OFFICER, SUBMITTED, ProposalRecommended(proposal=P), CLOSED]
    assert given(*recommended).may(OFFICER, P)["DeclineProposal"] is None
    assert given(*recommended).may(AIBEK, P)["RefuseAward"] == Reason.WRONG_STATUS
    offered = [*recommended, AwardOffered(proposal=P)]
    assert given(*offered).may(OFFICER, P)["DeclineProposal"] == Reason.WRONG_STATUS
    assert given(*offered).may(AIBEK, P)["RefuseAward"] is None


def test_the_investigator_withdraws():
    withdraw = WithdrawProposal(proposal=P, reason="Moved away")
    for by in (ZARINA, HUB):
        given(*READY, SUBMITTED).when(withdraw, by=by).then(ProposalWithdrawn(proposal=P, reason="Moved away"))
    given(*READY, SUBMITTED).when(withdraw, by=AIBEK).refused(Reason.NOT_PERMITTED)
    # Who has left the lead organization ends nothing of it.
    left = AffiliationEnded(person=ZARINA, affiliation=AT_DUSHANBE, organization=DUSHANBE, until=date(2026, 8, 1))
    given(*READY, SUBMITTED, left).when(withdraw, by=ZARINA).refused(Reason.NOT_PERMITTED)
    assert given(*READY, SUBMITTED, left).may(ZARINA, P)["WithdrawProposal"] == Reason.NOT_PERMITTED
    office = OfficerAppointed(organization=DUSHANBE, person=ZARINA)
    given(*READY, SUBMITTED, left, office).when(withdraw, by=ZARINA).then(
        ProposalWithdrawn(proposal=P, reason="Moved away")
    )
    # So does whoever acts for the lead: it outlives the investigator.
    gone = PersonErased(person=ZARINA)
    given(*READY, SUBMITTED, LEAD_OFFICER, gone).when(withdraw, by=AIBEK).then(
        ProposalWithdrawn(proposal=P, reason="Moved away")
    )
    given(*READY, AwardAccepted(proposal=P)).when(withdraw, by=ZARINA, at=NOW).refused(Reason.WRONG_STATUS)


def test_what_was_submitted_again_is_due_no_more():
    row, returned = None, ProposalReturned(proposal=P, reason="Budget", until=CLOSES)
    for event in (DRAFTED, SUBMITTED, returned):
        row = fold(ProposalRow, row, event, NOW)
    assert (row.status, row.returned_until, row.version) == ("returned", CLOSES, 2)
    row = fold(ProposalRow, row, DeadlineMoved(proposal=P, reason="A slip", until=CLOSES + SECOND), NOW)
    assert (row.returned_until, row.status_reason, row.version) == (CLOSES + SECOND, "Budget", 2)
    row = fold(ProposalRow, row, msgspec.structs.replace(SUBMITTED, version=2), NOW)
    assert (row.status, row.returned_until, row.status_reason) == ("submitted", None, None)


def test_what_cannot_be_submitted_any_more_is_asked_of_nobody_from_the_moment_at_which_the_round_is_to_close():
    invite = InvitePartner(proposal=P, organization=BISHKEK, contribution="Data")
    told = given(*REGION, DRAFTED)
    assert told.when(invite, by=ZARINA, at=CLOSES - SECOND).refusal is None
    told.when(invite, by=ZARINA, at=CLOSES).refused(Reason.ROUND_NOT_OPEN)
    given(*REGION, DRAFTED, CLOSED).when(invite, by=ZARINA, at=CLOSES).refused(Reason.ROUND_NOT_OPEN)


@pytest.mark.parametrize(
    ("command", "before", "by"),
    [
        (SubmitProposal(proposal=P), [SUBMITTED], ZARINA),
        (ConfirmEligibility(proposal=P), [SUBMITTED, EligibilityConfirmed(proposal=P)], OFFICER),
        (RecommendProposal(proposal=P), [SUBMITTED, CLOSED, ProposalRecommended(proposal=P)], OFFICER),
    ],
)
def test_what_is_done_already_is_done_again_by_whoever_may_and_changes_nothing(command, before, by):
    given(*READY, *before).when(command, by=by).then()
    given(*READY, *before).when(command, by=STRANGER).refused(Reason.NOT_PERMITTED)


@pytest.mark.parametrize(
    ("command", "before", "by"),
    [
        (DeclineProposal(proposal=P, reason="Weak"), [SUBMITTED, ProposalDeclined(proposal=P, reason="-")], OFFICER),
        (DeclineProposal(proposal=P, reason="Weak"), [SUBMITTED, AwardRefused(proposal=P, reason="-")], OFFICER),
        (WithdrawProposal(proposal=P, reason="Moved"), [ProposalWithdrawn(proposal=P, reason="-")], ZARINA),
    ],
)
def test_a_reason_that_comes_too_late_is_refused_and_not_dropped(command, before, by):
    given(*READY, *before).when(command, by=by).refused(Reason.WRONG_STATUS)
