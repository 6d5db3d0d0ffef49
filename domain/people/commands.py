"""What people do about themselves, and what is done about them."""

import unicodedata
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from domain.core import (
    HUB,
    N_,
    Act,
    Actor,
    Command,
    Country,
    Event,
    HubRole,
    Language,
    Model,
    PersonId,
    Reason,
    Refusal,
    Role,
    giver,
    orcid_is_valid,
)
from domain.people.events import (
    NameCorrected,
    NoticesChosen,
    OrcidLinked,
    OrcidUnlinked,
    PersonInvited,
    PersonJoined,
    RoleAgreed,
    RoleGranted,
    RoleProposalWithdrawn,
    RoleProposed,
    RoleRevoked,
)
from domain.people.state import EmailHolder, OrcidHolder, Person

_Name = Annotated[str, Meta(min_length=2, max_length=200, title=N_("Full name"))]
Name = Annotated[_Name, Meta(description=N_("As the person writes it, in any script."))]
OwnName = Annotated[_Name, Meta(description=N_("As you write it, in any script."))]
_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"
MAILABLE = rf"^(?!.*=\?)[\w.!#$%&'*+/=?^`{{|}}~-]+@{_LABEL}(?:\.{_LABEL})+$"
"""An address that mail can be sent to, in any script; read as a header it is that address and no other."""
Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=MAILABLE,
        title=N_("E-mail"),
        extra_json_schema={"widget": "email", "asked": N_("An address like name@university.tj is asked for.")},
    ),
]
Orcid = Annotated[
    str,
    Meta(
        max_length=40,
        title=N_("ORCID iD"),
        description=N_("Sixteen characters, as in 0000-0002-1825-0097; the address form is accepted too."),
    ),
]


def mailbox(email: str) -> str:
    """What names one mailbox, however an address of it is typed: large letters, or those of full width."""
    return unicodedata.normalize("NFKC", email).strip().casefold()


class InvitePerson(Command, on=Person, by=(Role.ANYONE, Role.CENTER_OFFICER)):
    """Invite a person to the hub."""

    name: Name
    email: Email
    language: Annotated[Language, Meta(title=N_("Language of the invitation"))] = "en"

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One person per e-mail address."""
        alias = act.alias("email", mailbox(self.email))
        if model.get(EmailHolder, alias).status:
            raise Refusal(Reason.ALREADY_TAKEN, N_("Somebody with this e-mail address is already here."), "email")
        person = act.new("person")
        yield PersonInvited(
            person=person,
            name=act.seal(person, "name", " ".join(self.name.split())),
            email=act.seal(person, "email", self.email.strip()),
            email_alias=alias,
            language=self.language,
        )


class JoinHub(Command, on=Person, by=Role.SELF, while_={"invited"}, done="joined"):
    """Accept the invitation and join the hub."""

    person: PersonId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whoever was invited joins."""
        yield PersonJoined(person=self.person)


class CorrectName(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Say how your name is written. It is shown so wherever it stands, also where it stood before."""

    person: PersonId
    name: OwnName

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whoever was invited under a name that somebody else has typed says what it is.

        The same again is recorded again: what is sealed is compared with nothing.
        """
        yield NameCorrected(person=self.person, name=act.seal(self.person, "name", " ".join(self.name.split())))


class LinkOrcid(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Link your ORCID iD."""

    person: PersonId
    orcid: Orcid

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """One person per iD; a new one takes the place of the old one, and its check digit is checked."""
        orcid = self.orcid.strip().rstrip("/").rpartition("/")[2].upper()
        if not orcid_is_valid(orcid):
            raise Refusal(
                Reason.INVALID, N_("This is not an ORCID iD: please compare its sixteen characters."), "orcid"
            )
        alias = act.alias("orcid", orcid)
        holder, before = model.get(OrcidHolder, alias), model.get(Person, self.person).orcid
        if holder.person == self.person and before == alias:
            return
        if holder.status and holder.person != self.person:
            raise Refusal(Reason.ALREADY_TAKEN, N_("This ORCID iD is linked to somebody else."), "orcid")
        if before:
            yield OrcidUnlinked(person=self.person, orcid_alias=before)
        yield OrcidLinked(person=self.person, orcid=act.seal(self.person, "orcid", orcid), orcid_alias=alias)


class UnlinkOrcid(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Unlink your ORCID iD."""

    person: PersonId

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Whoever it belongs to may link it then. Where none is linked, nothing changes."""
        if linked := model.get(Person, self.person).orcid:
            yield OrcidUnlinked(person=self.person, orcid_alias=linked)


class ChooseNotices(Command, on=Person, by=Role.SELF, while_={"joined"}):
    """Choose whether what waits for you is mailed to you, and in which language."""

    person: PersonId
    mailed: Annotated[
        bool,
        Meta(
            title=N_("Mail me what waits for me"),
            description=N_(
                "Where the hub sends mails: what your organization is asked, and what became of your proposal. "
                "Links to sign in come whenever you ask for them."
            ),
        ),
    ]
    language: Annotated[
        Language,
        Meta(
            title=N_("Language of these mails"),
            description=N_("Where the hub does not speak it yet, they come in English and Russian."),
        ),
    ]

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Choosing the same again changes nothing."""
        if model.get(Person, self.person).notices != (self.mailed, self.language):
            yield NoticesChosen(person=self.person, mailed=self.mailed, language=self.language)


class GrantRole(Command, on=Person, by=Role.CENTER_OFFICER, while_={"invited", "joined"}):
    """Give a person a role in the whole hub: it is theirs once a second officer of the Center gives it, too."""

    person: PersonId
    role: Annotated[HubRole, Meta(title=N_("Role"))]
    country: Country | None = None

    @classmethod
    def idle(cls, record: Person, by: Actor) -> bool:
        """Nobody gives one to themselves."""
        return record.id == by.id

    @classmethod
    def bar(cls, record: Person, model: Model, act: Act) -> None:
        """Not to an account that others than its person may open: an officer of the Center would be two."""
        if record.link_shown:
            message = N_(
                "An officer of the Center was shown a link that lets in as them: whoever runs the hub has to end first "
                "what lets them in (hub revoke), and to make them another link (hub link)."
            )
            raise Refusal(Reason.WRONG_STATUS, message)
        if record.status == "invited" and act.actor != HUB:
            message = N_("They have to join first: until then others may hold a link that lets in as them.")
            raise Refusal(Reason.WRONG_STATUS, message)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """A national authority is one of a country; the other roles are not. Nobody gives a role to themselves.

        Who proposed it counts while they are an officer of the Center. Whoever runs the hub needs no second one.
        """
        if self.role == "national_authority" and self.country is None:
            raise Refusal(Reason.INVALID, N_("Name the country whose national authority this is."), "country")
        if self.role != "national_authority" and self.country is not None:
            raise Refusal(Reason.INVALID, N_("This role is for the whole region: leave the country empty."), "country")
        person, wanted = model.get(Person, self.person), (self.role, self.country or "")
        if wanted in person.hub_roles:
            return
        if self.person == act.actor:
            raise Refusal(Reason.NOT_PERMITTED, N_("Somebody else has to give you a role."), "person")
        proposer = person.proposed_roles.get(wanted)
        second = proposer not in (None, act.actor) and model.get(Person, proposer).of_the_center
        if act.actor == HUB or second:
            if proposer:
                yield RoleAgreed(person=self.person, role=self.role, country=self.country)
            yield RoleGranted(person=self.person, role=self.role, country=self.country)
        elif proposer != act.actor:
            yield RoleProposed(person=self.person, role=self.role, country=self.country, by=act.actor)


class RevokeRole(Command, on=Person, by=Role.CENTER_OFFICER, while_={"invited", "joined"}):
    """Take back a role in the whole hub, or what was proposed of one."""

    person: PersonId
    role: Annotated[HubRole, Meta(title=N_("Role"))]
    country: Country | None = None

    @classmethod
    def idle(cls, record: Person, by: Actor) -> bool:
        """Where somebody has none, and is proposed for none; nobody takes that of an officer from themselves."""
        theirs = record.hub_roles - ({(HubRole.CENTER_OFFICER, "")} if record.id == by.id else set())
        return not (theirs or record.proposed_roles)

    def decide(self, model: Model, act: Act) -> Iterator[Event]:
        """Revoking what was never granted changes nothing.

        An officer of the Center remains: nobody takes that from themselves.
        """
        person, meant = model.get(Person, self.person), (self.role, self.country or "")
        if meant in person.proposed_roles:
            yield RoleProposalWithdrawn(person=self.person, role=self.role, country=self.country)
        if meant in person.hub_roles:
            if self.person == act.actor and self.role == "center_officer":
                message = N_("Another officer of the Center has to take this back.")
                raise Refusal(Reason.NOT_PERMITTED, message, "person")
            yield RoleRevoked(person=self.person, role=self.role, country=self.country, by=giver(act))
