"""Signing in with a passkey (WebAuthn), and making one: two steps each, of which the second ends the first."""

import json
from typing import Any
from urllib.parse import urlsplit

import msgspec
import webauthn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from hub.credentials import by_passkey
from hub.identity import by_session
from web import sessions
from web.asking import address_of, base_of, from_elsewhere, is_secure
from web.reads.viewer import Viewer
from web.site import Site

REGISTER, SIGN_IN = "passkey-register", "passkey-sign-in"
MOST = 20
"""Passkeys of one person."""


class Passkeys:
    """``/passkeys`` for who has signed in, ``/sign-in/passkey`` for who has not; both speak JSON with the script."""

    def __init__(self, site: Site, throttle: sessions.Throttle) -> None:
        self._site, self._throttle = site, throttle
        self._hub = site.endpoint.reads.hub
        self._begins = sessions.Throttle(60, 1)

    async def begin_making(self, request: Request) -> Response:
        """What the device needs to make a passkey of this person's."""
        viewer = await self._session(request)
        if viewer is None or not _host(request):
            return _told("Sign in first.", 403)
        assert viewer.person is not None
        name = (await self._site.ask("{ me { name email } }", viewer, {}))["me"]
        held = await self._hub.credentials.passkeys(viewer.person)
        if len(held) >= MOST:
            return _told(f"A person has at most {MOST} passkeys.", 409)
        options = webauthn.generate_registration_options(
            rp_id=_host(request),
            rp_name="The hub",
            user_id=viewer.person.encode(),
            user_name=name["email"] or name["name"],
            user_display_name=name["name"],
            exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id)) for each in held],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
        )
        data = {"challenge": bytes_to_base64url(options.challenge), "person": viewer.person}
        return await self._begun(request, REGISTER, data, webauthn.options_to_json(options))

    async def make(self, request: Request) -> Response:
        """Keep the passkey that the device has made."""
        viewer = await self._session(request)
        if viewer is None:
            return _told("Sign in first.", 403)
        assert viewer.person is not None and viewer.access is not None
        sent, begun = await _body(request), await self._end(request, REGISTER)
        if sent is None or begun is None or begun["person"] != viewer.person:
            return _told("This took too long, or was begun elsewhere: begin again.", 400)
        try:
            made = webauthn.verify_registration_response(
                credential=sent["credential"],
                expected_challenge=base64url_to_bytes(begun["challenge"]),
                expected_rp_id=_host(request),
                expected_origin=_origin(request),
                require_user_verification=True,
            )
        except Exception:
            # Whatever the library makes of bytes that anybody may send.
            return _told("This is no passkey that was made for this page.", 400)
        label = sessions.device(request.headers.get("user-agent", ""))
        id = bytes_to_base64url(made.credential_id)
        if not _fits(id) or not await self._hub.credentials.add(
            id, viewer.person, made.credential_public_key, made.sign_count, label, by_session(viewer.access.id)
        ):
            return _told("This passkey is known already, or you have been signed out.", 409)
        return JSONResponse({"next": "/profile?tab=signing-in"})

    async def begin(self, request: Request) -> Response:
        """What the device needs to show that it holds a passkey; it says itself whose."""
        if from_elsewhere(request):
            return _told("This was sent from another site.", 403)
        if wait := self._begins.wait(address_of(request)):
            return _told("Too many tries: wait a little.", 429, {"Retry-After": str(wait)})
        if not _host(request):
            return _told("This request does not say which host it is for.", 400)
        options = webauthn.generate_authentication_options(
            rp_id=_host(request), user_verification=UserVerificationRequirement.REQUIRED
        )
        data = {"challenge": bytes_to_base64url(options.challenge)}
        return await self._begun(request, SIGN_IN, data, webauthn.options_to_json(options))

    async def sign_in(self, request: Request) -> Response:
        """A session for whoever holds the passkey."""
        if from_elsewhere(request):
            return _told("This was sent from another site.", 403)
        if wait := self._throttle.wait(address_of(request)):
            return _told("Too many tries: wait a little.", 429, {"Retry-After": str(wait)})
        sent, begun = await _body(request), await self._end(request, SIGN_IN)
        if sent is None or begun is None:
            return _told("This took too long, or was begun elsewhere: begin again.", 400)
        credential = sent.get("credential")
        id = str(credential.get("id")) if isinstance(credential, dict) else ""
        passkey = await self._hub.credentials.passkey(id) if _fits(id) else None
        if passkey is None:
            return _told("This passkey is not known here.", 400)
        try:
            shown = webauthn.verify_authentication_response(
                credential=sent["credential"],
                expected_challenge=base64url_to_bytes(begun["challenge"]),
                expected_rp_id=_host(request),
                expected_origin=_origin(request),
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
            handle = sent["credential"]["response"].get("userHandle")
        except Exception:
            # Whatever the library makes of bytes that anybody may send.
            return _told("This is no answer of that passkey.", 400)
        if handle and handle != bytes_to_base64url(passkey.person.encode()):
            return _told("This is no answer of that passkey.", 400)
        await self._hub.credentials.used(id, shown.new_sign_count)
        try:
            session = await sessions.begin(self._hub, request, passkey.person, by_passkey(passkey))
        except sessions.ShutOut:
            return _told("This passkey is not known here.", 400)
        response = JSONResponse({"next": sessions.within(str(sent.get("next") or "/"))})
        sessions.hold(response, request, session)
        return response

    async def _session(self, request: Request) -> Viewer | None:
        # A token does not make passkeys: only who has signed in does, and on this site.
        viewer = await self._site.viewer(request)
        return viewer if viewer.signed_in and not from_elsewhere(request) else None

    async def _begun(self, request: Request, kind: str, data: Any, options: str) -> Response:
        response = Response(options, media_type="application/json", headers={"Cache-Control": "no-store"})
        secret = await self._hub.credentials.begin(kind, data)
        hold_ceremony(response, request, secret)
        return response

    async def _end(self, request: Request, kind: str) -> Any:
        return await self._hub.credentials.end(kind, ceremony(request))


def _ceremony_cookie(request: Request) -> str:
    return "__Host-hub_ceremony" if is_secure(request) else "hub_ceremony"


def ceremony(request: Request) -> str:
    """The secret of what was begun in this browser; empty where nothing was."""
    return request.cookies.get(_ceremony_cookie(request), "")


def hold_ceremony(response: Response, request: Request, secret: str) -> None:
    """Let the browser keep that secret until the ceremony ends: no other site can give it another one over https."""
    name = _ceremony_cookie(request)
    response.set_cookie(name, secret, max_age=600, httponly=True, samesite="lax", secure=is_secure(request))


def _fits(id: str) -> bool:
    # WebAuthn: a credential's id has at most 1,023 bytes.
    return 0 < len(id) <= 1_364 and id.isascii() and id.isprintable()


def _host(request: Request) -> str:
    try:
        return urlsplit(base_of(request)).hostname or ""
    except ValueError:
        return ""


def _origin(request: Request) -> str:
    parts = urlsplit(base_of(request))
    return f"{parts.scheme}://{parts.netloc}"


async def _body(request: Request) -> dict[str, Any] | None:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > 100_000:
            return None
    try:
        sent = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return sent if isinstance(sent, dict) and isinstance(sent.get("credential"), dict) else None


def _told(message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode({"message": message}), status, headers, media_type="application/json")
