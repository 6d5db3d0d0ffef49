"""Stories of people: one per e-mail and ORCID iD, affiliations, roles, erasure."""

from datetime import date, timedelta

import msgspec
import pytest

from domain.core import HUB, HubRole, Reason, orcid_is_valid
from domain.erasure import ErasePerson
from domain.organizations.events import (
    OfficerAppointed,
    OfficerDismissed,
    OrganizationClosed,
    SignatoryAuthorized,
    SignatoryRevoked,
)
from domain.people.access import EndAccess, GiveAccess
from domain.people.affiliations import ConfirmAffiliation, DeclareAffiliation, EndAffiliation, RefuseAffiliation
from domain.people.commands import (
    ChooseNotices,
    CorrectName,
    GrantRole,
    InvitePerson,
    JoinHub,
    LinkOrcid,
    RevokeRole,
    UnlinkOrcid,
)
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
from domain.people.state import Person
from projections.core import AUDITORS, CENTER, fold, office
from projections.history import entry
from projections.people import AccessRow, AffiliationRow, PersonRow
from tests.region import AIBEK, BISHKEK, DUSHANBE, KHUJAND, OFFICER, PEOPLE, REGION, STRANGER, ZARINA, joined
from tests.stories import NOW, StoryModel, given, id_, sealed

NEW = id_("person", 101)
DAY = timedelta(days=1)
AFFILIATION = id_("affiliation", 7)
DECLARED = AffiliationDeclared(
    person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, position="Lecturer", since=date(2024, 1, 1)
)
ORCID = "0000-0002-1825-0097"
LINKED = OrcidLinked(person=ZARINA, orcid=sealed(ORCID), orcid_alias=f"of-{ORCID}")


def test_a_person_is_invited_and_only_sealed_values_stand_in_the_event():
    given(*PEOPLE).when(InvitePerson(name="  Gulnora  S. ", email="G@Example.org "), by=ZARINA).then(
        PersonInvited(
            person=NEW, name=sealed("Gulnora S."), email=sealed("G@Example.org"), email_alias="of-g@example.org"
        )
    )


def test_everybody_says_how_their_own_name_is_written():
    """Whoever invited them may have typed another one."""
    correct = CorrectName(person=ZARINA, name="  Зарина   Каримова ")
    given(*PEOPLE).when(correct, by=ZARINA).then(NameCorrected(person=ZARINA, name=sealed("Зарина Каримова")))
    given(*PEOPLE).when(correct, by=OFFICER).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, PersonErased(person=ZARINA)).when(correct, by=ZARINA).refused(Reason.NOT_PERMITTED)


def test_one_person_per_email():
    again = InvitePerson(name="Zarina", email="ZARINA@example.org")
    given(*PEOPLE).when(again, by=AIBEK).refused(Reason.ALREADY_TAKEN, "email")
    wide = InvitePerson(name="Zarina", email="zarina@ｅxample.org")
    given(*PEOPLE).when(wide, by=AIBEK).refused(Reason.ALREADY_TAKEN, "email")


def test_who_has_not_joined_invites_nobody():
    given(PEOPLE[0]).when(InvitePerson(name="Anna", email="a@b.org"), by=OFFICER).refused(Reason.NOT_PERMITTED)


def test_joining_is_for_oneself_and_twice_is_harmless():
    given(PEOPLE[0]).when(JoinHub(person=OFFICER), by=OFFICER).then(PersonJoined(person=OFFICER))
    given(*PEOPLE).when(JoinHub(person=OFFICER), by=OFFICER).then()
    given(*PEOPLE).when(JoinHub(person=OFFICER), by=ZARINA).refused(Reason.NOT_PERMITTED)


def test_everybody_chooses_for_themselves_what_is_mailed_to_them():
    chosen = NoticesChosen(person=ZARINA, mailed=False, language="tg")
    choose = ChooseNotices(person=ZARINA, mailed=False, language="tg")
    given(*PEOPLE).when(choose, by=ZARINA).then(chosen)
    given(*PEOPLE, chosen).when(choose, by=ZARINA).then()
    given(*PEOPLE, chosen).when(msgspec.structs.replace(choose, mailed=True), by=ZARINA).then(
        msgspec.structs.replace(chosen, mailed=True)
    )
    given(*PEOPLE).when(ChooseNotices(person=ZARINA, mailed=True, language="en"), by=ZARINA).then()
    given(*PEOPLE).when(choose, by=AIBEK).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, PersonErased(person=ZARINA)).when(choose, by=ZARINA).refused(Reason.NOT_PERMITTED)


def test_orcid_is_linked_once_and_to_one_person():
    given(*PEOPLE).when(LinkOrcid(person=ZARINA, orcid=f"https://orcid.org/{ORCID}"), by=ZARINA).then(LINKED)
    given(*PEOPLE, LINKED).when(LinkOrcid(person=ZARINA, orcid=ORCID), by=ZARINA).then()
    given(*PEOPLE, LINKED).when(LinkOrcid(person=AIBEK, orcid=ORCID), by=AIBEK).refused(Reason.ALREADY_TAKEN, "orcid")


@pytest.mark.parametrize("orcid", ["", "0000-0002-1825-0098", "0000000218250097", "٠٠٠٠-0002-1825-0097", "x" * 40])
def test_what_is_no_orcid_is_refused(orcid):
    assert not orcid_is_valid(orcid)
    given(*PEOPLE).when(LinkOrcid(person=ZARINA, orcid=orcid), by=ZARINA).refused(Reason.INVALID, "orcid")


def test_an_orcid_may_end_in_x():
    assert orcid_is_valid("0000-0002-1694-233X")


def test_an_affiliation_is_declared_confirmed_and_ended():
    declare = DeclareAffiliation(person=ZARINA, organization=BISHKEK, position="Lecturer", since=date(2024, 1, 1))
    new = AffiliationDeclared(
        person=ZARINA,
        affiliation=id_("affiliation", 101),
        organization=BISHKEK,
        position="Lecturer",
        since=date(2024, 1, 1),
    )
    given(*REGION).when(declare, by=ZARINA).then(new)
    given(*REGION, DECLARED).when(declare, by=ZARINA).then()
    confirm = ConfirmAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    given(*REGION, DECLARED).when(confirm, by=AIBEK).then(confirmed)
    end = EndAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=date(2026, 1, 1))
    ended = AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=date(2026, 1, 1))
    given(*REGION, DECLARED).when(end, by=ZARINA).then(ended)
    given(*REGION, DECLARED, confirmed).when(end, by=AIBEK).then(ended)
    given(*REGION, DECLARED, ended).when(end, by=ZARINA).then()
    # What it was never asked to confirm any more, it neither confirms nor moves: who that is, is not for it to know.
    moved = msgspec.structs.replace(end, until=date(2026, 2, 1))
    given(*REGION, DECLARED, ended).when(moved, by=ZARINA).refused(Reason.WRONG_STATUS, "affiliation")
    for command in (confirm, moved):
        given(*REGION, DECLARED, ended).when(command, by=AIBEK).refused(Reason.NOT_PERMITTED)
        erased = [*REGION, DECLARED, ended, PersonErased(person=ZARINA)]
        given(*erased).when(command, by=AIBEK).refused(Reason.NOT_PERMITTED)
    # Where they are it may be tomorrow already.
    tomorrow = msgspec.structs.replace(end, until=NOW.date() + DAY)
    given(*REGION, DECLARED).when(tomorrow, by=ZARINA).then(msgspec.structs.replace(ended, until=NOW.date() + DAY))
    later = msgspec.structs.replace(end, until=NOW.date() + 2 * DAY)
    given(*REGION, DECLARED).when(later, by=ZARINA).refused(Reason.INVALID, "until")
    # Nor was it over long ago, for whoever is asked to judge where they said that they work.
    given(*REGION, DECLARED).when(msgspec.structs.replace(end, until=NOW.date() - 400 * DAY), by=ZARINA).refused(
        Reason.INVALID, "until"
    )
    # Also one that had ended already as it was said is taken back.
    long_past = msgspec.structs.replace(DECLARED, until=date(2024, 6, 1))
    taken_back = msgspec.structs.replace(end, until=date(2024, 6, 1))
    given(*REGION, long_past).when(taken_back, by=ZARINA).then(msgspec.structs.replace(ended, until=date(2024, 6, 1)))
    past = msgspec.structs.replace(DECLARED, until=date(2026, 1, 1))
    given(*REGION, past).when(confirm, by=AIBEK).then(confirmed)
    given(*REGION, past).when(end, by=ZARINA).then(ended)
    # What lasts until today has not ended: whoever says that it ended before is heard.
    until_today = msgspec.structs.replace(DECLARED, until=NOW.date())
    given(*REGION, until_today).when(msgspec.structs.replace(end, until=NOW.date() - DAY), by=ZARINA).then(
        msgspec.structs.replace(ended, until=NOW.date() - DAY)
    )
    # What was taken back may be said anew at once.
    withdrawn = AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=NOW.date())
    given(*REGION, DECLARED, withdrawn).when(declare, by=ZARINA).then(new)
    # Another post at the same place is begun when the one before has ended, and not lost without a word.
    dean = msgspec.structs.replace(declare, position="Dean", since=date(2025, 1, 1))
    given(*REGION, DECLARED).when(dean, by=ZARINA).refused(Reason.ALREADY_TAKEN, "organization")
    professor = msgspec.structs.replace(declare, position="Professor")
    given(*REGION, DECLARED).when(professor, by=ZARINA).refused(Reason.ALREADY_TAKEN, "organization")
    given(*REGION, DECLARED, ended).when(dean, by=ZARINA).then(
        msgspec.structs.replace(new, position="Dean", since=date(2025, 1, 1))
    )
    # Also the day after one that lasts until then.
    until = NOW.date() + 30 * DAY
    lasting = [*REGION, DECLARED, confirmed, msgspec.structs.replace(ended, until=until)]
    promoted = msgspec.structs.replace(dean, since=until + DAY)
    given(*lasting).when(promoted, by=ZARINA).then(msgspec.structs.replace(new, position="Dean", since=until + DAY))
    given(*lasting).when(msgspec.structs.replace(dean, since=until), by=ZARINA).refused(
        Reason.ALREADY_TAKEN, "organization"
    )


def test_what_was_said_of_a_year_to_come_is_taken_back_before_it_begins():
    ahead = msgspec.structs.replace(DECLARED, since=NOW.date() + 300 * DAY)
    end = EndAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=NOW.date())
    ended = AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=ahead.since)
    for by in (ZARINA, AIBEK):
        given(*REGION, ahead).when(end, by=by).then(ended)
    given(*REGION, ahead, ended).when(end, by=ZARINA).then()
    later = msgspec.structs.replace(end, until=ahead.since + DAY)
    given(*REGION, ahead).when(later, by=ZARINA).refused(Reason.INVALID, "until")
    declare = DeclareAffiliation(person=ZARINA, organization=BISHKEK, position="Lecturer", since=date(2026, 1, 1))
    assert given(*REGION, ahead, ended).when(declare, by=ZARINA).refusal is None
    # What was confirmed has been: it ends no sooner than it begins.
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    given(*REGION, ahead, confirmed).when(end, by=ZARINA).refused(Reason.INVALID, "until")


def test_what_is_confirmed_after_it_ended_is_not_withdrawn():
    """An older log may hold that."""
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    ended = AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=NOW.date() + DAY)
    worked = [*REGION, DECLARED, ended, confirmed]
    assert StoryModel(worked).get(Person, ZARINA).works_at(BISHKEK, NOW.date())
    row = None
    for event in (DECLARED, ended, confirmed):
        row = fold(AffiliationRow, row, event, NOW)
    assert (row.confirmed, row.withdrawn) == (True, False)


def test_an_organization_says_that_somebody_does_not_work_there():
    refuse = RefuseAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    refused = AffiliationRefused(
        person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=max(NOW.date(), DECLARED.since)
    )
    officer = OfficerAppointed(organization=BISHKEK, person=AIBEK)
    said = [*REGION, officer, DECLARED]
    given(*said).when(refuse, by=AIBEK).then(refused)
    # Whom it has refused it does not know any more.
    given(*said, refused).when(refuse, by=AIBEK).refused(Reason.NOT_PERMITTED)
    # What ended before it was answered keeps its end.
    past = msgspec.structs.replace(DECLARED, until=date(2025, 3, 1))
    given(*REGION, officer, past).when(refuse, by=AIBEK).then(msgspec.structs.replace(refused, until=past.until))
    # Nobody else refuses it, nor what is confirmed or is another organization's.
    for other in (ZARINA, OFFICER, STRANGER):
        given(*said).when(refuse, by=other).refused(Reason.NOT_PERMITTED)
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    given(*said, confirmed).when(refuse, by=AIBEK).refused(Reason.WRONG_STATUS, "affiliation")
    theirs = OfficerAppointed(organization=DUSHANBE, person=AIBEK)
    wrong = msgspec.structs.replace(refuse, organization=DUSHANBE)
    given(*said, theirs).when(wrong, by=AIBEK).refused(Reason.NOT_FOUND, "affiliation")
    own = OfficerAppointed(organization=BISHKEK, person=ZARINA)
    given(*said, own).when(refuse, by=ZARINA).refused(Reason.OWN_ORGANIZATION)
    # Who was refused works there no more, may say so anew, and nobody confirms what was refused.
    confirm = ConfirmAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    given(*said, refused).when(confirm, by=AIBEK).refused(Reason.NOT_PERMITTED)
    twice = msgspec.structs.replace(DECLARED, affiliation=id_("affiliation", 2))
    given(*said, refused, twice).when(confirm, by=AIBEK).refused(Reason.WRONG_STATUS, "affiliation")
    given(*said, refused, twice).when(refuse, by=AIBEK).then()
    assert not StoryModel([*said, refused]).get(Person, ZARINA).works_at(BISHKEK, NOW.date() + 2 * DAY)
    again = DeclareAffiliation(person=ZARINA, organization=BISHKEK, position="Lecturer", since=NOW.date() + DAY)
    assert given(*said, refused).when(again, by=ZARINA).refusal is None
    row = None
    for event in (DECLARED, refused):
        row = fold(AffiliationRow, row, event, NOW)
    assert (row.confirmed, row.withdrawn, row.refused, row.until) == (False, True, True, refused.until)


def test_nobody_begins_to_work_at_an_organization_that_is_closed():
    closed = [*REGION, OrganizationClosed(organization=BISHKEK, reason="Merged")]
    declare = DeclareAffiliation(person=ZARINA, organization=BISHKEK, position="Dean", since=date(2024, 1, 1))
    given(*closed).when(declare, by=ZARINA).refused(Reason.WRONG_STATUS, "until")
    given(*closed).when(msgspec.structs.replace(declare, until=NOW.date() + DAY), by=ZARINA).refused(
        Reason.WRONG_STATUS, "until"
    )
    past = msgspec.structs.replace(declare, until=date(2025, 1, 1))
    assert given(*closed).when(past, by=ZARINA).refusal is None


def test_the_center_is_never_left_without_an_officer_by_its_own_hand():
    revoke = RevokeRole(person=OFFICER, role=HubRole.CENTER_OFFICER)
    given(*PEOPLE).when(revoke, by=OFFICER).refused(Reason.NOT_PERMITTED, "person")
    given(*PEOPLE).when(revoke, by=HUB).then(RoleRevoked(person=OFFICER, role=HubRole.CENTER_OFFICER))
    erase = ErasePerson(person=OFFICER)
    given(*PEOPLE).when(erase, by=OFFICER).refused(Reason.NOT_PERMITTED)
    revoked = RoleRevoked(person=OFFICER, role=HubRole.CENTER_OFFICER)
    given(*PEOPLE, revoked).when(erase, by=OFFICER).then(PersonErased(person=OFFICER))
    given(*PEOPLE).when(erase, by=HUB).then(revoked, PersonErased(person=OFFICER))
    auditor = RevokeRole(person=OFFICER, role=HubRole.AUDITOR)
    granted = RoleGranted(person=OFFICER, role=HubRole.AUDITOR)
    given(*PEOPLE, granted).when(auditor, by=OFFICER).then(
        RoleRevoked(person=OFFICER, role=HubRole.AUDITOR, by=OFFICER)
    )


def test_what_an_organization_confirmed_its_person_does_not_rewrite():
    """Conflicts of interest rest on it, and who may submit in its name."""
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)

    def end(until):
        return EndAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=until)

    def ended(until):
        return AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=until)

    today, worked = NOW.date(), [*REGION, DECLARED, confirmed]
    # Where they are it may be another day than here.
    for until in (today - DAY, today, today + DAY):
        given(*worked).when(end(until), by=ZARINA).then(ended(until))
    for until in (date(2024, 1, 1), today - 2 * DAY):
        given(*worked).when(end(until), by=ZARINA).refused(Reason.OWN_ORGANIZATION, "until")
    # Nor does the organization undo it long after: who judged, or may not, rests on it.
    given(*worked).when(end(today - DAY), by=AIBEK).then(ended(today - DAY))
    given(*worked).when(end(today - 400 * DAY), by=AIBEK).refused(Reason.INVALID, "until")
    # What the organization ended has ended.
    for until in (date(2024, 1, 1), today, date(2099, 1, 1)):
        given(*worked, ended(today - DAY)).when(end(until), by=ZARINA).refused(Reason.OWN_ORGANIZATION, "until")
    given(*worked, ended(today + DAY)).when(end(today + 2 * DAY), by=ZARINA).refused(Reason.OWN_ORGANIZATION, "until")
    given(*worked, ended(today + DAY)).when(end(today), by=ZARINA).then(ended(today))
    # Nor is what has ended made to last: whoever works there still says so, and nobody else for them.
    for until in (today - DAY, today, today + DAY, date(2099, 1, 1)):
        given(*worked, ended(today - 2 * DAY)).when(end(until), by=AIBEK).refused(Reason.INVALID, "until")
    given(*worked, ended(today - DAY)).when(end(today - 2 * DAY), by=AIBEK).then(ended(today - 2 * DAY))
    given(*worked, ended(today)).when(end(today + DAY), by=AIBEK).then(ended(today + DAY))
    long_past = msgspec.structs.replace(DECLARED, until=date(2024, 6, 1))
    given(*REGION, long_past, confirmed).when(end(today), by=AIBEK).refused(Reason.INVALID, "until")
    # What was never confirmed is taken back as it was said, whatever day is given.
    for by in (AIBEK, ZARINA):
        for until in (today, date(2024, 5, 1), date(2024, 6, 1)):
            given(*REGION, long_past).when(end(until), by=by).then(ended(date(2024, 6, 1)))
    # Nor does an officer end it for themselves.
    office = OfficerAppointed(organization=BISHKEK, person=ZARINA)
    given(*worked, office).when(end(today - 2 * DAY), by=ZARINA).refused(Reason.OWN_ORGANIZATION, "until")


def test_an_affiliation_is_refused_backwards_unknown_and_from_strangers():
    backwards = DeclareAffiliation(
        person=ZARINA, organization=BISHKEK, position="Dean", since=date(2024, 1, 1), until=date(2023, 1, 1)
    )
    given(*REGION).when(backwards, by=ZARINA).refused(Reason.INVALID, "until")
    slip = DeclareAffiliation(person=ZARINA, organization=BISHKEK, position="Dean", since=date(2199, 1, 1))
    given(*REGION).when(slip, by=ZARINA).refused(Reason.INVALID, "since")
    nowhere = DeclareAffiliation(
        person=ZARINA, organization=id_("organization", 99), position="Dean", since=date(2024, 1, 1)
    )
    given(*REGION).when(nowhere, by=ZARINA).refused(Reason.NOT_FOUND, "organization")
    malformed = DeclareAffiliation(person=ZARINA, organization="Bishkek", position="Dean", since=date(2024, 1, 1))
    given(*REGION).when(malformed, by=ZARINA).refused(Reason.INVALID, "organization")
    confirm = ConfirmAffiliation(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    given(*REGION, DECLARED).when(confirm, by=STRANGER).refused(Reason.NOT_PERMITTED)
    given(*REGION, DECLARED).when(confirm, by=ZARINA).refused(Reason.NOT_PERMITTED)


def test_an_office_elsewhere_confirms_and_ends_nothing():
    at_dushanbe = AffiliationDeclared(
        person=STRANGER, affiliation=AFFILIATION, organization=DUSHANBE, position="Dean", since=date(2024, 1, 1)
    )
    at_bishkek = msgspec.structs.replace(at_dushanbe, affiliation=id_("affiliation", 8), organization=BISHKEK)
    named = [*REGION, at_dushanbe, at_bishkek]
    confirm = ConfirmAffiliation(person=STRANGER, affiliation=AFFILIATION, organization=DUSHANBE)
    given(*named).when(confirm, by=AIBEK).refused(Reason.NOT_PERMITTED, "organization")
    end = EndAffiliation(person=STRANGER, affiliation=AFFILIATION, organization=DUSHANBE, until=date(2025, 1, 1))
    given(*named).when(end, by=AIBEK).refused(Reason.NOT_PERMITTED, "organization")
    borrowed = msgspec.structs.replace(confirm, organization=BISHKEK)
    given(*named).when(borrowed, by=AIBEK).refused(Reason.NOT_FOUND, "affiliation")
    borrowed = msgspec.structs.replace(end, organization=BISHKEK)
    given(*named).when(borrowed, by=AIBEK).refused(Reason.NOT_FOUND, "affiliation")


def test_roles_come_from_two_officers_of_the_center():
    """One account that an officer of the Center made, and another one that it lets in, are not two officers."""
    grant = GrantRole(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ")
    granted = RoleGranted(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ")
    proposed = RoleProposed(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ", by=OFFICER)
    agreed = RoleAgreed(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ")
    given(*PEOPLE).when(grant, by=OFFICER).then(proposed)
    given(*PEOPLE).when(grant, by=ZARINA).refused(Reason.NOT_PERMITTED)
    second = RoleGranted(person=AIBEK, role=HubRole.CENTER_OFFICER)
    waiting = [*PEOPLE, second, proposed]
    given(*waiting).when(grant, by=OFFICER).then()
    given(*waiting).when(grant, by=AIBEK).then(agreed, granted)
    given(*waiting, agreed, granted).when(grant, by=AIBEK).then()
    # Of another role, or another country, nothing was proposed.
    other = msgspec.structs.replace(grant, country="KG")
    given(*waiting).when(other, by=AIBEK).then(msgspec.structs.replace(proposed, country="KG", by=AIBEK))
    # What was agreed to, and taken back since, waits for nobody.
    revoked = RoleRevoked(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ")
    given(*waiting, agreed, granted, revoked).when(grant, by=AIBEK).then(msgspec.structs.replace(proposed, by=AIBEK))
    # Whoever runs the hub begins the Center, and is the second one where it has one officer.
    given(*PEOPLE).when(grant, by=HUB).then(granted)
    given(*PEOPLE, proposed).when(grant, by=HUB).then(agreed, granted)
    # An auditor reads everything: nobody makes themselves one, also where somebody else proposed it.
    own = GrantRole(person=OFFICER, role=HubRole.AUDITOR)
    given(*PEOPLE).when(own, by=OFFICER).refused(Reason.NOT_PERMITTED, "person")
    asked = RoleProposed(person=OFFICER, role=HubRole.AUDITOR, by=AIBEK)
    given(*PEOPLE, second, asked).when(own, by=OFFICER).refused(Reason.NOT_PERMITTED, "person")
    given(*PEOPLE).when(GrantRole(person=OFFICER, role=HubRole.CENTER_OFFICER), by=OFFICER).then()
    given(*PEOPLE).when(GrantRole(person=ZARINA, role=HubRole.AUDITOR, country="TJ"), by=OFFICER).refused(
        Reason.INVALID, "country"
    )
    revoke = RevokeRole(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ")
    given(*PEOPLE, granted).when(revoke, by=OFFICER).then(
        RoleRevoked(person=ZARINA, role=HubRole.NATIONAL_AUTHORITY, country="TJ", by=OFFICER)
    )
    given(*PEOPLE).when(revoke, by=OFFICER).then()


def test_who_proposed_a_role_counts_while_they_are_of_the_center():
    grant = GrantRole(person=ZARINA, role=HubRole.AUDITOR)
    second = RoleGranted(person=AIBEK, role=HubRole.CENTER_OFFICER)
    proposed = RoleProposed(person=ZARINA, role=HubRole.AUDITOR, by=AIBEK)
    anew = RoleProposed(person=ZARINA, role=HubRole.AUDITOR, by=OFFICER)
    let_go = RoleRevoked(person=AIBEK, role=HubRole.CENTER_OFFICER)
    for gone in ([let_go], [let_go, PersonErased(person=AIBEK)]):
        given(*PEOPLE, second, proposed, *gone).when(grant, by=OFFICER).then(anew)


def test_a_proposed_role_is_taken_back_by_the_center():
    proposed = RoleProposed(person=ZARINA, role=HubRole.AUDITOR, by=OFFICER)
    withdrawn = RoleProposalWithdrawn(person=ZARINA, role=HubRole.AUDITOR)
    revoke = RevokeRole(person=ZARINA, role=HubRole.AUDITOR)
    given(*PEOPLE, proposed).when(revoke, by=OFFICER).then(withdrawn)
    given(*PEOPLE, proposed).when(revoke, by=ZARINA).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, proposed, withdrawn).when(revoke, by=OFFICER).then()
    given(*PEOPLE, proposed).when(ErasePerson(person=ZARINA), by=ZARINA).then(withdrawn, PersonErased(person=ZARINA))


def test_who_is_erased_is_given_nothing_and_has_nothing():
    gone = [*PEOPLE, RoleGranted(person=ZARINA, role=HubRole.AUDITOR), PersonErased(person=ZARINA)]
    given(*gone).when(GrantRole(person=ZARINA, role=HubRole.AUDITOR), by=OFFICER).refused(Reason.WRONG_STATUS)
    assert StoryModel(gone).get(Person, ZARINA).hub_roles == frozenset()


def test_another_orcid_takes_the_place_of_the_first_which_its_owner_may_link_then():
    other = "0000-0001-5109-3700"
    relinked = OrcidLinked(person=ZARINA, orcid=sealed(other), orcid_alias=f"of-{other}")
    unlinked = OrcidUnlinked(person=ZARINA, orcid_alias=f"of-{ORCID}")
    given(*PEOPLE, LINKED).when(LinkOrcid(person=ZARINA, orcid=other), by=ZARINA).then(unlinked, relinked)
    mine = LinkOrcid(person=AIBEK, orcid=ORCID)
    owned = OrcidLinked(person=AIBEK, orcid=sealed(ORCID), orcid_alias=f"of-{ORCID}")
    given(*PEOPLE, LINKED).when(mine, by=AIBEK).refused(Reason.ALREADY_TAKEN, "orcid")
    given(*PEOPLE, LINKED, unlinked, relinked).when(mine, by=AIBEK).then(owned)
    unlink = UnlinkOrcid(person=ZARINA)
    given(*PEOPLE, LINKED).when(unlink, by=ZARINA).then(unlinked)
    given(*PEOPLE, LINKED).when(unlink, by=OFFICER).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, LINKED, unlinked).when(unlink, by=ZARINA).then()
    assert "UnlinkOrcid" not in given(*PEOPLE).may(ZARINA, ZARINA)
    given(*PEOPLE, LINKED, unlinked).when(mine, by=AIBEK).then(owned)


def test_an_organization_knows_whom_it_is_asked_to_confirm_and_whom_it_has():
    row, (invited, joined_) = None, joined(ZARINA, "zarina@example.org")
    for event in (invited, joined_, DECLARED):
        row = fold(PersonRow, row, event, NOW)
    asked = office(BISHKEK)
    assert asked in row.readers
    ended = AffiliationEnded(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK, until=date(2026, 1, 1))
    assert asked not in fold(PersonRow, row, ended, NOW).readers
    confirmed = fold(
        PersonRow, row, AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK), NOW
    )
    assert asked in fold(PersonRow, confirmed, ended, NOW).readers
    # One of two that they named there has ended.
    again = msgspec.structs.replace(DECLARED, affiliation=id_("affiliation", 8))
    assert asked in fold(PersonRow, fold(PersonRow, row, again, NOW), ended, NOW).readers


def test_what_somebody_held_ends_with_their_erasure():
    held = [
        RoleGranted(person=AIBEK, role=HubRole.NATIONAL_AUTHORITY, country="KG"),
        RoleGranted(person=AIBEK, role=HubRole.AUDITOR),
    ]
    signs = SignatoryAuthorized(organization=DUSHANBE, person=AIBEK)
    given(*REGION, *held, signs).when(ErasePerson(person=AIBEK), by=AIBEK).then(
        OfficerDismissed(organization=BISHKEK, person=AIBEK),
        OfficerDismissed(organization=KHUJAND, person=AIBEK),
        SignatoryRevoked(organization=DUSHANBE, person=AIBEK),
        RoleRevoked(person=AIBEK, role=HubRole.AUDITOR, by=AIBEK),
        RoleRevoked(person=AIBEK, role=HubRole.NATIONAL_AUTHORITY, country="KG", by=AIBEK),
        PersonErased(person=AIBEK),
    )


def test_erasure_is_for_oneself_or_the_center():
    given(*PEOPLE).when(ErasePerson(person=ZARINA), by=ZARINA).then(PersonErased(person=ZARINA))
    given(*PEOPLE, PersonErased(person=ZARINA)).when(ErasePerson(person=ZARINA), by=OFFICER).then()
    given(*PEOPLE).when(ErasePerson(person=ZARINA), by=AIBEK).refused(Reason.NOT_PERMITTED)
    given(*PEOPLE, PersonErased(person=ZARINA)).when(LinkOrcid(person=ZARINA, orcid=ORCID), by=ZARINA).refused(
        Reason.NOT_PERMITTED
    )


def test_a_way_to_act_as_somebody_that_others_are_given_is_told_by_the_log():
    until, invited = NOW + 3 * DAY, joined(NEW, "new@example.org")[:1]
    give = GiveAccess(person=NEW, way="link", until=until, shown_to=OFFICER)
    given(*PEOPLE, *invited).when(give, by=HUB).then(AccessGiven(person=NEW, way="link", until=until, shown_to=OFFICER))
    token = GiveAccess(person=ZARINA, way="token", until=until, scope=("read",))
    given(*PEOPLE).when(token, by=HUB).then(AccessGiven(person=ZARINA, way="token", until=until, scope=("read",)))
    # Also what was given before is given anew; and nobody is acted for who has not come, or was erased.
    given(*PEOPLE, AccessGiven(person=ZARINA, way="link", until=until)).when(token, by=HUB).then(
        AccessGiven(person=ZARINA, way="token", until=until, scope=("read",))
    )
    given(*PEOPLE, *invited).when(msgspec.structs.replace(token, person=NEW), by=HUB).refused(
        Reason.WRONG_STATUS, "way"
    )
    given(*PEOPLE, PersonErased(person=ZARINA)).when(token, by=HUB).refused(Reason.WRONG_STATUS)
    for nobody in (ZARINA, OFFICER):
        given(*PEOPLE).when(token, by=nobody).refused(Reason.NOT_PERMITTED)
        given(*PEOPLE).when(EndAccess(person=ZARINA), by=nobody).refused(Reason.NOT_PERMITTED)


def test_what_ended_all_that_let_somebody_in_is_told_each_time():
    end = EndAccess(person=ZARINA)
    given(*PEOPLE).when(end, by=HUB).then(AccessEnded(person=ZARINA))
    given(*PEOPLE, AccessEnded(person=ZARINA)).when(end, by=HUB).then(AccessEnded(person=ZARINA))
    given(*PEOPLE, PersonErased(person=ZARINA)).when(end, by=HUB).refused(Reason.WRONG_STATUS)


def test_organizations_do_not_hear_who_else_was_let_in_as_one_of_their_people():
    for event in (AccessGiven(person=ZARINA, way="link", until=NOW), AccessEnded(person=ZARINA)):
        row = fold(AccessRow, None, event, NOW)
        assert {*entry(event, 1, HUB, NOW, [row.readers]).readers} == {ZARINA, CENTER, AUDITORS}
    shown = AccessGiven(person=ZARINA, way="link", until=NOW, shown_to=OFFICER)
    assert entry(shown, 1, HUB, NOW, [row.readers]).person == OFFICER


def test_what_could_do_nothing_for_somebody_is_not_offered_to_them():
    """Buttons that never do anything teach people not to press any."""
    offered = given(*PEOPLE).may(OFFICER, OFFICER)
    assert not {"GrantRole", "RevokeRole", "EndAffiliation"} & offered.keys()
    auditor = RoleGranted(person=OFFICER, role=HubRole.AUDITOR)
    assert "RevokeRole" in given(*PEOPLE, auditor).may(OFFICER, OFFICER)
    assert "GrantRole" in given(*PEOPLE).may(OFFICER, ZARINA) and "RevokeRole" not in given(*PEOPLE).may(
        OFFICER, ZARINA
    )
    proposed = RoleProposed(person=ZARINA, role=HubRole.AUDITOR, by=OFFICER)
    assert "RevokeRole" in given(*PEOPLE, proposed).may(OFFICER, ZARINA)
    confirmed = AffiliationConfirmed(person=ZARINA, affiliation=AFFILIATION, organization=BISHKEK)
    waiting = given(*REGION, DECLARED).may(AIBEK, ZARINA)
    assert {"ConfirmAffiliation", "EndAffiliation"} <= waiting.keys()
    done = given(*REGION, DECLARED, confirmed).may(AIBEK, ZARINA)
    assert "ConfirmAffiliation" not in done and "EndAffiliation" in done
    assert "EndAffiliation" in given(*REGION, DECLARED).may(ZARINA, ZARINA)


def test_no_officer_is_two_by_an_account_that_others_than_its_person_may_open():
    grant, granted = GrantRole(person=NEW, role=HubRole.AUDITOR), RoleGranted(person=NEW, role=HubRole.AUDITOR)
    invited = [*PEOPLE, PersonInvited(person=NEW, name=sealed("N"), email=sealed("n"), email_alias="of-n")]
    shown = AccessGiven(person=NEW, way="link", until=NOW, shown_to=OFFICER)
    given(*invited).when(grant, by=OFFICER).refused(Reason.WRONG_STATUS)
    assert given(*invited).may(OFFICER, NEW)["GrantRole"] == Reason.WRONG_STATUS
    # Whoever runs the hub gives one to somebody who has not come yet, unless somebody was shown how to come as them.
    given(*invited).when(grant, by=HUB).then(granted)
    given(*invited, shown).when(grant, by=HUB).refused(Reason.WRONG_STATUS)
    given(*invited, shown, AccessEnded(person=NEW)).when(grant, by=HUB).then(granted)
    given(*invited, msgspec.structs.replace(shown, shown_to=None)).when(grant, by=HUB).then(granted)
    # Who came by that link may be the officer, until all that let in as them is ended.
    came = [*invited, shown, PersonJoined(person=NEW)]
    for by in (OFFICER, HUB):
        given(*came).when(grant, by=by).refused(Reason.WRONG_STATUS)
        given(*came, msgspec.structs.replace(shown, shown_to=None)).when(grant, by=by).refused(Reason.WRONG_STATUS)
    given(*came, AccessEnded(person=NEW)).when(grant, by=HUB).then(granted)
    # Nor is anybody shown it afterwards, but who gives commands at the server.
    link = GiveAccess(person=NEW, way="link", until=NOW, shown_to=OFFICER)
    for there in ((granted,), (PersonJoined(person=NEW),)):
        given(*invited, *there).when(link, by=HUB).refused(Reason.NOT_PERMITTED)
        alone = msgspec.structs.replace(link, shown_to=None)
        assert given(*invited, *there).when(alone, by=HUB).refusal is None


def test_what_one_officer_proposed_who_left_is_what_whoever_runs_the_hub_agrees_to():
    second = RoleGranted(person=AIBEK, role=HubRole.CENTER_OFFICER)
    proposed = RoleProposed(person=ZARINA, role=HubRole.AUDITOR, by=AIBEK)
    left = RoleRevoked(person=AIBEK, role=HubRole.CENTER_OFFICER)
    agreed, granted = (each(person=ZARINA, role=HubRole.AUDITOR) for each in (RoleAgreed, RoleGranted))
    given(*PEOPLE, second, proposed, left).when(GrantRole(person=ZARINA, role=HubRole.AUDITOR), by=HUB).then(
        agreed, granted
    )
    # An auditor erases themselves as anybody does.
    given(*PEOPLE, granted).when(ErasePerson(person=ZARINA), by=ZARINA).then(
        RoleRevoked(person=ZARINA, role=HubRole.AUDITOR, by=ZARINA), PersonErased(person=ZARINA)
    )
