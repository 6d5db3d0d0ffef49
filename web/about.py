"""The record that a form is about: what its writer sees of it there, and whether the command can be given now."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type

from domain.call_results import ArchiveCall, PublishResults
from domain.calls.commands import OpenRound, PublishCall
from domain.core import N_, Command, Role, mutation_of, record_field
from domain.erasure import ErasePerson
from domain.organizations.commands import VerifyOrganization
from domain.organizations.events import OrganizationRegistered
from domain.people.affiliations import ConfirmAffiliation, EndAffiliation
from domain.proposals.commands import SubmitProposal
from domain.proposals.decisions import MoveDeadline
from hub.checking import bare_type, fields_of
from web import inputs
from web.labels import LABELS
from web.pages import path_of
from web.reads.viewer import Viewer
from web.schema import schema
from web.schema.mutations import fields, record_type
from web.showing import city, country, day, label, language_name, moment, named
from web.site import Site
from web.words import translated

_ORGANIZATION = """namesBy: names { language text }
    isKind: kind isCity: city isCountry: country isWebsite: website isRor: ror"""
_AFFILIATIONS = " worksAt: affiliations { id position since until organization { id name names { language text } } }"
_CALL = " whenOpen: opensAt whenClosed: closesAt"
_REGISTERED = f"""by: activity(first: 1, where: {{record: $id, type: ["{OrganizationRegistered.type}"]}}) {{
    nodes {{ actorName }} }}"""
_GOING = """ goOn: proposals(where: {status: [DRAFT, SUBMITTED, RETURNED, IN_REVIEW, RECOMMENDED]}) { totalCount }"""
_OF_A_CALL = (PublishCall, OpenRound)
_ENDING = (PublishResults, ArchiveCall)
_SOME = "{ totalCount nodes { id title } }"
_LEFT = f"""query($id: ID!) {{
    undecided: proposals(first: 5, where: {{call: $id, status: [SUBMITTED, IN_REVIEW]}}) {_SOME}
    recommended: proposals(first: 5, where: {{call: $id, status: [RECOMMENDED], offered: false}}) {_SOME}
    returned: proposals(first: 5, where: {{call: $id, status: [RETURNED]}}) {_SOME}
    offered: proposals(first: 5, where: {{call: $id, status: [RECOMMENDED], offered: true}}) {_SOME} }}"""


@dataclass(frozen=True)
class Some:
    """How many proposals there are, and the first of them: path and title."""

    count: int = 0
    first: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class About:
    """A record, as a form shows it above its fields.

    ``was`` is what it holds, by the command's fields and as a form writes it. ``summary`` and ``lead`` are for who
    answers for somebody else, ``facts`` what is said yes to, or cannot be undone; ``undecided`` are the proposals of a
    call that wait for a decision, ``returned`` and ``offered`` those that wait for their authors, and for an answer.
    """

    id: str
    path: str
    title: str
    status: str
    was: Mapping[str, str]
    actions: tuple[Mapping[str, Any], ...]
    names: tuple[str, ...] = ()
    country: str | None = None
    summary: str | None = None
    lead: Mapping[str, Any] | None = None
    facts: tuple[tuple[str, str], ...] = ()
    undecided: Some = Some()
    returned: Some = Some()
    offered: Some = Some()

    def action(self, cls: type[Command]) -> Mapping[str, Any] | None:
        """What the API says of a command that may be given about this record; nothing where it may not."""
        return next((each for each in self.actions if each["mutation"] == mutation_of(cls)), None)

    def fixed(self, cls: type[Command]) -> dict[str, str]:
        """The fields of a command that cannot be changed of this record, and why."""
        found = (self.action(cls) or {}).get("fixed", ())
        return {fields(cls)[each["about"]]: each["message"] for each in found if each["about"] in fields(cls)}

    def closed(self, cls: type[Command], language: str) -> str:
        """Why a command cannot be given about this record now, or by this person; empty where it can."""
        if (action := self.action(cls)) is None:
            if cls.while_ is not None and self.status.lower() not in cls.while_:
                words = N_("This is not yours to do, or it cannot be done while the record is “%(status)s”.")
                return translated(words, language, {"status": LABELS[self.status]})
            return translated(N_("This is not yours to do, or it does not fit this record."), language)
        return "" if action["available"] else str(action["reason"])


async def read_about(site: Site, viewer: Viewer, cls: type[Command], id: str, given: Mapping[str, str]) -> About | None:
    """The record with this id, if the viewer may read it and the command is about its kind, and about a part of it that
    is ``given`` besides, where it needs one.
    """
    type = schema().type_map[record_type(cls)]
    assert isinstance(type, GraphQLObjectType)
    titled = "title" if "title" in type.fields else "name"
    selected, nested = inputs.selection(cls, type)
    # Who answers for an organization or a call sees what it is asked for; who submits, what others will read.
    answers = type.name == "Proposal" and (cls is SubmitProposal or Role.AUTHOR not in cls.by)
    asked = "aboutText: abstract aboutLead: lead { name names { language text } }" if answers else ""
    said = _ORGANIZATION if "names" in type.fields else ""
    said += _AFFILIATIONS if cls in (ConfirmAffiliation, EndAffiliation) else ""
    said += _CALL if cls in _OF_A_CALL else ""
    said += " due: returnedUntil" if cls is MoveDeadline else ""
    said += _GOING if cls is ErasePerson else ""
    may = "may: actions { mutation available reason fixed { message about } } stands: status"
    wanted = f"id shown: {titled} {' '.join(selected)} {said} {asked} {may}"
    beside = _REGISTERED if cls is VerifyOrganization else ""
    text = f"query($id: ID!) {{ node(id: $id) {{ ... on {type.name} {{ {wanted} }} }} {beside} }}"
    answered = await site.ask(text, viewer, {"id": id})
    found = answered["node"]
    if not found or "shown" not in found:
        return None
    found["registeredBy"] = [each["actorName"] for each in answered.get("by", {}).get("nodes", ()) if each["actorName"]]
    part = None
    if "worksAt" in found and not (part := _part(found["worksAt"], given)):
        return None
    left = await site.ask(_LEFT, viewer, {"id": id}) if cls in _ENDING else {}
    held = {**found, **((found.get(nested) or {}) if nested else {})}
    # A name in a language is a field of its own there, and one of several here.
    held |= {f"name{each['language'].capitalize()}": each["text"] for each in found.get("namesBy", ())}
    enums = {name for name, f in type.fields.items() if isinstance(get_named_type(f.type), GraphQLEnumType)}
    was = {}
    for name, own in fields(cls).items():
        if own != record_field(cls) and (value := held.get(name)) is not None:
            enum = name in enums or (nested and isinstance(value, str) and value.isupper())
            was[own] = inputs.typed(value, bare_type(fields_of(cls)[own][1]), enum)
    return About(
        id=id,
        path=path_of(id),
        title=named({**found, "name": found["shown"], "names": found.get("namesBy")}),
        status=found["stands"],
        was=was,
        actions=tuple(found["may"]),
        names=(found["shown"], *(each["text"] for each in found.get("namesBy", ()))),
        country=found.get("isCountry"),
        summary=found.get("aboutText"),
        lead=found.get("aboutLead"),
        facts=tuple(_facts(found, cls, part, viewer.language)),
        undecided=_some(left, "undecided", "recommended"),
        returned=_some(left, "returned"),
        offered=_some(left, "offered"),
    )


def _some(left: Mapping[str, Any], *names: str) -> Some:
    lists = [left[name] for name in names if name in left]
    nodes = [each for found in lists for each in found["nodes"]]
    return Some(
        sum(found["totalCount"] for found in lists), tuple((path_of(each["id"]), each["title"]) for each in nodes)
    )


def _part(affiliations: Sequence[dict[str, Any]], given: Mapping[str, str]) -> dict[str, Any] | None:
    # The affiliation that a form is about, at the organization that it names.
    wanted = given.get("affiliation"), given.get("organization")
    return next((each for each in affiliations if (each["id"], each["organization"]["id"]) == wanted), None)


def _facts(
    found: Mapping[str, Any], cls: type[Command], part: Mapping[str, Any] | None, language: str
) -> Iterator[tuple[str, str]]:
    if part is not None:
        yield translated(N_("Person"), language), found["shown"]
        yield translated(N_("Works at"), language), f"{named(part['organization'])}, {part['position']}"
        yield translated(N_("Since"), language), day(part["since"])
        if part["until"]:
            yield translated(N_("Until"), language), day(part["until"])
    if cls in _OF_A_CALL:
        yield translated(N_("Opens"), language), moment(found["whenOpen"])
        yield translated(N_("Closes"), language), moment(found["whenClosed"])
    if cls is MoveDeadline and found["due"]:
        yield translated(N_("Deadline until now"), language), moment(found["due"])
    if cls is ErasePerson and (count := found["goOn"]["totalCount"]):
        yield translated(N_("Proposals that go on, and that nobody could change or submit then"), language), str(count)
    if cls is VerifyOrganization:
        yield translated(N_("Kind"), language), label(found["isKind"])
        yield translated(N_("Place"), language), f"{city(found['isCity'])}, {country(found['isCountry'])}"
        for each in found["namesBy"]:
            own = {"ru": N_("Name in Russian"), "tg": N_("Name in Tajik")}.get(each["language"])
            yield translated(own, language) if own else language_name(each["language"]), each["text"]
        if found["isWebsite"]:
            yield translated(N_("Website"), language), found["isWebsite"]
        for by in found["registeredBy"]:
            yield translated(N_("Registered by"), language), by
        ror = f"https://ror.org/{found['isRor']}" if found["isRor"] else translated(N_("none given"), language)
        yield "ROR", ror
