"""Forms of people, and people in forms."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import N_
from domain.erasure import ErasePerson
from domain.people.affiliations import ConfirmAffiliation, DeclareAffiliation, EndAffiliation, RefuseAffiliation
from domain.people.commands import ChooseNotices, InvitePerson, RevokeRole
from web.forms import Choice, HeldUp, Offer, Particular, Writer, among, chooses, organizations
from web.forms.every import every
from web.reads.mapping import type_of
from web.reads.viewer import Viewer
from web.showing import day, lasts, named
from web.words import translated

_ONE = "id name status roles { role } affiliations { until withdrawn organization { id name names { language text } } }"
_ROLES = "query($id: ID!) { person(id: $id) { roles { role country } proposedRoles { role country } } }"
_AFFILIATED = f"""query($id: ID!) {{
    person(id: $id) {{ affiliations {{ id organization {{ {organizations.ONE} }} }} }} }}"""


@chooses("person")
async def people(writer: Writer, field: str) -> Offer:
    """Who has joined, by their names; first those who work at the organization that the command is about."""
    return _offered(writer, await _joined(writer, field))


async def _joined(writer: Writer, field: str) -> list[dict[str, Any]]:
    return await every(writer, "people", "person", _ONE, "status: [JOINED]", writer.given.get(field, ""))


def _offered(writer: Writer, nodes: list[dict[str, Any]], others: Sequence[Choice] = ()) -> Offer:
    at = writer.record
    nodes.sort(key=lambda each: (not any(own["id"] == at for own in _works_at(each)), each["name"].casefold()))
    # Two people may have one name: where they work tells them apart.
    own = [Choice(each["id"], each["name"], ", ".join(named(at) for at in _works_at(each))) for each in nodes]
    return among([*own, *others])


def _seen(name: str) -> str:
    # As somebody sees it, who types it: without what no letter shows.
    shown = "".join(each for each in unicodedata.normalize("NFKC", name) if unicodedata.category(each) != "Cf")
    return " ".join(shown.split())


def _works_at(person: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["organization"] for each in filter(lasts, person["affiliations"])]


class Office(Particular):
    """Who gives an office chooses among those who do not hold it, who ``ends`` one among those who do.

    ``holders`` is the field of the record that lists these.
    """

    holders: ClassVar[str] = ""
    ends: ClassVar[bool] = False

    def may_hold(self, person: Mapping[str, Any]) -> bool:
        """Whether somebody who has joined can be given it."""
        return True

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """People, those who work at the record first."""
        text = f"""query($id: ID!) {{ node(id: $id) {{ ... on {type_of(writer.command.on.kind.name)} {{
            held: {self.holders} {{ personId since person {{ {_ONE} }} }} }} }} }}"""
        held = ((await writer.ask(text, id=writer.record))["node"] or {"held": ()})["held"]
        if not self.ends:
            # Nobody gives an office to themselves.
            ids = {each["personId"] for each in held} | {writer.viewer.person}
            nodes = [each for each in await _joined(writer, field) if each["id"] not in ids and self.may_hold(each)]
            return _offered(writer, nodes)
        # Who never said that they work there is known there by their office alone.
        language = writer.viewer.language
        words = translated(N_("somebody whose name you may not know"), language)
        unnamed = [
            Choice(each["personId"], words, f"{translated(N_('since'), language)} {day(each['since'])}")
            for each in held
            if each["person"] is None
        ]
        return _offered(writer, [each["person"] for each in held if each["person"] is not None], unnamed)


class Inviting(Particular, of=(InvitePerson,)):
    """Shows the link that lets them in."""

    def begun(self, viewer: Viewer) -> Mapping[str, str]:
        """Whoever invites somebody most likely speaks with them in the language that they read here."""
        return {"language": viewer.language}

    async def then(self, writer: Writer, request: Request, receipt: Mapping[str, Any]) -> Response | None:
        """The link, where they have not joined yet."""
        return await writer.site.invited(request, writer.viewer, receipt["record"])


class Revoking(Particular, of=(RevokeRole,)):
    """A role that somebody has, or is proposed for."""

    async def fit(self, writer: Writer, field: str) -> Set[str]:
        """Those, and the countries that they are of."""
        person = (await writer.ask(_ROLES, id=writer.record))["person"] or {"roles": (), "proposedRoles": ()}
        held = [*person["roles"], *person["proposedRoles"]]
        return {str(each[field]).lower() if field == "role" else each[field] for each in held if each[field]}


class Erasing(Particular, of=(ErasePerson,)):
    """Asks for the name: nobody is erased by a slip."""

    selected = "goOn: proposals(where: {status: [DRAFT, SUBMITTED, RETURNED, IN_REVIEW, RECOMMENDED]}) { totalCount }"
    sure = N_("Type the name of the person to erase: %(name)s")

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """What nobody could go on with."""
        if count := found["goOn"]["totalCount"]:
            words = N_("Proposals that go on, and that nobody could change or submit then")
            yield translated(words, language), str(count)

    async def holds_up(self, writer: Writer) -> HeldUp | None:
        """Another name than theirs."""
        found = (await writer.ask("query($id: ID!) { person(id: $id) { name } }", id=writer.record))["person"]
        if found and _seen(writer.given.get("!sure", "")) == _seen(found["name"]):
            return None
        message = N_("Type the name exactly as it stands above: nothing was erased.")
        return HeldUp(translated(message, writer.viewer.language))

    async def then(self, writer: Writer, request: Request, receipt: Mapping[str, Any]) -> Response | None:
        """Who has erased themselves is told so; they have no page any more."""
        return RedirectResponse("/?erased=1", 303) if receipt["record"] == writer.viewer.person else None


class Choosing(Particular, of=(ChooseNotices,)):
    """What everybody chose for themselves stands on their own page, and on no other."""

    async def then(self, writer: Writer, request: Request, receipt: Mapping[str, Any]) -> Response | None:
        """That page."""
        return RedirectResponse(f"/profile?done={receipt['position']}", 303)


class Declaring(Particular, of=(DeclareAffiliation,)):
    """Where somebody works may wait to be verified, or not be here yet."""

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """Organizations, looked for."""
        words = N_("Register an organization that is not here yet")
        elsewhere = translated(words, writer.viewer.language), "/do/registerOrganization"
        return await organizations.looked_for(writer, field, {"VERIFIED", "REGISTERED"}, elsewhere=elsewhere)


class Affiliated(Particular, of=(ConfirmAffiliation, EndAffiliation, RefuseAffiliation)):
    """Says which affiliation it is about: somebody may have several."""

    selected = "worksAt: affiliations { id position since until organization { id name names { language text } } }"

    def _part(self, found: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any] | None:
        wanted = given.get("affiliation"), given.get("organization")
        return next((each for each in found["worksAt"] if (each["id"], each["organization"]["id"]) == wanted), None)

    def fits(self, found: Mapping[str, Any], given: Mapping[str, str]) -> bool:
        """That affiliation, at the organization that the form names."""
        return self._part(found, given) is not None

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """Who works where as what, and when."""
        part = self._part(found, given)
        assert part is not None
        yield translated(N_("Person"), language), found["shown"]
        yield translated(N_("Works at"), language), f"{named(part['organization'])}, {part['position']}"
        yield translated(N_("Since"), language), day(part["since"])
        if part["until"]:
            yield translated(N_("Until"), language), day(part["until"])

    async def then(self, writer: Writer, request: Request, receipt: Mapping[str, Any]) -> Response | None:
        """Whom an organization refuses it may not know any more: its own page follows."""
        if writer.command is not RefuseAffiliation:
            return None
        return RedirectResponse(f"/organizations/{writer.given['organization']}?done={receipt['position']}#desk", 303)

    async def offer(self, writer: Writer, field: str) -> Offer | None:
        """The organization of that affiliation."""
        found = (await writer.ask(_AFFILIATED, id=writer.record))["person"]
        affiliations = found["affiliations"] if found else ()
        own = (each["organization"] for each in affiliations if each["id"] == writer.given.get("affiliation"))
        return among([organizations.choice(each) for each in own])
