"""Signing in through an institution's OpenID Connect provider: authorization code, PKCE, state and nonce."""

import base64
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from secrets import token_urlsafe
from typing import Any
from urllib.parse import quote_plus

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from domain.core import N_, Refusal
from domain.people.commands import JoinHub
from hub import outside
from hub.credentials import by_account
from hub.identity import Way, unless_ended
from web import sessions
from web.asking import address_of, base_of
from web.passkeys import ceremony, hold_ceremony
from web.reads.viewer import Viewer
from web.site import Site

_log = logging.getLogger("hub")

KIND = "oidc"
_BASIC = "client_secret_basic, encoded"
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_TIMEOUT, _SKEW, _KEPT = 10.0, 60, 3600.0
# What a provider may answer is not ours to trust: whatever cannot be read so is no answer.
_ODD = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class _Another(Exception):
    """Somebody whose account here is bound to another one of theirs at the institution."""


_LONGEST = 2_000
_ANOTHER = N_("Another account of your institution is yours here already: sign in with that one, or with a link.")


@dataclass(frozen=True)
class Provider:
    """The three settings: ``HUB_OIDC_ISSUER``, ``HUB_OIDC_CLIENT_ID``, ``HUB_OIDC_CLIENT_SECRET``."""

    issuer: str
    client_id: str
    client_secret: str

    @classmethod
    def told(cls) -> "Provider | None":
        """The provider that the environment names, where it names all three."""
        found = [os.environ.get(f"HUB_OIDC_{name}", "") for name in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET")]
        return cls(*found) if all(found) else None


class Federation:
    """``/sign-in/institution`` and where the provider sends people back to."""

    def __init__(self, site: Site, throttle: sessions.Throttle, provider: Provider | None) -> None:
        self._site, self._throttle, self.provider = site, throttle, provider
        self._begins = sessions.Throttle(60, 1)
        self._hub = site.endpoint.reads.hub
        self._found: tuple[float, dict[str, Any], Any] | None = None

    async def begin(self, request: Request) -> Response:
        """Send somebody to their institution."""
        viewer = await self._site.viewer(request)
        if self.provider is None:
            return self._site.missing(request, viewer)
        if wait := self._begins.wait(address_of(request)):
            return too_often(self._site, request, viewer, wait)
        try:
            about, _ = await self._about()
        except (httpx2.HTTPError, *_ODD) as error:
            return await self._away(request, error)
        next = sessions.within(request.query_params.get("next", "/"))
        asked = {
            "state": token_urlsafe(24),
            "nonce": token_urlsafe(24),
            "verifier": token_urlsafe(48),
            "next": next if len(next) <= _LONGEST else "/",
        }
        async with self._client(request) as client:
            address, _ = client.create_authorization_url(
                about["authorization_endpoint"],
                state=asked["state"],
                nonce=asked["nonce"],
                code_verifier=asked["verifier"],
            )
        response = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
        secret = await self._hub.credentials.begin(KIND, asked)
        hold_ceremony(response, request, secret)
        return response

    async def back(self, request: Request) -> Response:
        """Somebody comes back: what they bring is checked against what was begun in this very browser."""
        viewer = await self._site.viewer(request)
        if self.provider is None:
            return self._site.missing(request, viewer)
        if wait := self._throttle.wait(address_of(request)):
            return too_often(self._site, request, viewer, wait)
        begun = await self._hub.credentials.end(KIND, ceremony(request))
        given = request.query_params
        if begun is None or given.get("state") != begun["state"]:
            message = N_("This took too long, or it was begun in another browser: begin again.")
            return self._site.problem(request, viewer, 400, N_("Not signed in"), message)
        if "code" not in given or given.get("iss", self.provider.issuer) != self.provider.issuer:
            # What stands in an address was perhaps written by nobody but its visitor: a word of it is enough.
            why = given.get("error", "no code") if "iss" not in given or "error" in given else "another issuer"
            return self._unconfirmed(request, viewer, repr(why[:60]))
        # Before the institution is asked: what has ended since is not opened again by what it says.
        head = await self._hub.log.head()
        try:
            claims = await self._claims(request, given["code"], begun)
        except (httpx2.HTTPError, OSError) as error:
            return await self._away(request, error)
        except OAuthError as error:
            return self._unconfirmed(request, viewer, f"it answers {str(error.error)[:60]!r}")
        except (JoseError, *_ODD) as error:
            return self._unconfirmed(request, viewer, str(error)[:200] or type(error).__name__)
        try:
            person = await self._person(claims, head)
            if person is None:
                return self._uninvited(request, viewer, claims)
            by = by_account(self.provider.issuer, claims["sub"], person)
            return await sessions.signed_in(self._hub, request, person, begun["next"], by)
        except _Another:
            return self._site.problem(request, viewer, 403, N_("Not signed in"), _ANOTHER)
        except sessions.ShutOut:
            # They begin again, and are known as anybody is who comes the first time.
            return RedirectResponse("/sign-in", 303)

    async def _claims(self, request: Request, code: str, begun: dict[str, Any]) -> dict[str, Any]:
        assert self.provider is not None
        about, keys = await self._about()
        async with self._client(request) as client:
            token = await client.fetch_token(about["token_endpoint"], code=code, code_verifier=begun["verifier"])
        try:
            told = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):
            # The provider may have changed its keys since they were fetched.
            self._found = None
            _, keys = await self._about()
            told = jwt.decode(token["id_token"], KeySet.import_key_set(keys), algorithms=_ALGORITHMS)
        claims = told.claims
        # OpenID Connect Core 1.0, 3.1.3.7.
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        fits = (
            claims["iss"] == self.provider.issuer
            and self.provider.client_id in audience
            and claims.get("azp", self.provider.client_id) == self.provider.client_id
            and claims["nonce"] == begun["nonce"]
            and _time(claims["exp"]) > time.time() - _SKEW
            and _time(claims["iat"]) < time.time() + _SKEW
            and _time(claims.get("nbf", 0)) < time.time() + _SKEW
            and _plain(claims["sub"])
        )
        if not fits:
            raise ValueError("the ID token is not for this")
        if "email" not in claims and "userinfo_endpoint" in about:
            async with self._client(request, token) as client:
                more = (await client.get(about["userinfo_endpoint"])).json()
            if more.get("sub") == claims["sub"]:
                claims = {**more, **claims}
        return claims

    async def _person(self, claims: dict[str, Any], head: int) -> str | None:
        # By the account; by an address only the first time, and only where the institution vouches for it.
        assert self.provider is not None
        subject = claims["sub"]
        person = await self._hub.credentials.known_to(self.provider.issuer, subject)
        if person is None and claims.get("email_verified") is True and _plain(claims.get("email")):
            person = await self._hub.person_of(claims["email"])
            if person is not None and not await self._bound(subject, person, unless_ended(person, head)):
                _log.warning("%s has another account at %s: this one signs nobody in", person, self.provider.issuer)
                raise _Another
        if person is not None:
            try:
                await self._hub.do(JoinHub(person=person), person)
            except Refusal:
                return None
        return person

    async def _bound(self, subject: str, person: str, by: Way) -> bool:
        assert self.provider is not None
        if await self._hub.credentials.bind(self.provider.issuer, subject, person, by):
            return True
        if not await by.opens(self._hub.log.pool):
            raise sessions.ShutOut
        return False

    async def _about(self) -> tuple[dict[str, Any], Any]:
        assert self.provider is not None
        if self._found is None or time.monotonic() - self._found[0] > _KEPT:
            async with outside.client(_TIMEOUT) as client:
                address = self.provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
                about = (await client.get(address)).raise_for_status().json()
                if about["issuer"] != self.provider.issuer:
                    raise ValueError("the provider calls itself otherwise")
                if not all(str(about[name]).startswith(("https://", "http://")) for name in _NEEDED):
                    raise ValueError("the provider does not say where to go")
                keys = (await client.get(about["jwks_uri"])).raise_for_status().json()
            self._found = time.monotonic(), about, keys
        return self._found[1], self._found[2]

    def _client(self, request: Request, token: Any = None) -> AsyncOAuth2Client:
        assert self.provider is not None
        made = AsyncOAuth2Client(
            self.provider.client_id,
            self.provider.client_secret,
            scope="openid email",
            redirect_uri=f"{base_of(request)}/sign-in/institution/back",
            code_challenge_method="S256",
            token=token,
            timeout=_TIMEOUT,
            **outside.ways(),
            token_endpoint_auth_method=_BASIC,
        )
        made.register_client_auth_method((_BASIC, _authenticated))
        return made

    def _uninvited(self, request: Request, viewer: Viewer, claims: dict[str, Any]) -> Response:
        message = N_("Your institution knows you, but nobody has invited you here. Ask who invites for you.")
        if claims.get("email_verified") is not True:
            message = N_(
                "Your institution does not say that your address is yours (“email_verified”), so nobody is found "
                "by it. Sign in with a link, and tell your institution."
            )
        return self._site.problem(request, viewer, 403, N_("Not invited yet"), message)

    def _unconfirmed(self, request: Request, viewer: Viewer, why: str) -> Response:
        assert self.provider is not None
        _log.warning("the provider %s did not confirm who somebody is: %s", self.provider.issuer, why)
        message = N_("Your institution did not confirm who you are. Begin again, or sign in with a link.")
        return self._site.problem(request, viewer, 403, N_("Not signed in"), message)

    async def _away(self, request: Request, error: Exception) -> Response:
        assert self.provider is not None
        _log.warning("the provider %s does not answer: %s", self.provider.issuer, str(error) or type(error).__name__)
        message = N_("Your institution does not answer now. Try again in a moment, or sign in with a link.")
        return self._site.problem(request, await self._site.viewer(request), 503, N_("Not signed in"), message)


def _authenticated(
    client: Any, method: str, uri: str, headers: Mapping[str, str], body: str
) -> tuple[str, dict[str, str], str]:
    # RFC 6749, 2.3.1: both are encoded before they are joined.
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return uri, {**headers, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, body


def _plain(value: Any) -> bool:
    # An identifier is compared, never mended: what looks like another one is another one.
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() and value.isprintable()


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError("no time")
    return float(value)


def too_often(site: Site, request: Request, viewer: Any, wait: int) -> Response:
    """The page for who tried too often."""
    message = N_("There were too many tries from where you are. Wait a minute, then try again.")
    response = site.problem(request, viewer, 429, N_("Too many tries"), message)
    response.headers["Retry-After"] = str(wait)
    return response
