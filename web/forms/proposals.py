"""Forms of joint proposals."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.core import N_, Role, Word, every_command
from domain.proposals.commands import DraftProposal, SubmitProposal
from domain.proposals.decisions import MoveDeadline, ReturnProposal
from domain.proposals.partners import ConfirmPartner, DeclinePartner, InvitePartner, UninvitePartner
from domain.proposals.state import EDITABLE, Proposal
from web.forms import HeldUp, Offer, Particular, Writer, among
from web.forms.organizations import ONE, choice, looked_for
from web.labels import LABELS
from web.showing import due, lasts, moment, named
from web.words import translated

_ASKED = f"""query($id: ID!) {{
    me {{ offices {{ organization {{ id }} }} }}
    proposal(id: $id) {{ lead {{ id }} partners {{ status contribution organization {{ {ONE} }} }} }} }}"""
_STANDS = """query($id: ID!) { proposal(id: $id) {
    stands: status version due: returnedUntil history(first: 1) { nodes { actorName words } } } }"""
_WORKS_AT = f"""{{ me {{
    affiliations {{ until withdrawn organization {{ {ONE} }} }} offices {{ organization {{ {ONE} }} }} }} }}"""
_BESIDE = N_("Cannot be chosen here, being the lead or asked already:")
_BY_OTHERS = [cls for cls in every_command() if cls.on is Proposal and Role.AUTHOR not in cls.by]
_BY_CALLS = [cls for cls in _BY_OTHERS if Role.CALL_OFFICER in cls.by]
_BY_AUTHORS = [
    cls for cls in every_command() if cls.on is Proposal and Role.AUTHOR in cls.by and cls.while_ == EDITABLE
]


class Writing(Particular, of=_BY_AUTHORS):
    """What is written has to be submitted in time."""

    selected = "aboutCall: call { status closesAt } aboutUntil: returnedUntil"

    def due(self, found: Mapping[str, Any]) -> str:
        """When the round closes, or later."""
        return due(found["aboutUntil"], found["aboutCall"])


class Answering(Particular, of=_BY_OTHERS):
    """Who answers for an organization or a call sees what it is asked for."""

    selected = "aboutText: abstract aboutLead: lead { name names { language text } }"

    def summary(self, found: Mapping[str, Any], language: str) -> tuple[str, str]:
        """Who leads it, and its abstract."""
        return f"{translated(N_('Lead organization'), language)}: {named(found['aboutLead'])}", found["aboutText"]


class Deciding(Answering, of=_BY_CALLS):
    """What somebody decided who saw it stand otherwise is asked for once more."""

    selected = f"{Answering.selected} version"

    def stands(self, found: Mapping[str, Any]) -> str:
        """Its status, and which version has it."""
        return f"{found['stands']} {found['version']}"

    async def holds_up(self, writer: Writer) -> HeldUp | None:
        """It went on while they wrote."""
        found = (await writer.ask(_STANDS, id=writer.record))["proposal"]
        seen, called = writer.given.get("!stands", ""), LABELS["ProposalStatus"]
        before = seen.partition(" ")[0]
        if found is None or before not in called or seen == self.stands(found):
            return None
        if found["stands"].lower() == writer.command.done:
            # What they want to do is done already, and recorded once.
            return None
        message = N_(
            "While you had this open it went from “%(before)s” to “%(now)s”. If you still mean what you decided, send "
            "it again: nothing of it was recorded."
        )
        if before == found["stands"]:
            message = N_(
                "While you had this open it went on: it is another version, or has another deadline. Look at it first; "
                "if you still mean what you decided, send it again: nothing of it was recorded."
            )
        stood = {"before": Word(called[before].words), "now": Word(called[found["stands"]].words)}
        newest = ((each["actorName"], each["words"]) for each in found["history"]["nodes"])
        told = "".join(f"{who}: {words} " for who, words in newest if who)
        return HeldUp(told + translated(message, writer.viewer.language, stood))


class Submitting(Answering, Writing, of=(SubmitProposal,)):
    """Who submits sees what others will read."""

    selected = f"{Writing.selected} {Answering.selected}"


class GivingBack(Deciding, of=(ReturnProposal,)):
    """Says until when it can be submitted whatever time is given."""

    selected = f"{Deciding.selected} aboutCall: call {{ status closesAt }}"

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """When its round closes, where that is open."""
        if found["aboutCall"]["status"] == "OPEN":
            words = N_("In any case it can be submitted until the round closes")
            yield translated(words, language), moment(found["aboutCall"]["closesAt"])


class MovingDeadline(GivingBack, of=(MoveDeadline,)):
    """Says which deadline is moved."""

    selected = f"{GivingBack.selected} due: returnedUntil"

    def stands(self, found: Mapping[str, Any]) -> str:
        """The deadline, too."""
        return f"{super().stands(found)} {found['due']}"

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """That of now."""
        if found["due"]:
            yield translated(N_("Deadline until now"), language), moment(found["due"])
        yield from super().facts(found, given, language)


class Speaking(Answering, of=(ConfirmPartner, DeclinePartner)):
    """For one of the organizations that the writer acts for, each with what it is asked to contribute."""

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """Those of them that were asked."""
        found = await writer.ask(_ASKED, id=writer.record)
        offices = {each["organization"]["id"] for each in found["me"]["offices"]}
        asked = {
            choice(each["organization"]): each["contribution"]
            for each in (found["proposal"] or {}).get("partners") or ()
            if each["organization"]["id"] in offices
        }
        words = N_("%(organization)s is asked for:")
        told = (
            f"{translated(words, writer.viewer.language, {'organization': each.words})} {contribution}"
            for each, contribution in asked.items()
        )
        return among([*asked], help=tuple(told))


class Inviting(Writing, of=(InvitePartner,)):
    """Who can be asked to be a partner is neither the lead nor asked already, unless it declined."""

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """The others."""
        found = (await writer.ask(_ASKED, id=writer.record))["proposal"]
        asked = [each for each in found["partners"] if each["status"] != "DECLINED"] if found else []
        own = {found["lead"]["id"]} if found else set()
        without = own | {each["organization"]["id"] for each in asked}
        return await looked_for(writer, field, without=without, why=_BESIDE)


class Uninviting(Writing, of=(UninvitePartner,)):
    """One that was asked."""

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """All of them."""
        found = (await writer.ask(_ASKED, id=writer.record))["proposal"]
        return among([choice(each["organization"]) for each in (found or {}).get("partners") or ()])


class Drafting(Particular, of=(DraftProposal,)):
    """Only an organization that confirms the applicant can lead: no other one is offered."""

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """The verified organizations where the writer works now, or for which they act."""
        if field != "lead":
            return None
        me = (await writer.ask(_WORKS_AT))["me"]
        works_at = [each["organization"] for each in (*filter(lasts, me["affiliations"]), *me["offices"])]
        own = [*dict.fromkeys(choice(each) for each in works_at if each["status"] == "VERIFIED")]
        if own:
            return among(own, value=own[0].value)
        language = writer.viewer.language
        if waiting := [choice(each) for each in works_at if each["status"] == "REGISTERED"]:
            words = N_("%(organization)s leads the proposal as soon as it is verified: the Center does that.")
            said = translated(words, language, {"organization": waiting[0].words})
            looked = translated(N_("View"), language)
            return among(own, first=(said, f"/organizations/{waiting[0].value}", looked))
        words = N_("Say first where you work: your organization leads the proposal, once it is verified.")
        address = f"/do/declareAffiliation?person={writer.viewer.person}"
        return among(own, first=(translated(words, language), address, translated(N_("Say where you work"), language)))
