"""A small region that the stories share: three people, three organizations, one open call."""

from datetime import UTC, date, datetime

from domain.calls.events import CallDrafted, CallPublished, Criterion, RoundOpened
from domain.core import HubRole
from domain.organizations.events import OfficerAppointed, OrganizationRegistered, OrganizationVerified, Place
from domain.people.events import AffiliationConfirmed, AffiliationDeclared, PersonInvited, PersonJoined, RoleGranted
from tests.stories import id_, sealed

OFFICER, ZARINA, AIBEK, STRANGER = (id_("person", n) for n in (1, 2, 3, 4))
DUSHANBE, BISHKEK, KHUJAND, UNVERIFIED = (id_("organization", n) for n in (1, 2, 3, 4))
CALL = id_("call")
OPENS, CLOSES = datetime(2026, 8, 1, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)


def joined(person: str, email: str) -> list:
    """A person who has been invited and has joined."""
    invited = PersonInvited(person=person, name=sealed("N"), email=sealed(email), email_alias=f"of-{email}")
    return [invited, PersonJoined(person=person)]


def registered(organization: str, country: str) -> OrganizationRegistered:
    """An organization as it was registered."""
    return OrganizationRegistered(
        organization=organization, name="An organization", names={}, kind="university", place=Place("City", country)
    )


PEOPLE = [
    *joined(OFFICER, "officer@example.org"),
    RoleGranted(person=OFFICER, role=HubRole.CENTER_OFFICER),
    *joined(ZARINA, "zarina@example.org"),
    *joined(AIBEK, "aibek@example.org"),
    *joined(STRANGER, "stranger@example.org"),
]
ORGANIZATIONS = [
    registered(DUSHANBE, "TJ"),
    registered(BISHKEK, "KG"),
    registered(KHUJAND, "TJ"),
    registered(UNVERIFIED, "UZ"),
    *(OrganizationVerified(organization=each) for each in (DUSHANBE, BISHKEK, KHUJAND)),
    OfficerAppointed(organization=BISHKEK, person=AIBEK),
    OfficerAppointed(organization=KHUJAND, person=AIBEK),
]
AT_DUSHANBE = id_("affiliation", 1)
WORKS = [
    AffiliationDeclared(
        person=ZARINA, affiliation=AT_DUSHANBE, organization=DUSHANBE, position="Researcher", since=date(2020, 1, 1)
    ),
    AffiliationConfirmed(person=ZARINA, affiliation=AT_DUSHANBE, organization=DUSHANBE),
]
DRAFTED_CALL = CallDrafted(
    call=CALL,
    officer=OFFICER,
    title="Joint research on water",
    summary="Joint research on water and ice.",
    opens_at=OPENS,
    closes_at=CLOSES,
    criteria=(Criterion("Excellence", 60), Criterion("Impact", 40)),
    quorum=3,
    blindness="single_blind",
    countries=2,
    conflict_years=3,
)
OPEN_CALL = [DRAFTED_CALL, CallPublished(call=CALL), RoundOpened(call=CALL)]
REGION = [*PEOPLE, *ORGANIZATIONS, *WORKS, *OPEN_CALL]
