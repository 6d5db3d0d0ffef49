"""Who may give each command, and who reads each row: in full, so that no change of either goes unseen."""

import pytest

from domain.core import HubRole, Role, every_command
from domain.organizations.events import SignatoryAuthorized
from domain.people.events import AccessGiven, NoticesChosen, RoleGranted, RoleProposed
from domain.proposals.events import AwardAccepted, AwardPublished, PartnerDeclined, PartnerUninvited, ProposalReturned
from projections.core import PUBLIC, every_row, fold, office
from tests.region import AIBEK, AT_DUSHANBE, BISHKEK, CALL, CLOSES, DRAFTED_CALL, DUSHANBE, OFFICER, REGION, ZARINA
from tests.stories import NOW
from tests.test_proposals import ASSESSED, CONFIRMED, DRAFTED, INVITED, SUBMITTED, P

R = Role
CENTER, OWN = {R.CENTER_OFFICER}, {R.SELF}
FROM_OUTSIDE = {R.CENTER_OFFICER, R.AUTHORITY}
MAY = {
    "RegisterOrganization": {R.ANYONE, R.CENTER_OFFICER},
    "ImportOrganization": {R.HUB},
    "VerifyOrganization": FROM_OUTSIDE,
    "AmendOrganization": FROM_OUTSIDE,
    "SuspendOrganization": FROM_OUTSIDE,
    "CloseOrganization": FROM_OUTSIDE,
    "AppointOfficer": {R.CENTER_OFFICER, R.OFFICER},
    "DismissOfficer": {R.CENTER_OFFICER, R.OFFICER},
    "AuthorizeSignatory": {R.OFFICER},
    "RevokeSignatory": {R.CENTER_OFFICER, R.OFFICER},
    "InvitePerson": {R.ANYONE, R.CENTER_OFFICER},
    "JoinHub": OWN,
    "CorrectName": OWN,
    "LinkOrcid": OWN,
    "UnlinkOrcid": OWN,
    "ChooseNotices": OWN,
    "DeclareAffiliation": OWN,
    "ConfirmAffiliation": {R.OFFICER},
    "EndAffiliation": {R.SELF, R.OFFICER},
    "RefuseAffiliation": {R.OFFICER},
    "GrantRole": CENTER,
    "RevokeRole": CENTER,
    "ErasePerson": {R.SELF, R.CENTER_OFFICER},
    "DraftCall": CENTER,
    "AmendCall": {R.CALL_OFFICER},
    "AppointCallOfficer": {R.CALL_OFFICER, R.CENTER_OFFICER},
    "DismissCallOfficer": {R.CALL_OFFICER},
    "PublishCall": {R.CALL_OFFICER},
    "OpenRound": {R.CALL_OFFICER, R.HUB},
    "CloseRound": {R.HUB},
    "ReopenRound": {R.CALL_OFFICER},
    "PublishResults": {R.CALL_OFFICER},
    "ArchiveCall": {R.CALL_OFFICER},
    "DraftProposal": {R.ANYONE},
    "ReviseProposal": {R.AUTHOR},
    "AssessRisk": {R.AUTHOR},
    "InvitePartner": {R.AUTHOR, R.LEAD_OFFICER},
    "UninvitePartner": {R.AUTHOR, R.LEAD_OFFICER},
    "ConfirmPartner": {R.PARTNER_OFFICER},
    "DeclinePartner": {R.PARTNER_OFFICER},
    "SubmitProposal": {R.AUTHOR},
    "ReturnProposal": {R.CALL_OFFICER},
    "MoveDeadline": {R.CALL_OFFICER},
    "PassDeadline": {R.HUB},
    "ConfirmEligibility": {R.CALL_OFFICER},
    "FindIneligible": {R.CALL_OFFICER},
    "RecommendProposal": {R.CALL_OFFICER},
    "WithdrawOffer": {R.CALL_OFFICER},
    "OfferAward": {R.CALL_OFFICER},
    "DeclineProposal": {R.CALL_OFFICER},
    "AcceptAward": {R.LEAD_OFFICER},
    "RefuseAward": {R.LEAD_OFFICER},
    "WithdrawProposal": {R.AUTHOR, R.LEAD_OFFICER},
    "GiveAccess": {R.HUB},
    "EndAccess": {R.HUB},
    "SealReadModels": {R.HUB},
}


def test_who_may_give_each_command():
    own = [each for each in every_command() if each.__module__.startswith("domain.")]
    assert {each.__name__: {*each.by} for each in own} == MAY


def rows(*events):
    """What the read models make of these events."""
    made = {}
    for event in events:
        for cls in every_row():
            if type(event) in cls.folds:
                table, key = cls.keyed()(event)
                before = made.get((table, key))
                after = fold(cls, before, event, NOW)
                made = {k: v for k, v in made.items() if k != (table, key)} | ({(table, key): after} if after else {})
    return made


CENTRAL, PROPOSAL = "center", {ZARINA, office(DUSHANBE)}
RETURNED = ProposalReturned(proposal=P, reason="Budget", until=CLOSES)
DECLINED = PartnerDeclined(proposal=P, organization=BISHKEK, reason="No staff")
ASKED = [DRAFTED, ASSESSED, INVITED]
READS = [
    ([], "organization", (DUSHANBE,), {PUBLIC}),
    ([], "officer", (BISHKEK, AIBEK), {CENTRAL, AIBEK, office(BISHKEK)}),
    ([], "tie", (BISHKEK, AIBEK), {CENTRAL, AIBEK, office(BISHKEK)}),
    (
        [SignatoryAuthorized(organization=BISHKEK, person=ZARINA)],
        "signatory",
        (BISHKEK, ZARINA),
        {CENTRAL, ZARINA, office(BISHKEK)},
    ),
    ([], "person", (ZARINA,), {CENTRAL, ZARINA, office(DUSHANBE)}),
    ([], "person", (AIBEK,), {CENTRAL, AIBEK}),
    ([], "affiliation", (AT_DUSHANBE,), {CENTRAL, ZARINA, office(DUSHANBE)}),
    ([], "role", (OFFICER, "center_officer", ""), {CENTRAL, OFFICER}),
    ([RoleGranted(person=AIBEK, role=HubRole.AUDITOR)], "role", (AIBEK, "auditor", ""), {CENTRAL, AIBEK}),
    (
        [RoleProposed(person=AIBEK, role=HubRole.AUDITOR, by=OFFICER)],
        "role_proposal",
        (AIBEK, "auditor", ""),
        {CENTRAL, AIBEK},
    ),
    ([NoticesChosen(person=ZARINA, mailed=False, language="tg")], "choice", (ZARINA,), {ZARINA}),
    ([AccessGiven(person=ZARINA, way="link", until=CLOSES)], "access", (ZARINA,), {CENTRAL, ZARINA}),
    ([], "call", (CALL,), {PUBLIC, office(CALL)}),
    ([DRAFTED], "proposal", (P,), PROPOSAL),
    (ASKED, "proposal", (P,), {*PROPOSAL, office(BISHKEK)}),
    ([*ASKED, DECLINED], "proposal", (P,), {*PROPOSAL, office(BISHKEK)}),
    ([*ASKED, PartnerUninvited(proposal=P, organization=BISHKEK)], "proposal", (P,), PROPOSAL),
    ([*ASKED, CONFIRMED, SUBMITTED], "proposal", (P,), {*PROPOSAL, office(BISHKEK), office(CALL)}),
    ([*ASKED, CONFIRMED, SUBMITTED, RETURNED], "proposal", (P,), {*PROPOSAL, office(BISHKEK), office(CALL)}),
    (
        [*ASKED, CONFIRMED, SUBMITTED, AwardAccepted(proposal=P, published=False)],
        "proposal",
        (P,),
        {*PROPOSAL, office(BISHKEK), office(CALL)},
    ),
    (
        [*ASKED, CONFIRMED, SUBMITTED, AwardAccepted(proposal=P, published=False), AwardPublished(proposal=P)],
        "proposal",
        (P,),
        {*PROPOSAL, office(BISHKEK), office(CALL), PUBLIC},
    ),
    (
        [*ASKED, CONFIRMED, SUBMITTED, AwardAccepted(proposal=P)],
        "proposal",
        (P,),
        {*PROPOSAL, office(BISHKEK), office(CALL), PUBLIC},
    ),
]


def test_who_reads_is_said_of_every_row_that_has_readers_of_its_own():
    own = {row.table for row in every_row() if row.within is None and row.table not in ("entry", "seal")}
    assert {table for _, table, _, _ in READS} == own


@pytest.mark.parametrize(("events", "table", "key", "readers"), READS)
def test_who_reads_each_row(events, table, key, readers):
    assert {*rows(*REGION, *events)[table, key].readers} == readers


def test_a_draft_call_is_read_by_its_own_office_alone():
    assert {*rows(DRAFTED_CALL)["call", (CALL,)].readers} == {office(CALL)}
