"""What happens to people; their personal data stand in events sealed only."""

from datetime import date, datetime

from domain.core import (
    AffiliationId,
    EmailAlias,
    Event,
    HubRole,
    Language,
    OrcidAlias,
    OrganizationId,
    PersonId,
    Sealed,
)


class PersonInvited(Event, becomes="invited"):
    """A person was invited to the hub."""

    person: PersonId
    name: Sealed
    email: Sealed
    email_alias: EmailAlias
    language: Language = "en"


class PersonJoined(Event, becomes="joined"):
    """A person accepted the invitation."""

    person: PersonId


class NameCorrected(Event):
    """A person said how their name is written."""

    person: PersonId
    name: Sealed


class OrcidLinked(Event):
    """A person linked their ORCID iD."""

    person: PersonId
    orcid: Sealed
    orcid_alias: OrcidAlias


class OrcidUnlinked(Event):
    """A person unlinked their ORCID iD; also where another one takes its place."""

    person: PersonId
    orcid_alias: OrcidAlias


class NoticesChosen(Event):
    """A person chose whether what waits for them is mailed to them, and in which language."""

    person: PersonId
    mailed: bool
    language: Language


class AffiliationDeclared(Event):
    """A person said that they work at an organization."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId
    position: str
    since: date
    until: date | None = None


class AffiliationConfirmed(Event):
    """The organization confirmed an affiliation."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId


class AffiliationRefused(Event):
    """The organization said that a person does not work there as they say."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId
    # It counts until then, as one that was taken back does: conflicts of interest rest on it.
    until: date


class AffiliationEnded(Event):
    """The last day of an affiliation was recorded."""

    person: PersonId
    affiliation: AffiliationId
    organization: OrganizationId
    until: date


class RoleProposed(Event):
    """A role in the whole hub was proposed for a person: it is theirs once a second officer of the Center gives it."""

    person: PersonId
    role: HubRole
    # The id of who did, and no tag: what mentions a person changes who they are.
    by: str
    country: str | None = None


class RoleAgreed(Event):
    """A second officer of the Center, or whoever runs the hub, agreed to a role that was proposed."""

    person: PersonId
    role: HubRole
    country: str | None = None


class RoleProposalWithdrawn(Event):
    """What was proposed of a role was taken back before a second officer of the Center agreed."""

    person: PersonId
    role: HubRole
    country: str | None = None


class RoleGranted(Event):
    """A person was given a role in the whole hub."""

    person: PersonId
    role: HubRole
    country: str | None = None


class RoleRevoked(Event):
    """A hub-wide role was taken back."""

    person: PersonId
    role: HubRole
    country: str | None = None
    # The id of who did, and no tag: what mentions a person changes who they are.
    by: str | None = None


class AccessGiven(Event):
    """A link or a token was made with which somebody else can act as this person."""

    person: PersonId
    way: str
    until: datetime
    scope: tuple[str, ...] = ()
    shown_to: PersonId | None = None


class AccessEnded(Event):
    """Everything that let this person in was ended at the server: sessions, links, tokens and passkeys."""

    person: PersonId


class PersonErased(Event, becomes="erased"):
    """A person's key and personal data were destroyed; what they did stays under their id."""

    person: PersonId
