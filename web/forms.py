"""Command → form → derived mutation: labels, help and choices from the command, errors beside their fields."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
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
from domain.organizations import NAMES, RegisterOrganization, VerifyOrganization
from domain.people import ChooseNotices, ErasePerson, InvitePerson
from domain.proposals import SubmitProposal, UninvitePartner
from hub.act import new_id
from hub.checking import choices_of, problems, takes_empty
from web import inputs
from web.asking import MAX_BODY, from_elsewhere
from web.choosing import CHOSEN, SHOWN, Choice, Choosing, Found
from web.pages import path_of
from web.preferences import KNOWN_ZONES, READER
from web.reads.viewer import Viewer
from web.schema import schema
from web.schema.mutations import bare_type, commands, fields, record_type
from web.showing import city, country, label, language_name, moment, named, said_of
from web.site import MISSING, Site, Unanswered
from web.words import translated

ALIKE = N_(
    "Nothing was recorded yet: organizations of this or a like name are here already. If yours is among them, use that "
    "one; if it is not, send this once more."
)
"""What somebody is told who registers an organization that may be here already."""
_PARTNER = "organization { name names { language text } }"
_ORGANIZATION = """namesBy: names { language text }
    isKind: kind isCity: city isCountry: country isWebsite: website isRor: ror"""
WORTH_SAYING = 10
"""From how many characters on a text is told beforehand how long it has to be."""
SENT_BEFORE = N_(
    "You sent this form before, with other words, and that was recorded: change it there. What you send now is "
    "recorded as another."
)
"""What somebody is told who goes back to a form that made a record, and sends it changed."""


class TooLarge(Exception):
    """More was sent than a form holds."""


@dataclass(frozen=True)
class Field:
    """One field of a form, as its template shows it.

    ``was`` is what the record holds, ``old`` what it held when somebody began to write and others changed it meanwhile;
    ``first`` is what has to be done before, and where; ``found`` what was looked for, where all is too much to show;
    ``fixed`` why it cannot be changed.
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
    found: Found | None = None
    later: bool = False
    fixed: str = ""


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
        self._choosing = Choosing(site)
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
        if sent.get("!preview") or sent.get("!look"):
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
        if cls is RegisterOrganization and "!alike" not in sent:
            names = [given[each] for each in ("name", *NAMES) if given.get(each)]
            if alike := await self._choosing.alike(viewer, names, given["country"]):
                return await self._form(
                    request, viewer, cls, sent, {}, key, translated(ALIKE, viewer.language), alike=alike
                )
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
            missing = refusal["missing"]
            if refusal["code"] == Reason.KEY_REUSED:
                missing = [{**missing[0], "message": translated(SENT_BEFORE, request.state.language)}]
            if refusal["code"] == Reason.CHANGED_MEANWHILE:
                # The form comes back with their text beside the writer's; what is saved next is a decision over both.
                # What stood there when they began says which texts somebody else has changed.
                old = {f"!old.{name[5:]}": value for name, value in sent.items() if name[:5] == "!was."}
                sent = {name: value for name, value in sent.items() if name != "revision" and name[:5] != "!was."}
                sent |= {"!theirs": "true", **old}
            wrong, others = {}, []
            for each in missing:
                field = fields(cls).get(each["about"] or "")
                if field in cls.__struct_fields__ and field != record_field(cls):
                    told = f"{wrong[field].message} {each['message']}" if field in wrong else each["message"]
                    wrong[field] = Refusal(each["code"], told, field)
                else:
                    others.append(each["message"])
            if others and not wrong and (over := await self._over(request, viewer, cls, sent)):
                return over
            return await self._form(request, viewer, cls, sent, wrong, new_id("request"), " ".join(others))
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
            " receipt { record position } refusal { code missing { code message about } } } }"
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
        alike: tuple[Choice, ...] = (),
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
        action = _action(cls, about)
        made = [
            await self._field(viewer, cls, field, given, was, wrong, language) for field in msgspec.structs.fields(cls)
        ]
        fixed = {fields(cls).get(each["about"]): each["message"] for each in (action or {}).get("fixed", ())}
        made = [
            _fixed(field, fixed[field.name], was.get(field.name, "")) if field.name in fixed else field
            for field in made
        ]
        if cls is VerifyOrganization and about:
            alike = await self._choosing.alike(viewer, about["names"], about["country"], about["id"])
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
            alike=alike,
        )

    async def _over(
        self, request: Request, viewer: Viewer, cls: type[Command], sent: Mapping[str, str]
    ) -> Response | None:
        # While somebody wrote, what it was for came to an end: sending again would be in vain, what they wrote is kept.
        record = sent.get(record_field(cls) or "")
        about = (await self._record(viewer, cls, record))[1] if record else None
        if about is None or not (why := await self._closed(viewer, cls, about)):
            return None
        language = request.state.language
        heading, written = translated(sentence(cls.__name__), language), self._written(cls, sent, language)
        return self._site.render(request, "closed", viewer, 422, about=about, heading=heading, why=why, written=written)

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
        found: Found | None = None
        chosen, record = given.get(field.name, ""), given.get(record_field(cls) or "", "")
        if field.name == record_field(cls) or (kind and kind[0].name not in CHOSEN):
            widget = "hidden"
        elif kind and not kind[0].claim:
            widget = "select"
            if field.name == "lead":
                # Only an organization that confirms the applicant can lead: no other one is offered.
                choices = await self._choosing.own(viewer)
            elif cls is UninvitePartner or cls.by <= {Role.PARTNER_OFFICER}:
                asked = await self._choosing.partners(viewer, cls, record)
                choices = tuple(asked)
            elif "affiliation" in given:
                choices = await self._choosing.affiliated(viewer, record, given["affiliation"])
            elif kind[0].name == "organization":
                widget, text = "find", given.get(f"!find.{field.name}", "")
                found = await self._choosing.organizations(viewer, cls, record, text, chosen)
                choices = found.choices
            else:
                choices = await self._choosing.every(viewer, kind[0].name, chosen)
        elif isinstance(type, inspect.LiteralType):
            choices = tuple(Choice(value, inputs.called(field.name, value)) for value in choices_of(field.type))
        elif COUNTRIES in str(meta.get("pattern", "")).replace("|", " "):
            widget, choices = "select", tuple(Choice(*each) for each in inputs.countries())
        if widget == "select" and kind and len(choices) <= SHOWN:
            # What tells one from another needs more room than a line of a phone.
            widget = "list"
        value = given.get(field.name, was.get(field.name, inputs.default_of(field)))
        if not value and widget in ("select", "list") and field.required and len(choices) == 1:
            value = choices[0].value
        first = ("", "")
        if field.name == "lead":
            value = value or next((each.value for each in choices), "")
            if not choices:
                words = N_("Say first where you work: your organization leads the proposal, once it is verified.")
                first = translated(words, language), f"/do/declareAffiliation?person={viewer.person}"
        if widget == "checkbox" and "!key" in given:
            value = given.get(field.name, "")
        # How a country is written is said to whoever writes it, not to whoever chooses it.
        help = "" if choices and not kind else translated(str(meta.get("description", "")), language)
        help = " ".join(filter(None, (translated(str(meta.get("typed", "")), language), help)))
        for each, contribution in asked.items() if cls is not UninvitePartner else ():
            words = translated(N_("%(organization)s is asked for:"), language, {"organization": each.words})
            help = f"{help} {words} {contribution}".strip()
        if widget == "datetime-local":
            zone = translated(N_("As clocks show in %(zone)s."), language, {"zone": READER.get().zone})
            help = f"{help} {zone}"
        refusal = wrong.get(field.name)
        if chosen and kind and widget != "hidden" and chosen not in {each.value for each in choices} and not refusal:
            # A page was old, or an address: nobody writes a text to learn at its end that it has no place.
            refusal = Refusal(Reason.INVALID, N_("What was chosen here cannot be chosen now: choose another."))
        if isinstance(type, inspect.StrType) and (type.min_length or 0) >= WORTH_SAYING:
            least = translated(N_("At least %(count)s characters."), language, {"count": type.min_length})
            help = f"{help} {least}".strip()
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
            problem=" ".join(translated(each.message, language, each.values) for each in refusal.every)
            if refusal
            else "",
            most=most,
            rows=14 if (most or 0) > 5_000 else 5,
            markdown=meta.get("format") == "markdown",
            old=given.get(f"!old.{field.name}"),
            first=first,
            found=found,
            later=bool(meta.get("later")),
        )

    async def _closed(self, viewer: Viewer, cls: type[Command], about: Mapping[str, Any] | None) -> str:
        # Why this command cannot be given now, to this record or by this person; empty where it can.
        language = viewer.language
        if about is None:
            hub, newest = self._site.endpoint.reads.hub, max(viewer.positions.values(), default=0)
            may = viewer.person is not None and await hub.may_make(viewer.person, cls, newest)
            return "" if may else translated(N_("This is not yours to do: it is for officers of the Center."), language)
        if (action := _action(cls, about)) is None:
            if cls.while_ is not None and about["status"].lower() not in cls.while_:
                words = N_("This is not yours to do, or it cannot be done while the record is “%(status)s”.")
                return translated(words, language, {"status": about["status"].lower().replace("_", " ")})
            return translated(N_("This is not yours to do, or it does not fit this record."), language)
        return "" if action["available"] else action["reason"]

    async def _named(self, viewer: Viewer, given: Mapping[str, Any]) -> str:
        found = await self._site.ask("query($id: ID!) { person(id: $id) { name } }", viewer, {"id": given["person"]})
        return found["person"]["name"] if found["person"] else ""

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
        if cls is SubmitProposal:
            asked += f" changed: revisedAt withPartners: partners {{ status answeredAt {_PARTNER} }}"
        said = _ORGANIZATION if "names" in type.fields else ""
        may = "may: actions { mutation available reason fixed { message about } } stands: status"
        wanted = f"id shown: {titled} {' '.join(selected)} {said} {asked} {may}"
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
            "title": named({**found, "name": found["shown"], "names": found.get("namesBy")}),
            "summary": found.get("aboutText"),
            "lead": found.get("aboutLead"),
            "names": [found["shown"], *(each["text"] for each in found.get("namesBy", ()))],
            "country": found.get("isCountry"),
            "status": found["stands"],
            "unseen": [named(each["organization"]) for each in found.get("withPartners", ()) if _unseen(found, each)],
            "facts": tuple(_facts(found, viewer.language)) if cls is VerifyOrganization else (),
            "actions": found["may"],
        }


def _facts(found: Mapping[str, Any], language: str) -> Iterator[tuple[str, str]]:
    # What somebody confirms who verifies an organization.
    yield translated(N_("Kind"), language), label(found["isKind"])
    yield translated(N_("Place"), language), f"{city(found['isCity'])}, {country(found['isCountry'])}"
    for each in found["namesBy"]:
        yield language_name(each["language"]), each["text"]
    if found["isWebsite"]:
        yield translated(N_("Website"), language), found["isWebsite"]
    ror = f"https://ror.org/{found['isRor']}" if found["isRor"] else translated(N_("none given"), language)
    yield "ROR", ror


def _unseen(found: Mapping[str, Any], partner: Mapping[str, Any]) -> bool:
    # Whether it confirmed another text than the one that is submitted.
    return bool(partner["status"] == "CONFIRMED" and partner["answeredAt"] < found["changed"])


def _action(cls: type[Command], about: Mapping[str, Any] | None) -> dict[str, Any] | None:
    every = about["actions"] if about else ()
    return next((each for each in every if each["mutation"] == mutation_of(cls)), None)


def _fixed(field: Field, why: str, value: str) -> Field:
    words = {each.value: each.words for each in field.choices}
    if field.widget == "datetime-local" and value:
        value = moment(datetime.fromisoformat(value).replace(tzinfo=READER.get().tz).isoformat())
    else:
        value = words.get(value) or said_of(field.name, value)
    return replace(field, fixed=why, value=value, was=None, help="")


def _plain(key: str) -> bool:
    return 0 < len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
