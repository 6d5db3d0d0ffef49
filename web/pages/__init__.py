"""The pages: each is a document, a template, and one line in the site map below."""

import hashlib
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from babel import Locale
from babel.dates import format_date, format_datetime
from graphql import (
    FieldNode,
    GraphQLEnumType,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    parse,
    print_ast,
    type_from_ast,
)
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from domain.core import N_, kind_named
from web.asking import Asked, secret_of
from web.graphql import Endpoint
from web.labels import LABELS, LANGUAGE_NAMES
from web.reads.viewer import Viewer
from web.schema import schema
from web.words import PAGES, translated, translations

_HERE = Path(__file__).parent
_STATIC = _HERE.parent / "static"
_language: ContextVar[str] = ContextVar("language", default="en")


@dataclass(frozen=True)
class Page:
    """A page: its address and the name of its document and template; ``record`` is the root without which it is not."""

    path: str
    name: str
    record: str = ""


SITE = (
    Page("/", "home"),
    Page("/organizations", "organizations"),
    Page("/organizations/{id}", "organization", "organization"),
    Page("/calls", "calls"),
    Page("/calls/{id}", "call", "call"),
    Page("/proposals", "proposals"),
    Page("/proposals/{id}", "proposal", "proposal"),
    Page("/people/{id}", "person", "person"),
    Page("/search", "search"),
    Page("/activity", "activity"),
    Page("/status", "status"),
)
MENU = (
    ("/calls", N_("Calls")),
    ("/proposals", N_("Proposals")),
    ("/organizations", N_("Organizations")),
    ("/activity", N_("Activity")),
)
_PATHS = {page.record: page.path for page in SITE if page.record}


def path_of(id: str) -> str:
    """The address of a record's page; that of a part of a record leads home."""
    path = _PATHS.get(kind_named(id))
    return path.replace("{id}", id) if path else "/"


@cache
def text(name: str) -> str:
    """A page's document, with the fragments that it shares with other pages."""
    own = (_HERE / f"{name}.graphql").read_text()
    shared = parse((_HERE / "parts.graphql").read_text()).definitions
    used = [each for each in shared if f"...{each.name.value}" in own]  # type: ignore[attr-defined]
    return "\n".join([own, *map(print_ast, used)])


@cache
def _operation(name: str) -> OperationDefinitionNode:
    document = parse(text(name))
    return next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))


@cache
def _roots(name: str) -> tuple[str, ...]:
    # Also what was left out by @include: a template may ask whether it is there.
    roots = (each for each in _operation(name).selection_set.selections if isinstance(each, FieldNode))
    return tuple((each.alias or each.name).value for each in roots)


@cache
def _variables(name: str) -> dict[str, Any]:
    operation = _operation(name)
    return {
        each.variable.name.value: type_from_ast(schema(), each.type) for each in operation.variable_definitions or ()
    }


def variables(name: str, request: Request) -> dict[str, Any]:
    """The document's variables from the page's address; what is empty or of no meaning here is left out."""
    found: dict[str, Any] = {}
    for variable, type in _variables(name).items():
        values = [request.path_params[variable]] if variable in request.path_params else []
        values = values or [value for value in request.query_params.getlist(variable) if value]
        named = get_named_type(type)
        if isinstance(named, GraphQLEnumType):
            values = [value for value in values if value in named.values]
        if not values:
            continue
        if named.name == "Boolean":
            found[variable] = values[-1] == "true"
        else:
            found[variable] = values if is_list_type(get_nullable_type(type)) else values[-1]
    return found


def _moment(value: str) -> str:
    return format_datetime(datetime.fromisoformat(value), "medium", locale=_locale()) + " UTC"


def _day(value: str) -> str:
    return format_date(date.fromisoformat(value), "medium", locale=_locale())


def _locale() -> Locale:
    return Locale.parse(_language.get())


_COUNTRIES = {("ru", "KG"): "Кыргызстан"}


def country(code: str) -> str:
    """A country's name in the reader's language, as it is called in the region."""
    known = _COUNTRIES.get((_language.get(), code))
    return known or str(_locale().territories.get(code, code))


def _language_name(code: str) -> str:
    return _locale().languages.get(code, code)


def label(value: str) -> str:
    """A value of an enum in words."""
    return translated(LABELS.get(value, value), _language.get())


def _lowered(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + 2)}"


@cache
def environment() -> Environment:
    """The templates: everything is escaped, and what is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.install_gettext_callables(  # type: ignore[attr-defined]
        lambda message: translations(_language.get()).gettext(message),
        lambda one, many, n: translations(_language.get()).ngettext(one, many, n),
        newstyle=True,
    )
    # Raw HTML in what people wrote stays text; links lead only where a browser may go.
    # Their headings stand below the page's own.
    markdown = MarkdownIt("commonmark", {"html": False}).disable("image")
    markdown.core.ruler.push("lower", _lowered)
    made.filters |= {
        "moment": _moment,
        "day": _day,
        "country": country,
        "language": _language_name,
        "path": path_of,
        "title_only": lambda text: text.rstrip("."),
        "markdown": lambda text: Markup(markdown.render(text)),
    }
    made.globals |= {
        "label": label,
        "menu": MENU,
        "languages": tuple((code, LANGUAGE_NAMES[code]) for code in PAGES),
        "stylesheet": stylesheet(),
        "values": lambda name: list(schema().type_map[name].values),  # type: ignore[attr-defined]
    }
    return made


@cache
def stylesheet() -> str:
    """The stylesheet's address; it changes with the stylesheet."""
    digest = hashlib.sha256((_STATIC / "hub.css").read_bytes()).hexdigest()[:12]
    return f"/static/hub.css?{digest}"


@dataclass
class Site:
    """Renders pages over the endpoint that everybody else uses."""

    endpoint: Endpoint
    demo: bool
    at: int | None

    async def viewer(self, request: Request) -> Viewer:
        """Who asks."""
        return await self.endpoint.viewers.find(secret_of(request), request.state.language)

    async def ask(self, text: str, viewer: Viewer, values: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Run a document in-process, with the viewer's rights; raises ``Unanswered``."""
        answer = await self.endpoint.run(Asked(text, None, values), viewer, None, key)
        if answer.errors or answer.data is None:
            raise Unanswered(answer.errors)
        return msgspec.json.decode(answer.data)

    def render(self, request: Request, template: str, viewer: Viewer, status: int = 200, **values: Any) -> HTMLResponse:
        """A page."""
        self.set_language(request)
        query = request.query_params

        def again(parameter: str, value: str) -> str:
            kept = [(name, each) for name, each in query.multi_items() if name != parameter]
            return "?" + urlencode([*kept, (parameter, value)])

        done = query.get("done", "")
        words = translated(N_("Recorded at position %(position)s."), request.state.language, {"position": done})
        shared = {
            "language": request.state.language,
            "signed_in": viewer.person is not None,
            "demo": self.demo,
            "at": self.at,
            "here": request.url.path,
            "next": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "searched": query.get("text", "") if request.url.path == "/search" else "",
            "done": words if done.isdecimal() else "",
            "again": again,
            "document": None,
        }
        body = environment().get_template(f"{template}.html").render({**shared, **values})
        return HTMLResponse(body, status, {"Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Language"})

    def set_language(self, request: Request) -> None:
        """Words that are chosen from here on are in the reader's language."""
        _language.set(request.state.language)

    def problem(self, request: Request, viewer: Viewer, status: int, heading: str, message: str) -> HTMLResponse:
        """A page that says what is wrong, and what to do."""
        language = request.state.language
        said = {"heading": translated(heading, language), "message": translated(message, language)}
        return self.render(request, "problem", viewer, status, **said)

    def missing(self, request: Request, viewer: Viewer) -> HTMLResponse:
        """There is nothing here, or nothing that the viewer may know of."""
        message = N_("There is nothing at this address, or you may not read it. Sign in first, if you have not.")
        return self.problem(request, viewer, 404, N_("Nothing here"), message)

    def page(self, page: Page) -> Route:
        """The route of a page."""

        async def show(request: Request) -> Response:
            viewer = await self.viewer(request)
            if not all(str(value).isprintable() for value in request.path_params.values()):
                return self.missing(request, viewer)
            given = variables(page.name, request)
            if page.name == "home":
                given["signedIn"] = viewer.person is not None
            if page.name == "search" and not given.get("text"):
                return RedirectResponse("/", 303)
            try:
                data = await self.ask(text(page.name), viewer, given)
            except Unanswered as unanswered:
                return self.unanswered(request, viewer, unanswered)
            if page.record and data[page.record] is None:
                return self.missing(request, viewer)
            shown = {**dict.fromkeys(_variables(page.name)), **given}
            every = {**dict.fromkeys(_roots(page.name)), **data}
            return self.render(request, page.name, viewer, document=page.name, given=shown, **every)

        return Route(page.path, show, methods=["GET"], name=page.name)

    def unanswered(self, request: Request, viewer: Viewer, unanswered: "Unanswered") -> HTMLResponse:
        """What could not be shown: an address that was changed by hand, or the hub's own fault."""
        codes = {error.get("extensions", {}).get("code") for error in unanswered.errors}
        if codes and codes <= {"BAD_INPUT", "TOO_COSTLY"}:
            message = N_("This address does not lead to a page of the list: begin at its first page.")
            return self.problem(request, viewer, 400, N_("Not understood"), message)
        message = N_("This went wrong on the hub's side; nothing was lost. Try again in a moment.")
        return self.problem(request, viewer, 503 if "BUSY" in codes else 500, N_("Something went wrong"), message)


class Unanswered(Exception):
    """A document that gave errors instead of data."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


async def document(request: Request) -> Response:
    """A page's document as text: every page is a worked example of the API."""
    name = request.path_params["name"]
    if name not in {page.name for page in SITE} | {"profile"}:
        return PlainTextResponse("There is no such page.", 404)
    return PlainTextResponse(text(name))
