"""Renders the pages over the endpoint that everybody else uses."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from domain.core import N_, Refusal, kind_named
from hub.access import give_link
from projections.core import CENTER, PUBLIC, offices
from web.asking import Asked, base_of, codings, etag, matches, secret_of
from web.endpoint import Endpoint
from web.mailing import Mailing
from web.pages import Page, left_out, roots, text, variables, variables_of
from web.preferences import READER
from web.reads.viewer import Viewer
from web.showing import STOOD, environment
from web.words import translated

SMALL = 1_000
"""Bytes below which compressing a page is not worth the work."""
LATELY = timedelta(days=30)
_NEWS = timedelta(minutes=15)
MISSING = N_("There is nothing at this address, or you may not read it.")
"""What is said of what is not there, and of what one may not know of; who has not signed in is told that, too."""


class Unanswered(Exception):
    """A document that gave errors instead of data."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(errors)
        self.errors = errors


@dataclass
class Site:
    """The pages of one hub; ``at`` is the position at which it is shown, or nothing for as it is now."""

    endpoint: Endpoint
    demo: bool
    at: int | None
    mailing: Mailing | None = None

    async def viewer(self, request: Request) -> Viewer:
        """Who asks."""
        return await self.endpoint.viewers.find(secret_of(request), request.state.language)

    async def ask(self, text: str, viewer: Viewer, values: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Run a document in-process, with the viewer's rights; raises ``Unanswered``."""
        answer = await self.endpoint.run(Asked(text, None, values), viewer, None, key)
        if answer.errors or answer.data is None:
            raise Unanswered(answer.errors)
        return msgspec.json.decode(answer.data)

    def render(self, request: Request, template: str, viewer: Viewer, status: int = 200, **values: Any) -> Response:
        """A page; a reader who has it already is told so."""
        self.read_by(request)
        query = request.query_params

        def again(**changed: str | None) -> str:
            # The address of this page with some of what it says changed; a list that changes begins at its first page.
            kept = [(name, each) for name, each in query.multi_items() if name not in changed and name != "done"]
            if "after" not in changed:
                kept = [(name, each) for name, each in kept if name != "after"]
            return "?" + urlencode([*kept, *((name, each) for name, each in changed.items() if each)])

        def filed(exports: str) -> str:
            # What this page's address says of its list, and a file of that list understands.
            known = variables_of(f"files/{exports.strip('/')}")
            kept = [(name, each) for name, each in query.multi_items() if name in known and name != "after" and each]
            return f"?{urlencode(kept)}" if kept else ""

        done = query.get("done", "")
        recorded = (
            N_("Recorded as event %(position)s.") if done.strip("0") else N_("Nothing changed: it was already so.")
        )
        words = translated(recorded, request.state.language, {"position": done})
        shared = {
            "language": request.state.language,
            "reader": request.state.preferences,
            "chosen": getattr(request.state, "chosen", request.state.preferences),
            "signed_in": viewer.person is not None,
            "viewer_id": viewer.person,
            "of_the_center": CENTER in viewer.principals,
            "demo": self.demo,
            "at": self.at,
            "here": request.url.path,
            "next": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            "searched": query.get("text", "") if request.url.path == "/search" else "",
            "done": words if done.isdecimal() else "",
            "done_words": "",
            "again": again,
            "filed": filed,
            "asked": lambda name: query.get(name, ""),
            "base": base_of(request),
            "document": None,
            "mails": self.mailing is not None,
            "writes": False,
        }
        body = environment().get_template(f"{template}.html").render({**shared, **values}).encode()
        return packed(request, body, status)

    def read_by(self, request: Request) -> None:
        """Words, times and numbers that are chosen from here on are for this reader."""
        READER.set(request.state.preferences)
        STOOD.set(self.endpoint.reads.hub.stood)

    def problem(
        self, request: Request, viewer: Viewer, status: int, heading: str, message: str, sign_in: bool = False
    ) -> Response:
        """A page that says what is wrong, and what to do."""
        language = request.state.language
        said = {"heading": translated(heading, language), "message": translated(message, language)}
        return self.render(request, "problem", viewer, status, sign_in=sign_in and self.at is None, **said)

    async def not_taken(self, request: Request) -> Response:
        """What is answered to a form that another site sent, or that is too large."""
        message = N_("This form was sent from another site, or it is too large: open it here and send it again.")
        return self.problem(request, await self.viewer(request), 403, N_("Not accepted"), message)

    async def invited(self, request: Request, viewer: Viewer, person: str, again: bool = False) -> Response | None:
        """The page after an invitation, ``None`` where the person has joined; ``again`` where a new link is made.

        Who holds the link of somebody who has not come yet can come in their place: only who has signed in as an
        officer of the Center is shown it, where it is not mailed or they ask for one, and nobody that of somebody who
        has a role in the whole hub.
        """
        hub = self.endpoint.reads.hub
        schema = hub.models.schema
        sql = f"""SELECT EXISTS (SELECT FROM {schema}.role WHERE person = $1) AS has_role
            FROM {schema}.person WHERE id = $1 AND status = 'invited'"""
        if (row := await hub.log.pool.fetchrow(sql, person)) is None:
            return None
        themselves = await self.endpoint.viewers.person(person, request.state.language)
        name = await self.ask("query($id: ID!) { person(id: $id) { name } }", _as_invited(themselves), {"id": person})
        mailed, link = self.mailing is not None and not again, ""
        if viewer.signed_in and CENTER in viewer.principals and not row["has_role"] and not mailed:
            try:
                link = f"{base_of(request)}/sign-in/{await give_link(hub, person, viewer.person)}"
            except Refusal as refusal:
                # They came in, or were given a role, or all was ended, while this was asked for.
                return self.problem(request, viewer, 422, N_("Not accepted"), refusal.message)
        about = {"person": person, "name": name["person"]["name"], "has_role": row["has_role"]}
        response = self.render(request, "invited", viewer, link=link, mailed=mailed, **about)
        response.headers["Cache-Control"] = "no-store"
        return response

    def missing(self, request: Request, viewer: Viewer) -> Response:
        """There is nothing here, or nothing that the viewer may know of."""
        return self.problem(request, viewer, 404, N_("Nothing here"), MISSING, sign_in=viewer.person is None)

    def page(self, page: Page) -> Route:
        """The route of a page."""

        async def show(request: Request) -> Response:
            viewer = await self.viewer(request)
            if not all(str(value).isprintable() for value in request.path_params.values()):
                return self.missing(request, viewer)
            self.read_by(request)
            given = variables(page.name, request)
            unknown = [each for each in left_out(page.name, request, given) if each[0] in variables_of(page.name)]
            given |= {name: value for name, value in told(viewer, given).items() if name in variables_of(page.name)}
            if page.name == "search" and not given.get("text"):
                return RedirectResponse("/", 303)
            try:
                data = await self.ask(text(page.name), viewer, given)
            except Unanswered as unanswered:
                return self.unanswered(request, viewer, unanswered)
            if page.record and data[page.record] is None:
                return self.missing(request, viewer)
            shown = {**dict.fromkeys(variables_of(page.name)), **given}
            every = {**dict.fromkeys(roots(page.name)), **data, "unknown": unknown}
            if page.record and (done := request.query_params.get("done", "")).strip("0"):
                # What was just done stands in the history in words, for who did it: an address is soon copied.
                happened = data[page.record].get("history", {}).get("nodes", ())
                own = [each for each in happened if str(each["position"]) == done and _just_done(each, viewer)]
                every |= {"done_words": own[0]["words"]} if own else {"done": ""}
            return self.render(request, page.name, viewer, document=page.name, given=shown, **every)

        return Route(page.path, show, methods=["GET"], name=page.name)

    def unanswered(self, request: Request, viewer: Viewer, unanswered: Unanswered) -> Response:
        """What could not be shown: an address that was changed by hand, or the hub's own fault."""
        codes = {error.get("extensions", {}).get("code") for error in unanswered.errors}
        if codes and codes <= {"BAD_INPUT", "TOO_COSTLY"}:
            message = N_(
                "Nothing can be shown for this address: begin at the first page of the list, or leave out what follows "
                "the question mark."
            )
            return self.problem(request, viewer, 400, N_("Not understood"), message)
        message = N_("This went wrong on the hub's side; nothing was lost. Try again in a moment.")
        response = self.problem(request, viewer, 503 if "BUSY" in codes else 500, N_("Something went wrong"), message)
        if "BUSY" in codes:
            response.headers["Retry-After"] = "2"
        return response


def _just_done(event: Mapping[str, Any], viewer: Viewer) -> bool:
    return event["actorId"] == viewer.person and datetime.now(UTC) - datetime.fromisoformat(event["at"]) < _NEWS


def _as_invited(viewer: Viewer) -> Viewer:
    # Who has not joined is nobody yet; their own row is theirs.
    return replace(viewer, principals=viewer.principals | {viewer.person or PUBLIC})


def told(viewer: Viewer, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a page's document may ask for and no address says: who reads, whether they run calls or answer for an
    organization, whether it is of the past, and since when is lately.
    """
    acts_for = {kind_named(id) for id in offices(viewer.principals)}
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return {
        "signedIn": viewer.person is not None,
        "reader": viewer.person,
        "runs": "call" in acts_for,
        "answers": "organization" in acts_for,
        "past": "position" in given,
        "lately": (today - LATELY).isoformat(),
    }


def packed(request: Request, body: bytes, status: int = 200, media: str = "text/html") -> Response:
    """A page as it is sent: compressed where the browser takes that, or 304 where it has this very page already."""
    headers = {"Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Language, Accept-Encoding"}
    if status == 200:
        # Weak: what is compressed is the same page.
        headers["ETag"] = "W/" + (tag := etag(body))
        if matches(request.headers.get("if-none-match", ""), tag):
            return Response(b"", 304, headers)
    if len(body) > SMALL and "gzip" in codings(request):
        headers["Content-Encoding"] = "gzip"
        body = gzip.compress(body, 5, mtime=0)
    return Response(body, status, headers, media_type=media)
