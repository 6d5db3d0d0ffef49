"""Command → form → derived mutation: labels, help and choices from the command, errors beside their fields."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
from graphql import GraphQLEnumType, GraphQLObjectType, get_named_type
from msgspec import inspect
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import (
    COUNTRIES,
    N_,
    Command,
    Reason,
    Refusal,
    Role,
    kind_of,
    meta_of,
    mutation_of,
    record_field,
    sentence,
)
from domain.people import ChooseNotices, ErasePerson, InvitePerson
from domain.proposals import InvitePartner, SubmitProposal, UninvitePartner
from hub.act import new_id
from hub.checking import choices_of, problems, takes_empty
from web import inputs
from web.asking import MAX_BODY, from_elsewhere
from web.pages import path_of
from web.preferences import KNOWN_ZONES, READER
from web.reads.viewer import Viewer
from web.schema import schema
from web.schema.mutations import bare_type, commands, fields, record_type
from web.showing import country, named
from web.site import MISSING, Site, Unanswered
from web.words import translated

_CHOICES = {
    "organization": """query($after: String) {
        found: organizations(first: 100, after: $after, where: {status: [VERIFIED]}) {
        nodes { id name country names { language text } } pageInfo { hasNextPage endCursor } } }""",
    "call": """query($after: String) { found: calls(first: 100, after: $after, where: {status: [OPEN, PUBLISHED]}) {
        nodes { id name: title } pageInfo { hasNextPage endCursor } } }""",
    "person": """query($after: String) { found: people(first: 100, after: $after, where: {status: [JOINED]}) {
        nodes { id name } pageInfo { hasNextPage endCursor } } }""",
}
_ASKED = """query($id: ID!) {
    me { offices { organization { id } } }
    proposal(id: $id) { partners { contribution organization { id name country names { language text } } } } }"""
_PARTNERS = "query($id: ID!) { proposal(id: $id) { lead { id } partners { organization { id } } } }"
_WORKS_AT = """{ me { affiliations { until organization { ...Own } } offices { organization { ...Own } } } }
    fragment Own on Organization { id name country status names { language text } }"""
_CHOSEN = {
    "organization": "query($id: ID!) { one: organization(id: $id) { id name country status names { language text } } }",
    "call": "query($id: ID!) { one: call(id: $id) { id name: title status } }",
    "person": "query($id: ID!) { one: person(id: $id) { id name status } }",
}
_CHOOSABLE = {"organization": {"VERIFIED"}, "call": {"OPEN", "PUBLISHED"}, "person": {"JOINED"}}
_MOST_CHOICES = 2_000
SENT_BEFORE = N_(
    "You sent this form before, with other words, and that was recorded: change it there. What you send now is "
    "recorded as another."
)
"""What somebody is told who goes back to a form that made a record, and sends it changed."""


class TooLarge(Exception):
    """More was sent than a form holds."""


class Choice(NamedTuple):
    """A value that can be chosen, what it is called, and what else it is found by."""

    value: str
    words: str
    also: str = ""


@dataclass(frozen=True)
class Field:
    """One field of a form, as its template shows it.

    ``was`` is what the record holds, ``old`` what it held when somebody began to write and others changed it meanwhile;
    ``first`` is what has to be done before, and where.
    """

    name: str
    label: str
    help: str
    widget: str
    required: bool
    value: Any
    was: str | None = None
    choices: tuple[Choice, ...] = ()
    problem: str = ""
    most: int | None = None
    rows: int = 6
    markdown: bool = False
    old: str | None = None
    first: tuple[str, str] = ("", "")


async def posted(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; raises ``TooLarge``. The last of several of one name counts."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise TooLarge
    try:
        pairs = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    except ValueError:
        raise TooLarge from None
    # Browsers send line ends as CR LF; what is recorded has LF.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


class Forms:
    """``/do/MUTATION``: any command as a form, filled from its record and from the address."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._commands = commands()

    async def show(self, request: Request) -> Response:
        """The form; sent, the mutation, and then the page that shows the change."""
        viewer = await self._site.viewer(request)
        self._site.read_by(request)
        cls = self._commands.get(request.path_params["mutation"])
        if cls is None or self._site.at is not None:
            return self._site.missing(request, viewer)
        if viewer.person is None and request.method == "POST" and not from_elsewhere(request):
            return await self._signed_out(request, viewer, cls)
        if viewer.person is None:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={_quoted(target)}", 303)
        try:
            return await self._answer(request, viewer, cls)
        except Unanswered as unanswered:
            # An address with a value that no record has: nothing is there.
            if {error.get("extensions", {}).get("code") for error in unanswered.errors} == {"BAD_INPUT"}:
                return self._site.missing(request, viewer)
            return self._site.unanswered(request, viewer, unanswered)

    async def _answer(self, request: Request, viewer: Viewer, cls: type[Command]) -> Response:
        if request.method != "POST":
            return await self._form(request, viewer, cls, dict(request.query_params), {}, new_id("request"))
        if from_elsewhere(request):
            message = N_("This form was sent from another site: open it here and send it again.")
            return self._site.problem(request, viewer, 403, N_("Not taken"), message)
        try:
            sent = await posted(request)
        except TooLarge:
            message = N_("This is more than a form holds: go back, shorten it, and send it again.")
            return self._site.problem(request, viewer, 413, N_("Too large"), message)
        return await self._carry_out(request, viewer, cls, sent)

    async def _signed_out(self, request: Request, viewer: Viewer, cls: type[Command]) -> Response:
        # The session ended while somebody was writing: what they wrote is kept on the page, to be sent once more.
        try:
            sent = await posted(request)
        except TooLarge:
            sent = {}
        written = self._written(cls, sent, request.state.language)
        return self._site.render(request, "signed-out", viewer, 401, sent=list(sent.items()), written=written)

    @staticmethod
    def _written(cls: type[Command], sent: Mapping[str, str], language: str) -> list[tuple[str, str]]:
        # The texts that somebody typed into a form, and what each was asked for as.
        found = []
        for field in msgspec.structs.fields(cls):
            meta = meta_of(field.type)
            if (value := sent.get(field.name)) and kind_of(field.type) is None and meta.get("widget") != "hidden":
                type = bare_type(inspect.type_info(field.type))
                if isinstance(type, inspect.LiteralType) and value in type.values:
                    value = inputs.called(field.name, value)
                elif isinstance(type, inspect.BoolType):
                    value = translated(N_("yes"), language)
                found.append((translated(str(meta.get("title", field.name)), language), value))
        return found

    async def _carry_out(self, request: Request, viewer: Viewer, cls: type[Command], sent: dict[str, str]) -> Response:
        key = sent.get("!key") or new_id("request")
        if (zone := sent.get("!zone", "")) in KNOWN_ZONES:
            # A form that comes back shows times as it did before, whatever its reader has chosen since.
            request.state.preferences = replace(request.state.preferences, zone=zone)
            self._site.read_by(request)
        if sent.get("!preview"):
            return await self._form(request, viewer, cls, sent, {}, key)
        if taken := sent.get("!take"):
            # What is saved next is a decision over what others wrote: over all of it that the page shows again.
            left = {"revision", taken if taken in cls.__struct_fields__ and taken != record_field(cls) else ""}
            sent = {n: v for n, v in sent.items() if n not in left and n[:5] != "!was."}
            return await self._form(request, viewer, cls, sent, {}, key)
        given = dict(inputs.values_of(cls, sent))
        wrong = problems(cls, given)
        if cls is ErasePerson and not wrong and sent.get("!sure", "").strip() != await self._named(viewer, given):
            problem = translated(N_("Type the name exactly as it stands above: nothing was erased."), viewer.language)
            return await self._form(request, viewer, cls, sent, {}, key, problem)
        if wrong:
            return await self._form(request, viewer, cls, sent, wrong, key)
        try:
            done = await self._given(viewer, cls, given, key)
            if done["refusal"] and done["refusal"]["code"] == Reason.KEY_REUSED and record_field(cls):
                # Somebody went back to a form that they had sent, and changed it: that is another command.
                done = await self._given(viewer, cls, given, new_id("request"))
        except Unanswered as unanswered:
            error: dict[str, Any] = unanswered.errors[0] if unanswered.errors else {"message": ""}
            status = {"OUT_OF_SCOPE": 403, "BAD_INPUT": 422}.get(error.get("extensions", {}).get("code", ""), 503)
            return await self._form(request, viewer, cls, sent, {}, key, error["message"], status)
        if (refusal := done["refusal"]) is not None:
            if refusal["code"] == Reason.KEY_REUSED:
                refusal = {**refusal, "message": translated(SENT_BEFORE, request.state.language)}
            if refusal["code"] == Reason.CHANGED_MEANWHILE:
                # The form comes back with their text beside the writer's; what is saved next is a decision over both.
                # What stood there when they began says which texts somebody else has changed.
                old = {f"!old.{name[5:]}": value for name, value in sent.items() if name[:5] == "!was."}
                sent = {name: value for name, value in sent.items() if name != "revision" and name[:5] != "!was."}
                sent |= {"!theirs": "true", **old}
            field = fields(cls).get(refusal["field"] or "")
            shown = field in cls.__struct_fields__ and field != record_field(cls)
            wrong = {field: Refusal(refusal["code"], refusal["message"], field)} if field and shown else {}
            return await self._form(
                request, viewer, cls, sent, wrong, new_id("request"), "" if wrong else refusal["message"]
            )
        record, position = done["receipt"]["record"], done["receipt"]["position"]
        if cls is InvitePerson and (invited := await self._site.invited(request, viewer, record)) is not None:
            return invited
        about = record if record and path_of(record) != "/" else ""
        # What everybody chose for themselves stands on their own page, and on no other.
        to = "/profile" if cls is ChooseNotices else path_of(about)
        return RedirectResponse(f"{to}?done={position}", 303)

    async def _given(self, viewer: Viewer, cls: type[Command], given: Mapping[str, Any], key: str) -> dict[str, Any]:
        text = (
            f"mutation($input: {cls.__name__}Input!) {{ done: {mutation_of(cls)}(input: $input) {{"
            " receipt { record position } refusal { code message field } } }"
        )
        values = {"input": inputs.input_of(cls, given)}
        done: dict[str, Any] = (await self._site.ask(text, viewer, values, key if _plain(key) else None))["done"]
        return done

    async def _form(
        self,
        request: Request,
        viewer: Viewer,
        cls: type[Command],
        given: Mapping[str, str],
        wrong: Mapping[str, Refusal],
        key: str,
        problem: str = "",
        status: int = 200,
    ) -> Response:
        language = request.state.language
        record = given.get(record_field(cls) or "")
        was, about = await self._record(viewer, cls, record) if record else ({}, None)
        if record and about is None:
            if request.method != "POST" or not (written := self._written(cls, given, language)):
                return self._site.missing(request, viewer)
            # It was there when they began to write: whether it still is, is not said; what they wrote is theirs.
            heading, why = translated(N_("Nothing here"), language), translated(MISSING, language)
            return self._site.render(
                request, "closed", viewer, 404, about=None, heading=heading, why=why, written=written
            )
        if record_field(cls) and not record and request.method != "POST":
            # Nobody can choose a record in its form: what may be done with one stands on its page.
            return self._site.missing(request, viewer)
        self._site.read_by(request)
        if request.method != "POST" and (closed := await self._closed(viewer, cls, about)):
            # Nobody writes in vain: what was sent already is answered in the form, with all that was typed.
            return self._site.render(
                request,
                "closed",
                viewer,
                403,
                about=about,
                heading=translated(sentence(cls.__name__), language),
                why=closed,
                written=(),
            )
        made = [
            await self._field(viewer, cls, field, given, was, wrong, language) for field in msgspec.structs.fields(cls)
        ]
        if not problem and (wrong or any(field.problem for field in made)):
            problem = translated(N_("Something is missing or does not fit: see the fields below."), language)
        return self._site.render(
            request,
            "form",
            viewer,
            status if status != 200 or not (wrong or problem) else 422,
            heading=translated(sentence(cls.__name__), language),
            says=translated((cls.__doc__ or "").strip(), language),
            about=about,
            grave=cls.final,
            sure=cls is ErasePerson,
            problem=problem,
            fields=made,
            key=key,
            sent=given,
            theirs="!theirs" in given,
        )

    async def _field(
        self,
        viewer: Viewer,
        cls: type[Command],
        field: msgspec.structs.FieldInfo,
        given: Mapping[str, str],
        was: Mapping[str, str],
        wrong: Mapping[str, Refusal],
        language: str,
    ) -> Field:
        type = bare_type(inspect.type_info(field.type))
        meta = meta_of(field.type)
        widget = str(meta.get("widget", "")) or inputs.widget_of(type)
        kind = kind_of(field.type)
        choices: tuple[Choice, ...] = ()
        asked: dict[Choice, str] = {}
        if field.name == record_field(cls) or (kind and kind[0].name not in _CHOICES):
            widget = "hidden"
        elif kind and not kind[0].claim:
            widget = "select"
            if cls.by <= {Role.PARTNER_OFFICER}:
                asked = await self._asked(viewer, given.get(record_field(cls) or "", ""))
                choices = tuple(asked)
            else:
                choices = await self._choices(viewer, kind[0].name, given.get(field.name, ""))
                if cls in (InvitePartner, UninvitePartner):
                    choices = await self._partners(viewer, given.get(record_field(cls) or "", ""), cls, choices)
        elif isinstance(type, inspect.LiteralType):
            choices = tuple(Choice(value, inputs.called(field.name, value)) for value in choices_of(field.type))
        elif COUNTRIES in str(meta.get("pattern", "")).replace("|", " "):
            widget, choices = "select", tuple(Choice(*each) for each in inputs.countries())
        value = given.get(field.name, was.get(field.name, inputs.default_of(field)))
        if not value and widget == "select" and field.required and len(choices) == 1:
            value = choices[0].value
        first = ("", "")
        if field.name == "lead":
            # Only an organization that confirms the applicant can lead: no other one is offered.
            choices = await self._own(viewer)
            value = value or next((each.value for each in choices), "")
            if not choices:
                words = N_("Say first where you work: your organization leads the proposal, once it is verified.")
                first = translated(words, language), f"/do/declareAffiliation?person={viewer.person}"
        if widget == "checkbox" and "!key" in given:
            value = given.get(field.name, "")
        # How a country is written is said to whoever writes it, not to whoever chooses it.
        help = "" if widget == "select" and not kind else translated(str(meta.get("description", "")), language)
        for each, contribution in asked.items():
            words = translated(N_("%(organization)s is asked for:"), language, {"organization": each.words})
            help = f"{help} {words} {contribution}".strip()
        if widget == "datetime-local":
            zone = translated(N_("As clocks show in %(zone)s."), language, {"zone": READER.get().zone})
            help = f"{help} {zone}"
        refusal = wrong.get(field.name)
        chosen = widget == "select" and kind is not None and given.get(field.name)
        if chosen and chosen not in {each.value for each in choices} and not refusal:
            # A page was old, or an address: nobody writes a text to learn at its end that it has no place.
            refusal = Refusal(Reason.INVALID, N_("What was chosen here cannot be chosen now: choose another."))
        # What a record has and cannot be without: an empty field would change nothing.
        stays = bool(was.get(field.name) and record_field(cls)) and not takes_empty(field)
        # Only a text is as long as its letters: the bound of a list counts its items.
        most = type.max_length if isinstance(type, inspect.StrType) else None
        return Field(
            name=field.name,
            label=translated(str(meta.get("title", "")) or sentence(field.name).replace("_", " "), language),
            help=help,
            widget=widget,
            required=(field.required or stays) and widget not in ("checkbox", "hidden"),
            value=value,
            was=given.get(f"!was.{field.name}", was.get(field.name))
            if not field.required and widget != "hidden"
            else None,
            choices=choices,
            problem=translated(refusal.message, language, refusal.values) if refusal else "",
            most=most,
            rows=14 if (most or 0) > 5_000 else 5,
            markdown=meta.get("format") == "markdown",
            old=given.get(f"!old.{field.name}"),
            first=first,
        )

    async def _closed(self, viewer: Viewer, cls: type[Command], about: Mapping[str, Any] | None) -> str:
        # Why this command cannot be given now, to this record or by this person; empty where it can.
        language = viewer.language
        if about is None:
            hub, newest = self._site.endpoint.reads.hub, max(viewer.positions.values(), default=0)
            may = viewer.person is not None and await hub.may_make(viewer.person, cls, newest)
            return "" if may else translated(N_("This is not yours to do: it is for officers of the Center."), language)
        action = next((each for each in about["actions"] if each["mutation"] == mutation_of(cls)), None)
        if action is None:
            return translated(N_("This is not yours to do, or it does not fit this record."), language)
        return "" if action["available"] else action["reason"]

    async def _named(self, viewer: Viewer, given: Mapping[str, Any]) -> str:
        found = await self._site.ask("query($id: ID!) { person(id: $id) { name } }", viewer, {"id": given["person"]})
        return found["person"]["name"] if found["person"] else ""

    async def _partners(
        self, viewer: Viewer, proposal: str, cls: type[Command], choices: tuple[Choice, ...]
    ) -> tuple[Choice, ...]:
        # Who can be asked is neither the lead nor asked already; who can be uninvited was asked.
        found = (await self._site.ask(_PARTNERS, viewer, {"id": proposal}))["proposal"]
        if found is None:
            return choices
        partners = {each["organization"]["id"] for each in found["partners"]}
        if cls is UninvitePartner:
            return tuple(each for each in choices if each.value in partners)
        return tuple(each for each in choices if each.value not in partners | {found["lead"]["id"]})

    async def _asked(self, viewer: Viewer, proposal: str) -> dict[Choice, str]:
        # The organizations that the viewer may answer for, each with what it is asked to contribute.
        found = await self._site.ask(_ASKED, viewer, {"id": proposal})
        offices = {each["organization"]["id"] for each in found["me"]["offices"]}
        partners = ((found["proposal"] or {}).get("partners")) or ()
        return {
            _choice(each["organization"]): each["contribution"]
            for each in partners
            if each["organization"]["id"] in offices
        }

    async def _own(self, viewer: Viewer) -> tuple[Choice, ...]:
        me = (await self._site.ask(_WORKS_AT, viewer, {}))["me"]
        works_at = [each["organization"] for each in (*me["affiliations"], *me["offices"]) if not each.get("until")]
        return tuple(dict.fromkeys(_choice(each) for each in works_at if each["status"] == "VERIFIED"))

    async def _choices(self, viewer: Viewer, kind: str, chosen: str) -> tuple[Choice, ...]:
        # In the order of the list; what is chosen already is among them also where there are too many to be shown.
        found: list[Choice] = []
        page, after = {"hasNextPage": True}, None
        while page["hasNextPage"] and len(found) < _MOST_CHOICES:
            listed = (await self._site.ask(_CHOICES[kind], viewer, {"after": after}))["found"]
            found += map(_choice, listed["nodes"])
            page, after = listed["pageInfo"], listed["pageInfo"]["endCursor"]
        if page["hasNextPage"] and chosen and chosen not in {each.value for each in found}:
            one = (await self._site.ask(_CHOSEN[kind], viewer, {"id": chosen}))["one"]
            if one and one["status"] in _CHOOSABLE[kind]:
                found.append(_choice(one))
        return tuple(found)

    async def _record(
        self, viewer: Viewer, cls: type[Command], id: str
    ) -> tuple[dict[str, str], dict[str, str] | None]:
        type = schema().type_map[record_type(cls)]
        assert isinstance(type, GraphQLObjectType)
        titled = "title" if "title" in type.fields else "name"
        selected, nested = inputs.selection(cls, type)
        # Who answers for an organization or a call sees what it is asked for; who submits, what others will read.
        answers = type.name == "Proposal" and (cls is SubmitProposal or Role.AUTHOR not in cls.by)
        asked = "aboutText: abstract aboutLead: lead { name names { language text } }" if answers else ""
        named = "namesBy: names { language text }" if "names" in type.fields else ""
        wanted = f"id shown: {titled} {' '.join(selected)} {named} {asked} may: actions {{ mutation available reason }}"
        text = f"query($id: ID!) {{ node(id: $id) {{ ... on {type.name} {{ {wanted} }} }} }}"
        found = (await self._site.ask(text, viewer, {"id": id}))["node"]
        if not found or "shown" not in found:
            return {}, None
        held = {**found, **((found.get(nested) or {}) if nested else {})}
        # A name in a language is a field of its own there, and one of several here.
        held |= {f"name{each['language'].capitalize()}": each["text"] for each in found.get("namesBy", ())}
        enums = {name for name, f in type.fields.items() if isinstance(get_named_type(f.type), GraphQLEnumType)}
        was = {}
        for name, own in fields(cls).items():
            if own != record_field(cls) and (value := held.get(name)) is not None:
                was[own] = inputs.typed(value, name in enums or (nested and isinstance(value, str) and value.isupper()))
        return was, {
            "id": id,
            "path": path_of(id),
            "title": found["shown"],
            "summary": found.get("aboutText"),
            "lead": found.get("aboutLead"),
            "actions": found["may"],
        }


def _choice(node: dict[str, Any]) -> Choice:
    if "country" not in node:
        return Choice(node["id"], node["name"])
    words = f"{named(node)} ({node['country']})"
    others = dict.fromkeys((node["name"], *(each["text"] for each in node["names"]), country(node["country"])))
    return Choice(node["id"], words, " ".join(each for each in others if each not in words))


def _plain(key: str) -> bool:
    return 0 < len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
