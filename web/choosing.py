"""What can be chosen in a form: the records that its writer may name there, by what they are called and where."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from domain.calls.officers import AppointCallOfficer, DismissCallOfficer
from domain.core import N_, Command
from domain.organizations.offices import AppointOfficer, AuthorizeSignatory, DismissOfficer, RevokeSignatory
from domain.people.affiliations import DeclareAffiliation
from domain.proposals.partners import InvitePartner, UninvitePartner
from projections.words import LOOKED_FOR, words
from web.reads.viewer import Viewer
from web.showing import city, country, day, lasts, moment, named
from web.site import Site
from web.words import translated

_NAMED = "id name city country status names { language text }"
_PERSON = (
    "id name status roles { role } affiliations { until confirmed organization { id name names { language text } } }"
)
_CHOICES = {
    "call": """query($after: String) { found: calls(first: 100, after: $after, where: {status: [OPEN, PUBLISHED]}) {
        nodes { id name: title status opensAt closesAt } pageInfo { hasNextPage endCursor } } }""",
    "person": f"""query($after: String) {{ found: people(first: 100, after: $after, where: {{status: [JOINED]}}) {{
        nodes {{ {_PERSON} }} pageInfo {{ hasNextPage endCursor }} }} }}""",
}
CHOSEN = {
    "organization": f"query($id: ID!) {{ one: organization(id: $id) {{ {_NAMED} }} }}",
    "call": "query($id: ID!) { one: call(id: $id) { id name: title status opensAt closesAt } }",
    "person": f"query($id: ID!) {{ one: person(id: $id) {{ {_PERSON} }} }}",
}
"""How one record of a kind that can be chosen is asked for."""
_CHOOSABLE = {"call": {"OPEN", "PUBLISHED"}, "person": {"JOINED"}}
_FIRST = f"{{ found: organizations(first: 100, where: {{status: [VERIFIED]}}) {{ nodes {{ {_NAMED} }} }} }}"
_FOUND = f"""query($text: String!) {{ found: search(text: $text, kinds: [ORGANIZATION], first: 50) {{
    nodes {{ record {{ ... on Organization {{ {_NAMED} }} }} }} }} }}"""
_ASKED = f"""query($id: ID!) {{
    me {{ offices {{ organization {{ id }} }} }}
    proposal(id: $id) {{ lead {{ id }} partners {{ status contribution organization {{ {_NAMED} }} }} }} }}"""
_AFFILIATED = f"""query($id: ID!) {{
    person(id: $id) {{ affiliations {{ id organization {{ {_NAMED} }} }} }} }}"""
_HOLDER = f"{{ personId since person {{ {_PERSON} }} }}"
_HELD = {
    "organization": f"query($id: ID!) {{ of: organization(id: $id) {{ officers {_HOLDER} signatories {_HOLDER} }} }}",
    "call": f"query($id: ID!) {{ of: call(id: $id) {{ officers {_HOLDER} }} }}",
}
_OFFICE: dict[type[Command], tuple[str, str]] = {
    AppointOfficer: ("organization", "officers"),
    DismissOfficer: ("organization", "officers"),
    AuthorizeSignatory: ("organization", "signatories"),
    RevokeSignatory: ("organization", "signatories"),
    AppointCallOfficer: ("call", "officers"),
    DismissCallOfficer: ("call", "officers"),
}
_ENDS = (DismissOfficer, RevokeSignatory, DismissCallOfficer)
_WORKS_AT = f"""{{ me {{
    affiliations {{ until confirmed organization {{ {_NAMED} }} }} offices {{ organization {{ {_NAMED} }} }} }} }}"""
_MOST_CHOICES = 2_000
ALIKE = 0.85
"""From which share of letters in common on two names may mean the same organization."""
SHOWN = 12
"""How many are shown of what is looked for: as many as a phone shows without much ado."""


class Choice(NamedTuple):
    """A value that can be chosen, what it is called, and what tells it from others of that name."""

    value: str
    words: str
    more: str = ""


@dataclass(frozen=True)
class Found:
    """What was found by the words that somebody looked for, whether there is more, and what was ``left`` out of it."""

    text: str
    choices: tuple[Choice, ...]
    more: bool
    left: tuple[str, ...] = ()


class Choosing:
    """Finds the choices of one hub, with the rights of whoever chooses."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def calls(self, viewer: Viewer, chosen: str) -> tuple[Choice, ...]:
        """The calls in which a proposal can be begun, in the order of the list."""
        return tuple(_choice(each, viewer.language) for each in await self._every(viewer, "call", chosen))

    async def people(self, viewer: Viewer, cls: type[Command], record: str, chosen: str) -> tuple[Choice, ...]:
        """The people whom a command may name, by their names; first those who work at the organization that it is of.

        Who ends an office chooses among those who hold it, who gives one among the others; an officer of a call is one
        of the Center.
        """
        held: dict[str, dict[str, Any] | None] = {}
        unnamed: list[Choice] = []
        if of := _OFFICE.get(cls):
            kind, office = of
            holders = ((await self._site.ask(_HELD[kind], viewer, {"id": record}))["of"] or {office: ()})[office]
            held = {each["personId"]: each["person"] for each in holders}
        if cls in _ENDS:
            found = [each for each in held.values() if each is not None]
            # Who never said that they work there is known there by their office alone.
            since = {each["personId"]: day(each["since"]) for each in holders if each["person"] is None}
            words = translated(N_("somebody whose name you may not know"), viewer.language)
            unnamed = [
                Choice(id, words, f"{translated(N_('since'), viewer.language)} {at}") for id, at in since.items()
            ]
        else:
            found = [each for each in await self._every(viewer, "person", chosen) if each["id"] not in held]
        if cls is AppointCallOfficer:
            found = [each for each in found if "CENTER_OFFICER" in {role["role"] for role in each["roles"]}]
        found.sort(key=lambda each: (not any(at["id"] == record for at in _works_at(each)), each["name"].casefold()))
        return (*(_choice(each, viewer.language) for each in found), *unnamed)

    async def _every(self, viewer: Viewer, kind: str, chosen: str) -> list[dict[str, Any]]:
        # What is chosen already also where there are too many.
        found: list[dict[str, Any]] = []
        page, after = {"hasNextPage": True}, None
        while page["hasNextPage"] and len(found) < _MOST_CHOICES:
            listed = (await self._site.ask(_CHOICES[kind], viewer, {"after": after}))["found"]
            found += listed["nodes"]
            page, after = listed["pageInfo"], listed["pageInfo"]["endCursor"]
        if page["hasNextPage"] and chosen and chosen not in {each["id"] for each in found}:
            found += await self._node(viewer, kind, chosen, _CHOOSABLE[kind])
        return found

    async def organizations(self, viewer: Viewer, cls: type[Command], proposal: str, text: str, chosen: str) -> Found:
        """Verified organizations by words of their names, cities and countries; the chosen one comes first.

        Where somebody works may wait to be verified. Who can be asked to be a partner is neither the lead nor asked
        already, unless it declined.
        """
        choosable = {"VERIFIED", "REGISTERED"} if cls is DeclareAffiliation else {"VERIFIED"}
        if text := text[:LOOKED_FOR].strip():
            nodes = [
                each["record"] for each in (await self._site.ask(_FOUND, viewer, {"text": text}))["found"]["nodes"]
            ]
        else:
            nodes = (await self._site.ask(_FIRST, viewer, {}))["found"]["nodes"]
        left: set[str] = set()
        if cls is InvitePartner and (found := (await self._site.ask(_ASKED, viewer, {"id": proposal}))["proposal"]):
            partners = (each for each in found["partners"] if each["status"] != "DECLINED")
            left = {found["lead"]["id"], *(each["organization"]["id"] for each in partners)}
        fits = [
            _choice(each, viewer.language) for each in nodes if each["status"] in choosable and each["id"] not in left
        ]
        kept = await self._node(viewer, "organization", chosen, choosable) if chosen else []
        first = [_choice(each, viewer.language) for each in kept]
        rest = [each for each in fits if each.value != chosen]
        unfit = [named(each) for each in nodes if each["id"] in left] if text and not rest else []
        return Found(text, (*first, *rest[:SHOWN]), len(rest) > SHOWN, tuple(unfit[:3]))

    async def alike(self, viewer: Viewer, names: Sequence[str], country: str, own: str = "") -> tuple[Choice, ...]:
        """Organizations of a country, other than one's ``own``, with a name of the same words, or nearly."""
        found: dict[str, Choice] = {}
        for name in names:
            for each in (await self._site.ask(_FOUND, viewer, {"text": name[:LOOKED_FOR]}))["found"]["nodes"]:
                node = each["record"]
                known = (node["name"], *(other["text"] for other in node["names"]))
                if node["country"] == country and node["id"] != own and any(_alike(name, other) for other in known):
                    found[node["id"]] = _choice(node, viewer.language)
        return tuple(found.values())[:SHOWN]

    async def partners(self, viewer: Viewer, cls: type[Command], proposal: str) -> dict[Choice, str]:
        """The partners that the writer may speak for, or take back, each with what it is asked to contribute."""
        found = await self._site.ask(_ASKED, viewer, {"id": proposal})
        offices = {each["organization"]["id"] for each in found["me"]["offices"]}
        partners = (found["proposal"] or {}).get("partners") or ()
        return {
            _choice(each["organization"], viewer.language): each["contribution"]
            for each in partners
            if cls is UninvitePartner or each["organization"]["id"] in offices
        }

    async def affiliated(self, viewer: Viewer, person: str, affiliation: str) -> tuple[Choice, ...]:
        """The organization of an affiliation of somebody."""
        found = (await self._site.ask(_AFFILIATED, viewer, {"id": person}))["person"]
        every = found["affiliations"] if found else ()
        return tuple(_choice(each["organization"], viewer.language) for each in every if each["id"] == affiliation)

    async def own(self, viewer: Viewer) -> tuple[Choice, ...]:
        """The verified organizations where the writer works now, or for which they act."""
        me = (await self._site.ask(_WORKS_AT, viewer, {}))["me"]
        works_at = [each["organization"] for each in (*filter(lasts, me["affiliations"]), *me["offices"])]
        return tuple(dict.fromkeys(_choice(each, viewer.language) for each in works_at if each["status"] == "VERIFIED"))

    async def _node(self, viewer: Viewer, kind: str, id: str, choosable: Set[str]) -> list[dict[str, Any]]:
        one = (await self._site.ask(CHOSEN[kind], viewer, {"id": id}))["one"]
        return [one] if one and one["status"] in choosable else []


def _alike(one: str, other: str) -> bool:
    # In whatever order the words stand, and in whichever of the two scripts.
    a, b = sorted(words(one)), sorted(words(other))
    return SequenceMatcher(None, " ".join(a), " ".join(b)).ratio() >= ALIKE or (len(a) > 1 and set(a) <= set(b))


def _choice(node: dict[str, Any], language: str) -> Choice:
    if "country" in node:
        name = named(node)
        own = f"{node['name']}. " if node["name"] != name else ""
        return Choice(node["id"], name, f"{own}{city(node['city'])}, {country(node['country'])}")
    if "closesAt" in node:
        opens = node["status"] == "PUBLISHED"
        words = N_("opens %(time)s") if opens else N_("closes %(time)s")
        more = translated(words, language, {"time": moment(node["opensAt" if opens else "closesAt"])})
        return Choice(node["id"], node["name"], more)
    # Two people may have one name: where they work tells them apart.
    return Choice(node["id"], node["name"], ", ".join(named(each) for each in _works_at(node)))


def _works_at(person: dict[str, Any]) -> list[dict[str, Any]]:
    return [each["organization"] for each in filter(lasts, person["affiliations"])]
