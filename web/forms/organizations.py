"""Forms of organizations, and organizations in forms."""

from collections.abc import Iterator, Mapping, Sequence, Set
from difflib import SequenceMatcher
from typing import Any

from domain.core import N_
from domain.organizations.commands import RegisterOrganization, VerifyOrganization
from domain.organizations.events import NAMES, OrganizationRegistered
from projections.words import LOOKED_FOR, words
from web.forms import SHOWN, Choice, Found, HeldUp, Offer, Particular, Writer, chooses
from web.showing import city, country, label, language_name, named
from web.words import translated

ONE = "id name city country status names { language text }"
"""What is asked of an organization that can be chosen."""
_BY_ID = f"query($id: ID!) {{ one: organization(id: $id) {{ {ONE} }} }}"
_FIRST = f"{{ found: organizations(first: 100, where: {{status: [VERIFIED]}}) {{ nodes {{ {ONE} }} }} }}"
_FOUND = f"""query($text: String!) {{ found: search(text: $text, kinds: [ORGANIZATION], first: 50) {{
    nodes {{ record {{ ... on Organization {{ {ONE} }} }} }} }} }}"""
LIKE = 0.85
"""From which share of letters in common on two names may mean the same organization."""
ALIKE = N_(
    "Nothing was recorded yet: organizations of this or a like name are here already. If yours is among them, use that "
    "one; if it is not, send this once more."
)
"""What somebody is told who registers an organization that may be here already."""


def choice(node: Mapping[str, Any]) -> Choice:
    """An organization among others: its name, and where it is."""
    name = named(dict(node))
    own = f"{node['name']}. " if node["name"] != name else ""
    return Choice(node["id"], name, f"{own}{city(node['city'])}, {country(node['country'])}")


@chooses("organization")
async def verified(writer: Writer, field: str) -> Offer:
    """Verified organizations, looked for."""
    return await looked_for(writer, field)


async def looked_for(
    writer: Writer,
    field: str,
    choosable: Set[str] = frozenset({"VERIFIED"}),
    without: Set[str] = frozenset(),
    why: str = "",
    elsewhere: tuple[str, str] = ("", ""),
) -> Offer:
    """Organizations by words of their names, cities and countries, ``without`` some, and ``why``; the chosen one comes
    first.
    """
    if text := writer.given.get(f"!find.{field}", "")[:LOOKED_FOR].strip():
        nodes = [each["record"] for each in (await writer.ask(_FOUND, text=text))["found"]["nodes"]]
    else:
        nodes = (await writer.ask(_FIRST))["found"]["nodes"]
    chosen, first = writer.given.get(field, ""), []
    if chosen and (one := (await writer.ask(_BY_ID, id=chosen))["one"]) and one["status"] in choosable:
        first = [choice(one)]
    fits = [choice(each) for each in nodes if each["status"] in choosable and each["id"] not in {*without, chosen}]
    unfit = [named(each) for each in nodes if each["id"] in without] if text and not fits else []
    said = translated(why, writer.viewer.language)
    found = Found(text, (*first, *fits[:SHOWN]), len(fits) > SHOWN, tuple(unfit[:3]), said, elsewhere)
    return Offer("find", found.choices, found)


async def alike(writer: Writer, names: Sequence[str], where: str, own: str = "") -> tuple[Choice, ...]:
    """Organizations of a country, other than one's ``own``, with a name of the same words, or nearly."""
    found: dict[str, Choice] = {}
    for name in names:
        for each in (await writer.ask(_FOUND, text=name[:LOOKED_FOR]))["found"]["nodes"]:
            node = each["record"]
            known = (node["name"], *(other["text"] for other in node["names"]))
            if node["country"] == where and node["id"] != own and any(_alike(name, other) for other in known):
                found[node["id"]] = choice(node)
    return tuple(found.values())[:SHOWN]


def _alike(one: str, other: str) -> bool:
    # In whatever order the words stand, and in whichever of the two scripts.
    a, b = sorted(words(one)), sorted(words(other))
    return SequenceMatcher(None, " ".join(a), " ".join(b)).ratio() >= LIKE or (len(a) > 1 and set(a) <= set(b))


class Registering(Particular, of=(RegisterOrganization,)):
    """Shows once which organizations of a like name are here already."""

    async def holds_up(self, writer: Writer) -> HeldUp | None:
        """Those; whoever sends it again has seen them."""
        if "!alike" in writer.given:
            return None
        names = [writer.given[each] for each in ("name", *NAMES) if writer.given.get(each)]
        found = await alike(writer, names, writer.given["country"])
        return HeldUp(translated(ALIKE, writer.viewer.language), found) if found else None


class Verifying(Particular, of=(VerifyOrganization,)):
    """Says what is verified, who said so, and what is here already of a like name."""

    selected = "isKind: kind isCity: city isCountry: country isWebsite: website isRor: ror"
    beside = f"""by: activity(first: 1, where: {{record: $id, type: ["{OrganizationRegistered.type}"]}}) {{
        nodes {{ actorName }} }}"""

    def facts(self, found: Mapping[str, Any], given: Mapping[str, str], language: str) -> Iterator[tuple[str, str]]:
        """All that is said of it."""
        yield translated(N_("Kind"), language), label(found["isKind"], "OrganizationKind")
        yield translated(N_("Place"), language), f"{city(found['isCity'])}, {country(found['isCountry'])}"
        for each in found["namesBy"]:
            own = {"ru": N_("Name in Russian"), "tg": N_("Name in Tajik")}.get(each["language"])
            yield translated(own, language) if own else language_name(each["language"]), each["text"]
        if found["isWebsite"]:
            yield translated(N_("Website"), language), found["isWebsite"]
        for each in found["by"]["nodes"]:
            if each["actorName"]:
                yield translated(N_("Registered by"), language), each["actorName"]
        ror = f"https://ror.org/{found['isRor']}" if found["isRor"] else translated(N_("none given"), language)
        yield "ROR", ror

    async def alike(self, writer: Writer, found: Mapping[str, Any]) -> tuple[Choice, ...]:
        """Others of its country."""
        names = (found["shown"], *(each["text"] for each in found["namesBy"]))
        return await alike(writer, names, found["isCountry"], writer.record)
