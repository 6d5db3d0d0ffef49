"""Signing in: by an institution's provider that others wrote, as the first administrator; sessions, cookies, tries."""

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from webauthn.helpers import bytes_to_base64url

from hub.access import end_all
from hub.credentials import FIRST, FIRST_LIVES
from hub.door import Hub
from hub.identity import by_session, unless_ended
from tests.test_log import told
from tests.web import BASE, Client, as_, home_of, node, people_of, serving
from web.asking import COOKIE, SECURE
from web.federation import Federation
from web.sessions import Throttle, device, within

BACK = f"{BASE}/sign-in/institution/back"
PEOPLE = {
    "account-1": {"email": "karimova@hub.example", "email_verified": True},
    "account-2": {"email": "karimova@hub.example", "email_verified": False},
    "account-3": {"email": "nobody@hub.example", "email_verified": True},
    "account-4": {},
    "account-5": {"email": "karimova@hub.example", "email_verified": True},
}
SECRET = "a s3:cret/+% of both"


@pytest.fixture(scope="module")
def provider():
    """The address of a provider; ``/become?sub=…`` says who signs in there next."""
    process = node("provider.mjs", BACK, SECRET, json.dumps(PEOPLE))
    line = process.stdout.readline()
    while line and not line.startswith("http://127.0.0.1"):
        line = process.stdout.readline()
    yield line.strip()
    process.kill()
    process.wait()


@pytest.fixture
def institution(provider, monkeypatch):
    """The same, named in the hub's settings."""
    for name, value in (("ISSUER", provider), ("CLIENT_ID", "hub"), ("CLIENT_SECRET", SECRET)):
        monkeypatch.setenv(f"HUB_OIDC_{name}", value)
    return provider


async def through(client, provider, account, change=lambda address: address):
    """Begin at the hub, sign in at the provider, and come back; answers what the hub says."""
    begun = await client.get("/sign-in/institution?next=/proposals")
    assert begun.status_code == 303
    async with httpx2.AsyncClient() as browser:
        await browser.get(f"{provider}/become", params={"sub": account})
        address = begun.headers["location"]
        asked = parse_qs(urlsplit(address).query)
        assert asked["code_challenge_method"] == ["S256"] and len(asked["nonce"][0]) > 20
        while not address.startswith(BASE):
            answer = await browser.get(address)
            assert answer.status_code in (302, 303), answer.text
            address = str(answer.url.join(answer.headers["location"]))
    return await client.get(change(address).removeprefix(BASE))


def test_an_institution_says_who_somebody_is(region_dsn, institution):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            http = (await client()).http
            assert "Sign in with your institution" in (await http.get("/sign-in")).text
            done = await through(http, institution, "account-1")
            assert (done.status_code, done.headers["location"]) == (303, "/proposals")
            person = (await people_of(hub))["karimova"]
            assert (await app.endpoint.viewers.find(http.cookies[COOKIE])).person == person
            # From now on the account counts, whatever address the institution gives to somebody else.
            assert await hub.credentials.known_to(institution, "account-1") == person
            other = (await client()).http
            # And none that comes with the same address later: the institution has given that to somebody else.
            for account, why in (
                ("account-2", "email_verified"),
                ("account-3", "nobody has invited you here"),
                ("account-4", "email_verified"),
                ("account-5", "Another account of your institution"),
            ):
                refused = await through(other, institution, account)
                assert refused.status_code == 403 and why in refused.text
                assert COOKIE not in other.cookies

    told(story())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda address: re.sub("state=[^&]+", "state=other", address), 400),
        (lambda address: re.sub("state=[^&]+&?", "", address), 400),
        (lambda address: re.sub("code=[^&]+", "code=other", address), 403),
        (lambda address: re.sub("code=[^&]+&?", "", address), 403),
        (lambda address: re.sub("iss=[^&]+", "iss=https://elsewhere.example", address), 403),
    ],
)
def test_who_comes_back_with_something_else_is_nobody(region_dsn, institution, change, status, caplog):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            http = (await client()).http
            answer = await through(http, institution, "account-1", change)
            assert answer.status_code == status and COOKIE not in http.cookies
            # Who runs the hub finds out why.
            assert ("did not confirm who somebody is" in caplog.text) == (status == 403)

    told(story())


def test_what_one_browser_began_no_other_ends(region_dsn, institution):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            victim, address = (await client()).http, []
            await through((await client()).http, institution, "account-1", lambda at: address.append(at) or f"{BASE}/")
            assert (await victim.get(address[0].removeprefix(BASE))).status_code == 400
            assert COOKIE not in victim.cookies

    told(story())


def test_the_keys_and_the_nonce_of_a_provider_count(region_dsn, institution, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            from web import federation

            real = federation.jwt.decode

            def changed(*args, **named):
                found = real(*args, **named)
                found.claims["nonce"] = "another"
                return found

            monkeypatch.setattr(federation.jwt, "decode", changed)
            http = (await client()).http
            assert (await through(http, institution, "account-1")).status_code == 403
            monkeypatch.setattr(federation.jwt, "decode", real)
            assert (await through(http, institution, "account-1")).status_code == 303

    told(story())


def test_a_provider_that_is_away_is_said_to_be(region_dsn, monkeypatch):
    for name, value in (("ISSUER", "http://127.0.0.1:9"), ("CLIENT_ID", "hub"), ("CLIENT_SECRET", "x")):
        monkeypatch.setenv(f"HUB_OIDC_{name}", value)

    async def story():
        async with serving(region_dsn) as (_, _, client):
            answer = await (await client()).http.get("/sign-in/institution")
            assert answer.status_code == 503 and "does not answer now" in answer.text

    told(story())


def test_without_settings_there_is_no_institution(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            http = (await client()).http
            assert "institution" not in (await http.get("/sign-in")).text
            assert (await http.get("/sign-in/institution")).status_code == 404
            assert (await http.get("/sign-in/institution/back?code=x&state=y")).status_code == 404

    told(story())


def test_an_empty_hub_prints_a_link_for_its_first_administrator(empty_dsn):
    env = {**os.environ, "HUB_DATABASE_URL": empty_dsn, "HUB_HOME": str(home_of(empty_dsn)), "PYTHONUNBUFFERED": "1"}
    env["HUB_ORIGIN"] = "trial.invalid/log"
    from tests.web import free_port

    command = [sys.executable, "-m", "hub", "serve", "--port", str(free_port())]
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    try:
        link = next(line.strip() for line in process.stderr if "/sign-in/first/" in line)
        next(line for line in process.stderr if "The hub is open" in line)
        with httpx2.Client(transport=httpx2.HTTPTransport(retries=20)) as client:
            assert "The first administrator" in client.get(link).text
            wrong = client.post(link, data={"name": "Ситора", "email": "no address"})
            assert wrong.status_code == 422 and "Ситора" in wrong.text and COOKIE not in client.cookies
            done = client.post(link, data={"name": "Ситора Ҳасанова", "email": "sitora@example.org"})
            assert done.status_code == 303
            home = client.get(str(done.url.join(done.headers["location"]))).text
            assert "Ситора Ҳасанова" in home and "/do/draftCall" in home and "make a passkey" in home
            assert client.get(link).status_code == client.post(link, data={}).status_code == 410
    finally:
        process.kill()
        process.wait()


def test_only_the_newest_first_link_counts_and_none_where_somebody_is(dsn, region_dsn):
    async def story():
        hub = await Hub.open(dsn)
        older = await hub.credentials.begin(FIRST, {}, FIRST_LIVES)
        newer = await hub.credentials.begin(FIRST, {}, FIRST_LIVES)
        assert not await hub.credentials.begun(FIRST, older) and await hub.credentials.begun(FIRST, newer)
        await hub.close()
        async with serving(region_dsn) as (hub, _, client):
            secret = await hub.credentials.begin(FIRST, {}, FIRST_LIVES)
            answer = await (await client()).http.post(f"/sign-in/first/{secret}", data={"name": "X", "email": "x@y.zz"})
            assert answer.status_code == 410

    told(story())


def test_sessions_are_listed_and_ended(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            here, there = await as_(hub, app, person), await as_(hub, app, person)
            listed = (await here.get("/profile?tab=signing-in")).text
            assert listed.count('name="end"') == 2 and "this one" in listed
            assert (await here.post("/sessions", data={"end": "others"})).status_code == 303
            assert (await there.get("/profile")).status_code == 303
            assert (await here.get("/profile")).status_code == 200
            # Nobody ends what is somebody else's, and a token ends nothing.
            other = await hub.identity.session((await people_of(hub))["osmonov"])
            other_id = (await app.endpoint.viewers.find(other)).access.id
            await here.post("/sessions", data={"end": other_id})
            assert (await app.endpoint.viewers.find(other)).signed_in
            token = await as_(hub, app, person, "everything")
            assert (await token.post("/sessions", data={"end": "others"})).headers["location"].startswith("/sign-in")
            for tab in ("about", "tokens", "signing-in"):
                assert (await token.get(f"/profile?tab={tab}")).status_code == 303
            assert (await here.get("/profile")).status_code == 200

    told(story())


def test_signing_in_begins_a_new_session_and_ends_the_old_one(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            http = await as_(hub, app, person)
            before = http.cookies[COOKIE]
            link = await hub.identity.link(person)
            answer = await http.post(f"/sign-in/{link}")
            after = re.match(f"{COOKIE}=([^;]+)", answer.headers["set-cookie"])[1]
            assert after != before and (await app.endpoint.viewers.find(before)).person is None
            assert (await app.endpoint.viewers.find(after)).person == person

    told(story())


def test_over_https_a_session_is_its_host_s_alone(region_dsn, monkeypatch):
    monkeypatch.setenv("HUB_URL", "https://hub.example")

    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            http = (await client()).http
            answer = await http.post(f"/sign-in/{await hub.identity.link(person)}")
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"{SECURE}=") and "Domain" not in cookie
            for part in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"):
                assert part in cookie
            chosen = (await http.post("/preferences", data={"language": "tg"})).headers["set-cookie"]
            assert chosen.startswith("hub_language=tg") and "Secure" in chosen
            # Whoever is on the line can write a page of plain http: it sends nothing here.
            sent = await http.post("/preferences", data={"language": "ru"}, headers={"origin": BASE})
            assert sent.status_code == 403
            # A cookie that any page of plain http could have set opens nothing.
            plain = (await client()).http
            plain.cookies.set(COOKIE, await hub.identity.session(person))
            assert (await plain.get("/profile")).status_code == 303

    told(story())


def test_who_tries_too_often_waits(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            http = (await client()).http
            answers = [await http.post(f"/sign-in/hub_link_{n}") for n in range(25)]
            assert {each.status_code for each in answers[:20]} == {410}
            assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
            assert (await http.get("/sign-in")).status_code == 200

    told(story())


def test_tries_come_back_with_time():
    throttle = Throttle(tries=2, seconds=3, most=2)
    assert [throttle.wait("a", now) for now in (0, 0)] == [0, 0]
    assert throttle.wait("a", 0) == 3 and throttle.wait("a", 2.9) >= 1 and throttle.wait("a", 3.1) == 0
    assert throttle.wait("b", 3.1) == throttle.wait("c", 3.1) == 0
    assert len(throttle._spent) == 2


@pytest.mark.parametrize(
    ("target", "safe"),
    [
        ("/proposals?x=1", True),
        ("//elsewhere.example", False),
        ("/\\elsewhere", False),
        ("https://x", False),
        ("", False),
    ],
)
def test_nobody_is_sent_elsewhere(target, safe):
    assert within(target) == (target if safe else "/")


def test_looking_at_an_address_does_nothing(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            person, head = (await people_of(hub))["karimova"], await hub.log.head()
            link = await hub.identity.link(person)
            http = (await client()).http
            for method in ("HEAD", "GET"):
                assert "set-cookie" not in (await http.request(method, f"/sign-in/{link}")).headers
            mine = await as_(hub, app, person)
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'open'")
            lead = await hub.log.pool.fetchval(
                f"SELECT organization FROM {hub.models.schema}.affiliation WHERE person = $1", person
            )
            for method in ("HEAD", "GET"):
                await mine.request(method, f"/do/draftProposal?call={call}&lead={lead}&title=By+looking&!key=x")
            assert await hub.log.head() == head
            assert (await http.post(f"/sign-in/{link}")).status_code == 303

    told(story())


def test_a_form_that_comes_back_shows_times_as_it_did(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            center = await as_(hub, app, (await people_of(hub))["rahimova"])
            call = await hub.log.pool.fetchval(f"SELECT id FROM {hub.models.schema}.call WHERE status = 'published'")
            before = await hub.log.pool.fetchval(f"SELECT closes_at FROM {hub.models.schema}.call WHERE id = $1", call)
            center.cookies.set("hub_zone", "UTC")
            form = (await center.get(f"/do/amendCall?call={call}")).text
            sent = dict(re.findall(r'name="([^"]+)"[^>]* value="([^"]*)"', form))
            clock = "%Y-%m-%dT%H:%M:%S" if before.second else "%Y-%m-%dT%H:%M"
            assert sent["closes_at"] == before.strftime(clock) and sent["!zone"] == "UTC"
            sent = {
                name: value
                for name, value in sent.items()
                if name not in ("!preview", "!choose") and "summary" not in name and "criteria" not in name
            }
            center.cookies.set("hub_zone", "Asia%2FBishkek")
            again = await center.post("/do/amendCall", data={**sent, "call": call, "reason": ""})
            assert again.status_code == 422
            shown = dict(re.findall(r'name="([^"]+)"[^>]* value="([^"]*)"', again.text))
            for name in ("!zone", "closes_at", "!was.closes_at", "opens_at", "!was.opens_at"):
                assert shown[name] == sent[name], name

    told(story())


def test_what_a_provider_answers_wrongly_is_no_answer_and_not_remembered(region_dsn, institution, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            from web import federation

            http, real = (await client()).http, httpx2.Response.json
            for odd in ([], None, "x", {"issuer": institution}, {"issuer": institution, "jwks_uri": 1}):
                monkeypatch.setattr(httpx2.Response, "json", lambda self, odd=odd: odd)
                assert (await http.get("/sign-in/institution")).status_code == 503, odd
            monkeypatch.setattr(httpx2.Response, "json", real)
            assert (await http.get("/sign-in/institution")).status_code == 303
            decode = federation.jwt.decode
            changes = [
                ("sub", "account\0-1"),
                ("sub", 7),
                ("exp", "inf"),
                ("nbf", 9e9),
                ("email", "\u212aarimova@hub.example"),
            ]
            for name, value in changes:

                def changed(*args, name=name, value=value, **named):
                    found = decode(*args, **named)
                    found.claims.update({"email": "x@y.zz", "email_verified": True, name: value})
                    return found

                monkeypatch.setattr(federation.jwt, "decode", changed)
                other = (await client()).http
                assert (await through(other, institution, "account-4")).status_code == 403, name
                assert COOKIE not in other.cookies

    told(story())


def test_a_device_is_told_in_two_words():
    assert device("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36") == (
        "Chrome, Android"
    )
    assert device("curl/8\x00тест") == "curl/8"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"credential": 1}', b'{"credential": {"id": "\\u0000"}}', b"[" * 9999]
)
def test_a_passkey_that_is_none_is_refused(region_dsn, body):
    async def story():
        async with serving(region_dsn) as (hub, app, client):
            http = (await client()).http
            assert (await http.post("/sign-in/passkey/begin")).status_code == 200
            answer = await http.post("/sign-in/passkey", content=body)
            assert answer.status_code == 400 and COOKIE not in http.cookies
            assert (await http.post("/passkeys/begin")).status_code == 403
            mine = await as_(hub, app, (await people_of(hub))["karimova"])
            assert (await mine.post("/passkeys/begin")).status_code == 200
            assert (await mine.post("/passkeys", content=body)).status_code == 400
            elsewhere = {"sec-fetch-site": "cross-site"}
            assert (await http.post("/sign-in/passkey/begin", headers=elsewhere)).status_code == 403

    told(story())


def test_a_passkey_whose_key_is_no_key_is_refused(region_dsn):
    """A list where a COSE key is asked for: the library looks for its third part."""

    async def story():
        async with serving(region_dsn) as (hub, app, _):
            mine = await as_(hub, app, (await people_of(hub))["karimova"])
            challenge = (await mine.post("/passkeys/begin")).json()["challenge"]
            host, origin = BASE.partition("://")[2], BASE
            said = {"type": "webauthn.create", "challenge": challenge, "origin": origin, "crossOrigin": False}
            data = hashlib.sha256(host.encode()).digest() + b"\x45" + bytes(20) + b"\x00\x10" + b"x" * 16 + b"\x81\x01"
            # CBOR: {"fmt": "none", "attStmt": {}, "authData": data}
            made = b"\xa3cfmtdnonegattStmt\xa0hauthDataX" + bytes([len(data)]) + data
            coded = [bytes_to_base64url(each) for each in (b"x" * 16, json.dumps(said).encode(), made)]
            response = {"clientDataJSON": coded[1], "attestationObject": coded[2]}
            credential = {"id": coded[0], "rawId": coded[0], "type": "public-key", "response": response}
            answer = await mine.post("/passkeys", json={"credential": credential})
            assert answer.status_code == 400 and "no passkey" in answer.text

    told(story())


def test_whoever_is_erased_cannot_come_back(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, _, _):
            from domain.erasure import ErasePerson

            person = (await people_of(hub))["osmonov"]
            assert await hub.person_of("OSMONOV@hub.example ") == person
            await hub.identity.session(person)
            (here,) = await hub.identity.held(person)
            await hub.credentials.add("key", person, b"x", 0, "a phone", by_session(here.id))
            await hub.credentials.bind("https://issuer.example", "them", person, unless_ended(person, 0))
            await hub.do(ErasePerson(person=person))
            assert await hub.credentials.passkeys(person) == []
            assert await hub.credentials.known_to("https://issuer.example", "them") is None
            assert await hub.person_of("osmonov@hub.example") is None

    told(story())


def test_of_two_accounts_that_sign_in_at_once_one_is_theirs(dsn):
    async def story():
        hub = await Hub.open(dsn)
        for n in range(20):
            bound = await asyncio.gather(
                *(
                    hub.credentials.bind(
                        "https://issuer.example", f"{n} {k}", f"person_{n}", unless_ended(f"person_{n}", 0)
                    )
                    for k in range(4)
                )
            )
            assert sum(bound) == 1
        await hub.close()

    told(story())


def test_nobody_begins_to_sign_in_any_number_of_times(region_dsn, monkeypatch):
    """Each time something is noted of it."""
    for name, value in (("ISSUER", "http://127.0.0.1:9"), ("CLIENT_ID", "hub"), ("CLIENT_SECRET", "secret")):
        monkeypatch.setenv(f"HUB_OIDC_{name}", value)

    async def story():
        async with serving(region_dsn) as (_, app, _):
            browser = Client(app).http
            answers = [(await browser.get("/sign-in/institution")).status_code for _ in range(90)]
            assert set(answers[:60]) == {503} and 429 in answers[60:]

    told(story())


@pytest.mark.parametrize("moment", ["first", "known", "bound"])
def test_who_is_shut_out_while_their_institution_answers_begins_again(region_dsn, institution, monkeypatch, moment):
    async def story():
        async with serving(region_dsn) as (hub, _, client):
            person = (await people_of(hub))["karimova"]
            if moment == "known":
                assert (await through((await client()).http, institution, "account-1")).status_code == 303
            own, bind = Federation._claims, hub.credentials.bind

            async def claims(self, *given):
                found = await own(self, *given)
                await end_all(hub, person)
                return found

            async def bound(*given):
                await end_all(hub, person)
                return await bind(*given)

            if moment == "bound":
                monkeypatch.setattr(hub.credentials, "bind", bound)
            else:
                monkeypatch.setattr(Federation, "_claims", claims)
            http = (await client()).http
            answer = await through(http, institution, "account-1")
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in") and COOKIE not in http.cookies
            assert await hub.credentials.known_to(institution, "account-1") is None
            # And comes in afterwards: what had been shown has ended, not the person.
            monkeypatch.setattr(Federation, "_claims", own)
            monkeypatch.setattr(hub.credentials, "bind", bind)
            assert (await through(http, institution, "account-1")).headers["location"] != "/sign-in"
            assert COOKIE in http.cookies and await hub.credentials.known_to(institution, "account-1") == person

    told(story())
