"""The pages: each is a document, a template, and one line in the site map below."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

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
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from domain.core import N_, kind_named
from web.preferences import READER
from web.reads.mapping import snake
from web.schema import schema

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """A page: its address and the name of its document and template.

    ``record`` is the root without which it is not. A list's ``file`` says that it is given as a file too, ``menu`` what
    it is called in the menu.
    """

    path: str
    name: str
    record: str = ""
    file: bool = False
    menu: str = ""


SITE = (
    Page("/", "home"),
    Page("/calls", "calls", file=True, menu=N_("Calls")),
    Page("/calls/{id}", "call", "call"),
    Page("/proposals", "proposals", file=True, menu=N_("Proposals")),
    Page("/proposals/{id}", "proposal", "proposal"),
    Page("/organizations", "organizations", file=True, menu=N_("Organizations")),
    Page("/organizations/{id}", "organization", "organization"),
    Page("/people", "people"),
    Page("/people/{id}", "person", "person"),
    Page("/search", "search"),
    Page("/activity", "activity", menu=N_("Activity")),
    Page("/status", "status"),
    Page("/log", "log"),
    Page("/developers", "developers"),
    Page("/components", "components"),
)
LISTS = tuple(page.name for page in SITE if page.file)
"""The pages that are lists, each by its root: they are also given as files."""
MENU = tuple((page.path, page.menu) for page in SITE if page.menu)
_PATHS = {snake(page.record): page.path for page in SITE if page.record}


def path_of(id: str) -> str:
    """The address of a record's page; that of a part of a record leads home."""
    path = _PATHS.get(kind_named(id))
    return path.replace("{id}", id) if path else "/"


@cache
def text(name: str) -> str:
    """A page's document, with the fragments that it shares with other pages."""
    own = (HERE / f"{name}.graphql").read_text()
    shared = parse((HERE / "parts.graphql").read_text()).definitions
    parts = {each.name.value: print_ast(each) for each in shared}  # type: ignore[attr-defined]
    used: list[str] = []
    waiting = [own]
    while waiting:
        body = waiting.pop()
        named = [name for name in parts if name not in used and f"...{name}\n" in f"{body}\n"]
        used += named
        waiting += [parts[name] for name in named]
    return "\n".join([own, *(parts[name] for name in parts if name in used)])


@cache
def operation(name: str) -> OperationDefinitionNode:
    """A page's document, as it is parsed."""
    document = parse(text(name))
    return next(each for each in document.definitions if isinstance(each, OperationDefinitionNode))


@cache
def roots(name: str) -> tuple[str, ...]:
    """The response keys of a page's document."""
    # Also what was left out by @include: a template may ask whether it is there.
    found = (each for each in operation(name).selection_set.selections if isinstance(each, FieldNode))
    return tuple((each.alias or each.name).value for each in found)


@cache
def variables_of(name: str) -> dict[str, Any]:
    """The variables of a page's document, with their types."""
    given = operation(name).variable_definitions or ()
    return {each.variable.name.value: type_from_ast(schema(), each.type) for each in given}


def variables(name: str, request: Request) -> dict[str, Any]:
    """The document's variables from the page's address; what is empty or of no meaning here is left out."""
    found: dict[str, Any] = {}
    for variable, type in variables_of(name).items():
        values = [request.path_params[variable]] if variable in request.path_params else []
        values = values or [value for value in request.query_params.getlist(variable) if value]
        named = get_named_type(type)
        if isinstance(named, GraphQLEnumType):
            values = [value for value in values if value in named.values]
        if not values:
            continue
        if named.name == "Boolean":
            if values[-1] in ("true", "false"):
                found[variable] = values[-1] == "true"
        elif named.name == "Int":
            if values[-1].isdecimal() and len(values[-1]) < 10:
                found[variable] = int(values[-1])
        elif named.name == "DateTime":
            if moment := _moment(values[-1]):
                found[variable] = moment
        else:
            found[variable] = values if is_list_type(get_nullable_type(type)) else values[-1]
    return found


def left_out(name: str, request: Request, given: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What an address says that is of no meaning here: no variable of the document's, or not ``given`` to it."""
    sent, known = request.query_params, variables_of(name)

    def means(parameter: str, value: str) -> bool:
        if parameter not in known or parameter not in given:
            return False
        taken = given[parameter]
        return value in taken if isinstance(taken, list) else value == sent[parameter]

    return [(parameter, value) for parameter, value in sent.multi_items() if value and not means(parameter, value)]


def _moment(value: str) -> str:
    # What a date field of a page sends is a clock's time in its reader's zone.
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=READER.get().tz)).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


async def document(request: Request) -> Response:
    """A page's document as text: every page is a worked example of the API."""
    name = request.path_params["name"]
    if name not in {page.name for page in SITE} | {"profile"}:
        return PlainTextResponse("There is no such page.", 404)
    return PlainTextResponse(text(name))
