"""Signing in and out, tokens, and the choice of a language."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import N_
from domain.people import JoinHub
from hub.identity import EVERYTHING, READ, SESSION_LIVES
from projections.core import PUBLIC
from web.asking import COOKIE, from_elsewhere
from web.forms import TooLarge, posted
from web.pages import text
from web.preferences import keep
from web.site import Site, Unanswered
from web.words import translated

_DEMO_PEOPLE = """
    SELECT p.id, (SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM {schema}.officer f
                  JOIN {schema}.organization o ON o.id = f.organization WHERE f.person = p.id) AS acts_for,
           (SELECT o.name || ', ' || a.position FROM {schema}.affiliation a
            JOIN {schema}.organization o ON o.id = a.organization WHERE a.person = p.id LIMIT 1) AS works_at,
           (SELECT string_agg(r.role, ', ') FROM {schema}.role r WHERE r.person = p.id) AS roles
    FROM {schema}.person p WHERE p.status = 'joined' ORDER BY p.id LIMIT 200"""


def within(target: str) -> str:
    """An address of this site, or the first page: nobody is sent elsewhere."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"


class Signing:
    """The few pages that are about the reader and not about records."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hub = site.endpoint.reads.hub

    async def _sent(self, request: Request) -> dict[str, str] | None:
        if from_elsewhere(request):
            return None
        try:
            return await posted(request)
        except TooLarge:
            return None

    async def _refused(self, request: Request) -> Response:
        message = N_("This form was sent from another site, or it is too large: open it here and send it again.")
        return self._site.problem(request, await self._site.viewer(request), 403, N_("Not taken"), message)

    async def sign_in(self, request: Request) -> Response:
        """How to sign in; in the demonstration, as whom."""
        viewer = await self._site.viewer(request)
        people = await self._people() if self._site.demo else []
        target = within(request.query_params.get("next", "/"))
        return self._site.render(request, "sign-in", viewer, problem="", link="", people=people, target=target)

    async def _people(self) -> list[dict[str, Any]]:
        hub = self._hub
        rows = await hub.log.pool.fetch(_DEMO_PEOPLE.format(schema=hub.models.schema))
        found = []
        for row in rows:
            viewer = await self._site.endpoint.viewers.person(row["id"])
            name = (await self._site.ask("{ me { name } }", viewer, {}))["me"]["name"]
            roles = (row["roles"] or "").replace("_", " ")
            about = "; ".join(filter(None, [row["works_at"], roles, row["acts_for"] and f"→ {row['acts_for']}"]))
            found.append({"id": row["id"], "name": name, "about": about})
        return found

    async def sign_in_as(self, request: Request) -> Response:
        """Become somebody: there is no such address outside the demonstration."""
        sent = await self._sent(request)
        if sent is None:
            return await self._refused(request)
        person = sent.get("person", "")
        if person == PUBLIC or len((await self._site.endpoint.viewers.person(person)).principals) < 2:
            return self._site.missing(request, await self._site.viewer(request))
        return _signed_in(await self._hub.identity.session(person), within(sent.get("next", "/")), request)

    async def link(self, request: Request) -> Response:
        """A one-time link: opening it changes nothing (mail programs do that), its button signs in."""
        viewer = await self._site.viewer(request)
        if request.method == "GET":
            return self._site.render(request, "sign-in", viewer, problem="", link="yes", people=[], target="/")
        if await self._sent(request) is None:
            return await self._refused(request)
        redeemed = await self._hub.identity.redeem(request.path_params["link"])
        if redeemed is None:
            problem = translated(N_("This link was used, or its time has passed."), request.state.language)
            return self._site.render(request, "sign-in", viewer, 410, problem=problem, link="", people=[], target="/")
        session, person = redeemed
        await self._hub.do(JoinHub(person=person), person)
        return _signed_in(session, "/", request)

    async def sign_out(self, request: Request) -> Response:
        """End the session at once."""
        if await self._sent(request) is None:
            return await self._refused(request)
        if (secret := request.cookies.get(COOKIE)) is not None:
            await self._hub.identity.end(secret)
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE, path="/")
        return response

    async def profile(self, request: Request, secret: str = "") -> Response:
        """The reader's own page."""
        viewer = await self._site.viewer(request)
        if viewer.person is None:
            return RedirectResponse("/sign-in?next=/profile", 303)
        try:
            data = await self._site.ask(text("profile"), viewer, {})
        except Unanswered as unanswered:
            return self._site.unanswered(request, viewer, unanswered)
        held = await self._hub.identity.held(viewer.person)
        return self._site.render(
            request,
            "profile",
            viewer,
            document="profile",
            tab="tokens" if secret else request.query_params.get("tab", "about"),
            tokens=[each for each in held if each.kind == "token"],
            sessions=[each for each in held if each.kind == "session"],
            current=viewer.access.id if viewer.access else "",
            passkeys=[],
            secret=secret,
            **data,
        )

    async def tokens(self, request: Request) -> Response:
        """Make or revoke a token; the secret is shown once, on the page that answers."""
        viewer = await self._site.viewer(request)
        sent = await self._sent(request)
        if sent is None:
            return await self._refused(request)
        # A token does not make tokens: only who has signed in does.
        if viewer.person is None or viewer.access is None or viewer.access.kind != "session":
            return RedirectResponse("/sign-in?next=/profile", 303)
        if "revoke" in sent:
            await self._hub.identity.revoke(viewer.person, sent["revoke"])
            return RedirectResponse("/profile", 303)
        days = sent.get("days", "")
        scope = EVERYTHING if sent.get("scope") == EVERYTHING else READ
        if not days.isdecimal() or len(days) > 3 or not 1 <= int(days) <= 366 or not sent.get("label", "").strip():
            message = N_("A token needs a few words on what it is for, and from 1 to 366 days.")
            return self._site.problem(request, viewer, 422, N_("Not made"), message)
        label = sent["label"].strip().replace("\0", "")[:100]
        secret = await self._hub.identity.token(viewer.person, [scope], label, int(days))
        return await self.profile(request, secret)

    async def preferences(self, request: Request) -> Response:
        """Choose a language, a time zone, light or dark."""
        sent = await self._sent(request)
        if sent is None:
            return await self._refused(request)
        response = RedirectResponse(quote(within(sent.get("next", "/")), safe="/?&=%"), 303)
        keep(response, sent.get("language", ""), sent.get("zone", ""), sent.get("theme"))
        return response


def _signed_in(session: str, target: str, request: Request) -> Response:
    response = RedirectResponse(quote(target, safe="/?&=%"), 303)
    response.set_cookie(
        COOKIE,
        session,
        max_age=int(SESSION_LIVES.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response
