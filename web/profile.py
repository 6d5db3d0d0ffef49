"""The reader's own page, and what lets them in: their tokens, sessions, links and passkeys."""

from collections.abc import Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.act import new_id
from hub.identity import Access, by_session
from web import tokens
from web.asking import of_this_site
from web.pages import text
from web.site import Site, Unanswered
from web.words import translated

EMPTY: Mapping[str, str] = MappingProxyType({})


class Profile:
    """``/profile`` and the forms on it, for whoever has signed in themselves."""

    def __init__(self, site: Site) -> None:
        self._site, self._hub = site, site.endpoint.reads.hub

    async def show(
        self, request: Request, secret: str = "", sent: Mapping[str, str] = EMPTY, wrong: Mapping[str, str] = EMPTY
    ) -> Response:
        """The reader's own page; with the token that was made, or with what was sent for one and is ``wrong``."""
        viewer = await self._site.viewer(request)
        # What lets somebody in is for their own eyes, and not for a program that shows a token of theirs.
        if not viewer.signed_in or viewer.person is None:
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
            422 if wrong else 200,
            document="profile",
            sent=sent,
            wrong={field: translated(says, request.state.language) for field, says in wrong.items()},
            may=tokens.may(),
            called=tokens.called(),
            marked=tokens.marked(sent),
            tab="tokens" if secret or wrong else request.query_params.get("tab", "about"),
            tokens=[each for each in held if each.kind == "token"],
            sessions=[each for each in held if each.kind == "session"],
            links=[each for each in held if each.kind == "link"],
            current=viewer.access.id if viewer.access else "",
            passkeys=await self._hub.credentials.passkeys(viewer.person),
            secret=secret,
            key=new_id("request"),
            mails=self._site.mailing is not None,
            **data,
        )

    async def _own(self, request: Request) -> tuple[Access, dict[str, str]] | Response:
        # A form about somebody's own access: who they are and what they sent, or why not. A token opens none of them.
        viewer, sent = await self._site.viewer(request), await of_this_site(request)
        if sent is None:
            return await self._site.not_taken(request)
        if not viewer.signed_in or viewer.access is None:
            return RedirectResponse("/sign-in?next=/profile", 303)
        return viewer.access, sent

    async def tokens(self, request: Request) -> Response:
        """Make or revoke a token; the secret is shown once, on the page that answers."""
        own = await self._own(request)
        if isinstance(own, Response):
            return own
        access, sent = own
        if "revoke" in sent:
            await self._hub.identity.revoke(access.person, sent["revoke"])
            return RedirectResponse("/profile?tab=tokens", 303)
        if wrong := tokens.problems(sent):
            return await self.show(request, sent=sent, wrong=wrong)
        key = sent.get("!key", "")[:200]
        secret = await self._hub.identity.token(
            access.person, tokens.scope(sent), tokens.label(sent), int(sent["days"]), key, by_session(access.id)
        )
        # A page that is loaded once more makes no other one; what was shown once is not shown again.
        return await self.show(request, secret) if secret else RedirectResponse("/profile?tab=tokens", 303)

    async def sessions(self, request: Request) -> Response:
        """End a session on another device or a link, or all others."""
        own = await self._own(request)
        if isinstance(own, Response):
            return own
        access, sent = own
        if sent.get("end") == "others":
            await self._hub.identity.end_others(access.person, access.id)
        else:
            await self._hub.identity.revoke(access.person, sent.get("end", ""))
        return RedirectResponse("/profile?tab=signing-in", 303)

    async def forget(self, request: Request) -> Response:
        """Forget a passkey."""
        own = await self._own(request)
        if isinstance(own, Response):
            return own
        access, sent = own
        await self._hub.credentials.remove(access.person, sent.get("remove", ""))
        return RedirectResponse("/profile?tab=signing-in", 303)
