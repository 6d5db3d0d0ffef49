"""Signing in and out, and the choice of a language."""

from typing import Any
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import N_, HubRole, Refusal
from domain.people.commands import GrantRole, InvitePerson, JoinHub
from hub.checking import command as checked
from hub.checking import problems
from hub.credentials import FIRST, FIRST_LIVES
from hub.identity import by_link
from projections.core import CENTER, PUBLIC
from web.asking import address_of, cookie_of, is_secure, of_this_site
from web.federation import too_often
from web.preferences import keep
from web.reads.viewer import Viewer
from web.sessions import ShutOut, Throttle, signed_in, within
from web.showing import label
from web.site import Site
from web.words import translated

_DEMO_PEOPLE = """
    SELECT p.id, (SELECT string_agg(o.name, ', ' ORDER BY o.name) FROM {schema}.officer f
                  JOIN {schema}.organization o ON o.id = f.organization WHERE f.person = p.id) AS acts_for,
           (SELECT o.name || ', ' || a.position FROM {schema}.affiliation a
            JOIN {schema}.organization o ON o.id = a.organization WHERE a.person = p.id LIMIT 1) AS works_at,
           (SELECT array_agg(r.role) FROM {schema}.role r WHERE r.person = p.id) AS roles
    FROM {schema}.person p WHERE p.status = 'joined' ORDER BY p.id LIMIT 200"""


class Signing:
    """The few pages that are about the reader and not about records."""

    def __init__(self, site: Site, throttle: Throttle, institution: bool) -> None:
        self._site, self._throttle, self._institution = site, throttle, institution
        self._hub = site.endpoint.reads.hub

    async def sign_in(self, request: Request) -> Response:
        """How to sign in; in the demonstration, as whom."""
        viewer = await self._site.viewer(request)
        return await self._asked(request, viewer, target=within(request.query_params.get("next", "/")))

    async def _asked(self, request: Request, viewer: Viewer, status: int = 200, **said: Any) -> Response:
        self._site.read_by(request)
        people = await self._people() if self._site.demo and "link" not in said and "problem" not in said else []
        ways = {"institution": self._institution, "mail": self._site.mailing is not None}
        shown = {
            "problem": "",
            "link": "",
            "people": people,
            "target": "/",
            "sent": False,
            "email": "",
            "wrong": "",
            **ways,
            **said,
        }
        return self._site.render(request, "sign-in", viewer, status, **shown)

    async def _people(self) -> list[dict[str, Any]]:
        hub = self._hub
        rows = await hub.log.pool.fetch(_DEMO_PEOPLE.format(schema=hub.models.schema))
        found = []
        for row in rows:
            viewer = await self._site.endpoint.viewers.person(row["id"])
            name = (await self._site.ask("{ me { name } }", viewer, {}))["me"]["name"]
            roles = ", ".join(label(each.upper(), "HubRoleName") for each in row["roles"] or ())
            about = "; ".join(filter(None, [row["works_at"], roles, row["acts_for"] and f"→ {row['acts_for']}"]))
            found.append({"id": row["id"], "name": name, "about": about})
        return found

    async def sign_in_as(self, request: Request) -> Response:
        """Become somebody: there is no such address outside the demonstration."""
        sent = await of_this_site(request)
        if sent is None:
            return await self._site.not_taken(request)
        person = sent.get("person", "")
        if person == PUBLIC or len((await self._site.endpoint.viewers.person(person)).principals) < 2:
            return self._site.missing(request, await self._site.viewer(request))
        return await signed_in(self._hub, request, person, sent.get("next", "/"))

    async def mail(self, request: Request) -> Response:
        """A link by mail: the answer is the same, and comes as soon, whether there is such a person or not."""
        viewer = await self._site.viewer(request)
        if self._site.mailing is None:
            return self._site.missing(request, viewer)
        if (sent := await of_this_site(request)) is None:
            return await self._site.not_taken(request)
        if wait := self._throttle.wait(address_of(request)):
            return too_often(self._site, request, viewer, wait)
        email = sent.get("email", "")
        if (refusal := problems(InvitePerson, {"email": email}).get("email")) is not None:
            wrong = translated(refusal.message, request.state.language, refusal.values)
            return await self._asked(request, viewer, 422, email=email, wrong=wrong)
        # Once all is answered: the answer is as soon there where there is somebody.
        response = await self._asked(request, viewer, sent=True)
        response.background = BackgroundTask(self._site.mailing.asked, email, request.state.language)
        return response

    async def link(self, request: Request) -> Response:
        """A one-time link: opening it changes nothing (mail programs do that), its button signs in."""
        viewer = await self._site.viewer(request)
        if request.method != "POST":
            if await self._hub.identity.linked(request.path_params["link"]) is None:
                return await self._used(request, viewer)
            return await self._asked(request, viewer, link="yes")
        if await of_this_site(request) is None:
            return await self._site.not_taken(request)
        if wait := self._throttle.wait(address_of(request)):
            return too_often(self._site, request, viewer, wait)
        secret = request.path_params["link"]
        if (person := await self._hub.identity.linked(secret)) is None:
            return await self._used(request, viewer)
        try:
            await self._hub.do(JoinHub(person=person), person)
            # Whoever has no passkey yet is offered one, once: here, where they had to find a link.
            target = "/" if await self._hub.credentials.passkeys(person) else "/?welcome=1"
            # The link is used up last: a hub that is too busy now has taken nothing from whoever holds it.
            return await signed_in(self._hub, request, person, target, by_link(secret))
        except (Refusal, ShutOut):
            # They were erased or shut out at this moment: nothing of theirs lets anybody in.
            return await self._used(request, viewer)

    async def _used(self, request: Request, viewer: Viewer) -> Response:
        if viewer.signed_in and request.method != "POST":
            message = N_("This link was used, or its time has passed. You are signed in already.")
            return self._site.problem(request, viewer, 410, N_("You are signed in"), message)
        problem = translated(N_("This link was used, or its time has passed."), request.state.language)
        return await self._asked(request, viewer, 410, problem=problem)

    async def first(self, request: Request) -> Response:
        """The link that an empty hub prints: whoever opens it becomes its first administrator."""
        viewer, secret = await self._site.viewer(request), request.path_params["secret"]
        known = await self._hub.credentials.begun(FIRST, secret) and not await self._hub.begun()
        if not known:
            return await self._used(request, viewer)
        sent: dict[str, str] | None = {}
        wrong: dict[str, str] = {}
        if request.method == "POST":
            sent = await of_this_site(request)
            if sent is None:
                return await self._site.not_taken(request)
            try:
                named = {"name": sent.get("name", ""), "email": sent.get("email", "")}
                command = checked(InvitePerson, {**named, "language": request.state.language})
                # Of several who have the link, one begins the hub; what fails is begun again with the same link.
                if await self._hub.credentials.end(FIRST, secret) is None:
                    return await self._used(request, viewer)
                try:
                    person = await self._begun(named["email"]) or (await self._hub.do(command)).record
                    assert isinstance(person, str)
                    await self._hub.do(JoinHub(person=person), person)
                    # The role last: with it the hub is begun, and no link begins it again.
                    await self._hub.do(GrantRole(person=person, role=HubRole.CENTER_OFFICER))
                except BaseException:
                    await self._hub.credentials.again(FIRST, secret, FIRST_LIVES)
                    raise
                return await signed_in(self._hub, request, person, "/?welcome=1")
            except Refusal as refusal:
                wrong[refusal.field or "name"] = translated(refusal.message, request.state.language, refusal.values)
        return self._site.render(request, "first", viewer, 422 if wrong else 200, sent=sent, wrong=wrong)

    async def _begun(self, email: str) -> str | None:
        # Who was invited, and came, by a try that ended before it gave them their role.
        sql = f"SELECT id FROM {self._hub.models.schema}.person WHERE id = $1 AND status IN ('invited', 'joined')"
        found: str | None = await self._hub.log.pool.fetchval(sql, await self._hub.person_of(email))
        return found

    async def invitation(self, request: Request) -> Response:
        """A new link for somebody who was invited and has not come yet: the Center makes it."""
        viewer = await self._site.viewer(request)
        if await of_this_site(request) is None:
            return await self._site.not_taken(request)
        person = request.path_params["id"]
        if not viewer.signed_in or CENTER not in viewer.principals or not person.isprintable():
            return self._site.missing(request, viewer)
        return await self._site.invited(request, viewer, person, again=True) or RedirectResponse(
            f"/people/{quote(person)}", 303
        )

    async def sign_out(self, request: Request) -> Response:
        """End the session at once."""
        if await of_this_site(request) is None:
            return await self._site.not_taken(request)
        if (secret := request.cookies.get(cookie_of(request))) is not None:
            await self._hub.identity.end(secret)
        response = RedirectResponse("/", 303)
        response.delete_cookie(cookie_of(request), path="/", secure=is_secure(request), httponly=True, samesite="lax")
        return response

    async def preferences(self, request: Request) -> Response:
        """Choose a language, a time zone, light or dark."""
        sent = await of_this_site(request)
        if sent is None:
            return await self._site.not_taken(request)
        response = RedirectResponse(quote(within(sent.get("next", "/")), safe="/?&=%"), 303)
        keep(response, sent.get("language", ""), sent.get("zone", ""), sent.get("theme"), secure=is_secure(request))
        return response
