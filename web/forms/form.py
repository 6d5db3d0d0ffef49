"""Command → form → derived mutation: shown with its fields, sent, and shown again with what is wrong beside them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import inspect
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import (
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
from hub.act import new_id
from hub.checking import bare_type, choices_of, problems
from web.asking import TooLarge, from_elsewhere, is_secure, posted
from web.forms import Choice, Writer, inputs, particular
from web.forms.about import About, read_about
from web.forms.again import after
from web.forms.fields import Filling, fields_for
from web.pages import path_of
from web.preferences import KNOWN_ZONES, keep
from web.reads.carrying import key_of
from web.reads.viewer import Viewer
from web.schema.mutations import commands, fields
from web.site import MISSING, Site, Unanswered
from web.words import translated

SENT_BEFORE = N_(
    "You sent this form before, with other words, and that was recorded: change it there. What you send now is "
    "recorded as another."
)
"""What somebody is told who goes back to a form that made a record, and sends it changed."""


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
        if viewer.person is None and request.method != "POST":
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
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
            return self._site.problem(request, viewer, 403, N_("Not accepted"), message)
        try:
            sent = await posted(request)
        except TooLarge:
            message = N_("This is more than a form holds: go back, shorten it, and send it again.")
            return self._site.problem(request, viewer, 413, N_("Too large"), message)
        if "!choose" not in sent:
            return await self._taken(request, viewer, cls, sent)
        # Whoever chooses another language while they write goes on writing in it.
        language, zone, theme = (sent.get(f"!read.{name}", "") for name in ("language", "zone", "theme"))
        choice = sent["!choose"] or language, zone, theme
        request.state.preferences = request.state.preferences.having(*choice)
        request.state.language = request.state.preferences.language
        response = await self._taken(request, await self._site.viewer(request), cls, sent)
        keep(response, *choice, secure=is_secure(request))
        return response

    async def _taken(self, request: Request, viewer: Viewer, cls: type[Command], sent: dict[str, str]) -> Response:
        if viewer.person is not None:
            return await self._carry_out(request, viewer, cls, sent)
        # The session ended while somebody was writing: what they wrote is kept on the page, to be sent once more.
        again = [(name, value) for name, value in sent.items() if name != "!choose" and name[:6] != "!read."]
        written = self._written(cls, sent, request.state.language)
        return self._site.render(request, "signed-out", viewer, 401, sent=again, written=written)

    @staticmethod
    def _written(cls: type[Command], sent: Mapping[str, str], language: str) -> list[tuple[str, str]]:
        # The texts that somebody typed into a form, and what each was asked for as.
        found = []
        for field in msgspec.structs.fields(cls):
            meta = meta_of(field.type)
            if (value := sent.get(field.name)) and kind_of(field.type) is None and meta.get("widget") != "hidden":
                type = bare_type(inspect.type_info(field.type))
                if value in (every := choices_of(field.type)):
                    value = inputs.called(every, value)
                elif isinstance(type, inspect.BoolType):
                    value = translated(N_("yes"), language)
                found.append((translated(str(meta.get("title", field.name)), language), value))
        return found

    async def _carry_out(self, request: Request, viewer: Viewer, cls: type[Command], sent: dict[str, str]) -> Response:
        key = sent.get("!key") or new_id("request")
        request.state.chosen = request.state.preferences
        if (zone := sent.get("!zone", "")) in KNOWN_ZONES:
            # A form that comes back shows times as it did before, whatever its reader has chosen since.
            request.state.preferences = replace(request.state.preferences, zone=zone)
            self._site.read_by(request)
        if "!choose" in sent or sent.get("!preview") or sent.get("!look"):
            return await self._form(request, viewer, cls, sent, {}, key)
        if taken := sent.get("!take"):
            # What is saved next is a decision over what others wrote: over all of it that the page shows again.
            left = {"revision", taken if taken in cls.__struct_fields__ and taken != record_field(cls) else ""}
            sent = {n: v for n, v in sent.items() if n not in left and n[:5] != "!was."}
            return await self._form(request, viewer, cls, sent, {}, key)
        given = dict(inputs.values_of(cls, sent))
        wrong = {**problems(cls, given), **inputs.skipped(cls, sent)}
        if wrong:
            return await self._form(request, viewer, cls, sent, wrong, key)
        writer, hub = Writer(self._site, viewer, cls, sent), self._site.endpoint.reads.hub
        assert viewer.person is not None
        # Who was not told what they recorded, and sends it again, is told now, whatever happened since.
        answered = await hub.answered_at(viewer.person, key_of(key)) if _plain(key) else None
        if answered is None and (held := await self._held_up(request, writer, key)) is not None:
            return held
        try:
            done = await self._given(viewer, cls, given, key)
            if done["refusal"] and done["refusal"]["code"] == Reason.KEY_REUSED and record_field(cls):
                # Somebody went back to a form that they had sent, and changed it: that is another command, after it.
                if (held := await self._held_up(request, writer, key)) is not None:
                    return held
                done = await self._given(viewer, cls, await after(writer, given, answered), new_id("request"))
        except Unanswered as unanswered:
            error: dict[str, Any] = unanswered.errors[0] if unanswered.errors else {"message": ""}
            status = {"OUT_OF_SCOPE": 403, "BAD_INPUT": 422}.get(error.get("extensions", {}).get("code", ""), 503)
            return await self._form(request, viewer, cls, sent, {}, key, error["message"], status)
        if done["refusal"] is not None:
            return await self._refused(request, viewer, cls, sent, done["refusal"])
        receipt = done["receipt"]
        to = f"{path_of(receipt['record'] or '')}?done={receipt['position']}"
        return await particular(cls).then(writer, request, receipt) or RedirectResponse(to, 303)

    async def _held_up(self, request: Request, writer: Writer, key: str) -> Response | None:
        # The form once more, where something was not seen yet; its reason, where sending it again would be in vain.
        cls, viewer = writer.command, writer.viewer
        if (held := await particular(cls).holds_up(writer)) is None:
            return None
        about = await read_about(writer) if writer.record else None
        if about is not None and (why := about.closed(cls, viewer.language)):
            return self._closed(request, viewer, 422, sentence(cls.__name__), why, cls, writer.given, about)
        seen = {name: value for name, value in writer.given.items() if name != "!stands"}
        return await self._form(request, viewer, cls, seen, {}, key, held.problem, alike=held.alike)

    async def _refused(
        self, request: Request, viewer: Viewer, cls: type[Command], sent: dict[str, str], refusal: Mapping[str, Any]
    ) -> Response:
        missing = refusal["missing"]
        if refusal["code"] == Reason.KEY_REUSED:
            missing = [{**missing[0], "message": translated(SENT_BEFORE, request.state.language)}]
        if refusal["code"] == Reason.CHANGED_MEANWHILE:
            # The form comes back with their text beside the writer's; what is saved next is a decision over both.
            # What stood there when they began says which texts somebody else has changed.
            was = {name[5:]: value for name, value in sent.items() if name[:5] == "!was."}
            # Whoever left a field as it was has nothing to say about what somebody else made of it.
            left = {"revision", *(f"!was.{name}" for name in was), *(n for n in was if sent.get(n) == was[n])}
            sent = {name: value for name, value in sent.items() if name not in left}
            sent |= {"!theirs": "true", **{f"!old.{name}": value for name, value in was.items()}}
        wrong: dict[str, Refusal] = {}
        others = []
        for each in missing:
            field = fields(cls).get(each["about"] or "")
            if field in cls.__struct_fields__ and field != record_field(cls):
                told = f"{wrong[field].message} {each['message']}" if field in wrong else each["message"]
                wrong[field] = Refusal(each["code"], told, field)
            else:
                others.append(each["message"])
        if others and not wrong and sent.get(record_field(cls) or ""):
            about = await read_about(Writer(self._site, viewer, cls, sent))
            if about is not None and (why := about.closed(cls, viewer.language)):
                # While somebody wrote, what it was for came to an end.
                why = " ".join(others) if refusal["code"] == Reason.OWN_ORGANIZATION else why
                return self._closed(request, viewer, 422, sentence(cls.__name__), why, cls, sent, about)
        return await self._form(request, viewer, cls, sent, wrong, new_id("request"), " ".join(others))

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
        id = given.get(record_field(cls) or "")
        given = {**(particular(cls).begun(viewer) if request.method != "POST" else {}), **given}
        writer = Writer(self._site, viewer, cls, given)
        about = await read_about(writer) if id else None
        if id and about is None:
            if request.method != "POST" or not self._written(cls, given, language):
                return self._site.missing(request, viewer)
            # It was there when they began to write: whether it still is, is not said; what they wrote is theirs.
            return self._closed(request, viewer, 404, N_("Nothing here"), translated(MISSING, language), cls, given)
        if record_field(cls) and not id and request.method != "POST":
            # Nobody can choose a record in its form: what may be done with one stands on its page.
            return self._site.missing(request, viewer)
        self._site.read_by(request)
        if request.method != "POST" and (why := await self._why_not(viewer, cls, about)):
            # Nobody writes in vain: what was sent already is answered in the form, with all that was typed.
            return self._closed(request, viewer, 403, sentence(cls.__name__), why, cls, {}, about)
        fixed = about.fixed(cls) if about else {}
        made = await fields_for(writer, Filling(about.was if about else {}, wrong, fixed))
        if about:
            alike = await particular(cls).alike(writer, about.found) or alike
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
            sure=translated(particular(cls).sure, language, {"name": about.title if about else ""}),
            problem=problem,
            fields=made,
            key=key,
            sent=given,
            theirs="!theirs" in given,
            alike=alike,
        )

    def _closed(
        self,
        request: Request,
        viewer: Viewer,
        status: int,
        heading: str,
        why: str,
        cls: type[Command],
        sent: Mapping[str, str],
        about: About | None = None,
    ) -> Response:
        # Sending again would be in vain: the reason, where to go from here, and what somebody wrote, to be copied.
        language = request.state.language
        heading, written = translated(heading, language), self._written(cls, sent, language)
        return self._site.render(
            request, "closed", viewer, status, about=about, heading=heading, why=why, written=written
        )

    async def _why_not(self, viewer: Viewer, cls: type[Command], about: About | None) -> str:
        # Why this command cannot be given now, to this record or by this person; empty where it can.
        if about is not None:
            return about.closed(cls, viewer.language)
        hub, newest = self._site.endpoint.reads.hub, max(viewer.positions.values(), default=0)
        if viewer.person is not None and await hub.may_make(viewer.person, cls, newest):
            return ""
        words = N_("This is not yours to do.")
        if cls.by == {Role.CENTER_OFFICER}:
            words = N_("This is not yours to do: it is for officers of the Center.")
        return translated(words, viewer.language)


def _plain(key: str) -> bool:
    return 0 < len(key) <= 200 and key.isascii() and key.isprintable() and " " not in key
