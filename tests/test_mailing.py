"""Mail: invitations as they are recorded, links for whoever asks, and servers that do not take them."""

import asyncio
import contextlib
import email
import email.policy
import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from domain.core import Refusal
from domain.people.commands import InvitePerson, JoinHub
from hub import settings
from hub.access import end_all, give_link, give_token
from hub.audit.digests import digest
from hub.checking import command as checked
from hub.door import Hub
from hub.mail import Mail, NotSent
from tests.test_log import region, told
from tests.web import BASE, as_, people_of, redeemed, serving
from tests.web import apart as command
from web import mailing
from web.app import Settings, application
from web.mailing import Mailing

FROM = "hub@hub.example"
_LINK = re.compile(rf"{BASE}/sign-in/(hub_link_\S+)")


class Server:
    """A mail server that keeps what it takes; ``answers`` says what it answers to a recipient, instead of taking it."""

    def __init__(self):
        self.taken, self.answers, self.data = [], {}, {}
        self.tried = []

    async def serve(self, reader, writer):
        async def say(text):
            writer.write(f"{text}\r\n".encode())
            await writer.drain()

        refused = None
        await say("220 mail")
        while line := (await reader.readline()).decode():
            verb = line.split(" ")[0].strip().upper()
            if verb == "EHLO":
                await say("250-mail\r\n250 SMTPUTF8")
            elif verb == "RCPT":
                to = re.search("<(.*)>", line)[1]
                self.tried.append(to)
                await say(self.answers.get(to, "250 yes"))
                refused = self.data.get(to)
            elif verb == "DATA":
                await say("354 go on")
                told = await reader.readuntil(b"\r\n.\r\n")
                if refused:
                    await say(refused)
                    continue
                self.taken.append(email.message_from_bytes(told[:-3], policy=email.policy.default))
                await say("250 taken")
            elif verb == "QUIT":
                await say("221 bye")
                break
            else:
                await say("250 yes")
        writer.close()

    async def get(self, count):
        """So many mails, when they have come."""
        async with asyncio.timeout(10):
            while len(self.taken) < count:
                await asyncio.sleep(0.02)
        assert len(self.taken) == count
        return self.taken


@contextlib.asynccontextmanager
async def mailed(dsn, monkeypatch):
    """An open hub, its application, a mail server, and what mails through it."""
    monkeypatch.setattr(mailing, "LOOK", 0.05)
    monkeypatch.setattr(mailing, "LONGEST", 0.2)
    monkeypatch.setattr(mailing, "AGAIN", 0.1)
    monkeypatch.setattr(mailing, "SOON", (0.1, 0.1))
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    hub = await Hub.open(dsn)
    made = Mailing(hub, Mail(f"smtp://127.0.0.1:{port}", FROM), BASE)
    app = application(hub, Settings(), None, made)
    try:
        yield hub, app, server, made
    finally:
        listening.close()
        await hub.close()


@contextlib.asynccontextmanager
async def kept(made):
    """While invitations are mailed."""
    task = asyncio.create_task(made.keep())
    try:
        async with asyncio.timeout(10):
            while not await made._hub.log.pool.fetchval("SELECT count(*) FROM hub.mailing"):
                await asyncio.sleep(0.02)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def noted(hub):
    """Return when it is noted that all that was recorded is mailed: who mails and ends before that sends it again."""
    async with asyncio.timeout(10):
        while await hub.log.pool.fetchval("SELECT position FROM hub.mailing") < await hub.log.head():
            await asyncio.sleep(0.02)


async def invited(hub, email, language="en"):
    return (await hub.do(InvitePerson(name="Somebody", email=email, language=language))).record


def body(message):
    return message.get_content().replace("\r\n", "\n")


def test_an_invitation_is_mailed_once_in_its_language_and_lets_in(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            await invited(hub, "before@example.org")
            async with kept(made):
                person = await invited(hub, "zarina@example.org", "tg")
                handed_over = await hub.identity.link(person, ends=False)
                await invited(hub, "aibek@example.org", "ky")
                first, second = await server.get(2)
                await noted(hub)
            assert (first["To"], first["From"]) == ("zarina@example.org", FROM)
            assert first["Subject"] == "Шуморо ба хаб даъват мекунанд" and first["Auto-Submitted"] == "auto-generated"
            # A language that the pages do not have yet: the two that most of its speakers read.
            assert second["Subject"] == "You are invited to the hub · Вас приглашают в хаб"
            assert "lets you in once" in body(second) and "войти один раз" in body(second)
            secret = _LINK.search(body(first))[1]
            # Either lets in; once one has, nobody else comes by the other.
            assert await hub.identity.linked(handed_over) == person
            assert await redeemed(hub, secret) == person
            assert await redeemed(hub, handed_over) is None
            # Who was invited while nothing was mailed has not waited in vain, and nobody is written to twice.
            await invited(hub, "later@example.org")
            async with kept(made):
                await server.get(3)
                await asyncio.sleep(0.3)
            assert [each["To"] for each in await server.get(3)][2] == "later@example.org"
            assert await hub.log.pool.fetchval("SELECT position FROM hub.mailing") == await hub.log.head()

    told(story())


def test_an_address_that_is_refused_holds_up_nobody_and_a_server_that_is_busy_is_asked_again(dsn, monkeypatch, caplog):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made), kept(made):
            server.answers = {"gone@example.org": "550 no such user", "full@example.org": "452 later"}
            gone = await invited(hub, "gone@example.org")
            waiting = await invited(hub, "full@example.org")
            await invited(hub, "next@example.org")
            async with asyncio.timeout(10):
                while server.tried.count("full@example.org") < 2:
                    await asyncio.sleep(0.02)
            # Only who is not taken waits.
            (after,) = await server.get(1)
            assert after["To"] == "next@example.org" and server.tried.count("gone@example.org") == 1
            monkeypatch.setenv("HUB_MAIL_URL", made._mail.url)
            monkeypatch.setenv("HUB_MAIL_FROM", FROM)
            monkeypatch.setenv("HUB_URL", "http://hub.example")
            code, out, _ = await asyncio.to_thread(command, dsn, "doctor")
            assert code == 1 and "refused the address (550), hand them a link" in out
            assert f"{waiting}, PersonInvited (2): the mail server refused the address (452), it is tried again" in out
            server.answers = {"gone@example.org": "550 no such user"}
            full = (await server.get(2))[1]
            assert full["To"] == "full@example.org"
            async with asyncio.timeout(10):
                while await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed WHERE next_at IS NOT NULL"):
                    await asyncio.sleep(0.02)
            assert await redeemed(hub, _LINK.search(body(full))[1]) == waiting
            # Once they have come, by a link that was handed over, nothing is amiss.
            await hub.do(JoinHub(person=gone), gone)
            assert (await asyncio.to_thread(command, dsn, "doctor"))[0] == 0
            assert server.tried.count("gone@example.org") == 1

    told(story())
    # Addresses are personal.
    assert "550" in caplog.text and "example.org" not in caplog.text


def test_what_waits_for_one_outlives_whoever_mails_and_is_sent_once_with_a_link_that_is_good(dsn, monkeypatch):
    """Tried again by another process, which knows nothing of the first: no limit of the day, no old link, no second."""

    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            monkeypatch.setattr(mailing, "_INVITATIONS", 1)
            # The first of them dies between two tries: what it has begun to hand over is handed over.
            monkeypatch.setattr(mailing, "AGAIN", 60)
            officer = (await region(hub))[0]
            await hub.do(InvitePerson(name="Plain", email="plain@example.org"), officer)
            plain = await invited(hub, "who-invites@example.org")
            await hub.do(JoinHub(person=plain), plain)
            server.answers = {f"{n}@example.org": "452 later" for n in "ab"}
            head = await hub.log.head()
            async with kept(made):
                for n in "ab":
                    await hub.do(InvitePerson(name="Somebody", email=f"{n}@example.org"), officer)
                async with asyncio.timeout(10):
                    while await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed") < 2:
                        await asyncio.sleep(0.02)
                # An officer makes them a link meanwhile, which ends the one before.
                people = [row[0] for row in await hub.log.pool.fetch("SELECT DISTINCT person FROM hub.unmailed")]
                for person in people:
                    await hub.identity.link(person, ends=True)
                # Whoever mails dies before it has noted how far it came.
            await hub.log.pool.execute("UPDATE hub.mailing SET position = $1", head)
            # One is due; the other one was put off by a clock that was a year ahead.
            ahead = "CASE WHEN position % 2 = 0 THEN interval '1 year' ELSE '0' END"
            await hub.log.pool.execute(f"UPDATE hub.unmailed SET next_at = now() + {ahead}")
            server.answers, before = {}, len(server.taken)
            async with kept(Mailing(hub, made._mail, BASE)):
                *_, one, other = await server.get(before + 2)
                await asyncio.sleep(0.5)
            assert len(server.taken) == before + 2
            assert {one["To"], other["To"]} == {"a@example.org", "b@example.org"}
            found = {await redeemed(hub, _LINK.search(body(each))[1]) for each in (one, other)}
            assert found == set(people)

    told(story())


def test_who_was_erased_or_has_come_meanwhile_is_not_invited(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            async with kept(made):
                pass
            come, _ = await invited(hub, "come@example.org"), await invited(hub, "waits@example.org")
            await hub.do(JoinHub(person=come), come)
            async with kept(made):
                (only,) = await server.get(1)
            assert only["To"] == "waits@example.org"

    told(story())


def test_who_is_shut_out_while_their_invitation_is_written_is_sent_no_link(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            own, shut = hub.identity.link, []

            async def link(person, **named):
                if not shut:
                    shut.append(person)
                    await end_all(hub, person)
                return await own(person, **named)

            monkeypatch.setattr(hub.identity, "link", link)
            async with kept(made):
                for n in "ab":
                    await hub.do(InvitePerson(name="Somebody", email=f"{n}@example.org"))
                (mail,) = await server.get(1)
            assert mail["To"] == "b@example.org" and await hub.identity.held(shut[0]) == []

    told(story())


def test_who_was_shut_out_while_an_invitation_waited_is_sent_no_link(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            server.answers = {"a@example.org": "452 later"}
            async with kept(made):
                person = (await hub.do(InvitePerson(name="Somebody", email="a@example.org"))).record
                other = (await hub.do(InvitePerson(name="Another", email="b@example.org"))).record
                async with asyncio.timeout(10):
                    while not await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed"):
                        await asyncio.sleep(0.02)
                await end_all(hub, person)
                server.answers = {}
                async with asyncio.timeout(10):
                    while await hub.log.pool.fetchval("SELECT count(*) FROM hub.unmailed"):
                        await asyncio.sleep(0.02)
                await server.get(1)
            assert [each["To"] for each in server.taken] == ["b@example.org"]
            assert not await hub.identity.held(person) and await hub.identity.held(other)

    told(story())


def test_nobody_but_the_center_mails_any_number_of_strangers(dsn, monkeypatch):
    monkeypatch.setattr(mailing, "_INVITATIONS", 2)

    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            center, author, *_ = await region(hub)
            async with kept(made):
                pass
            for n in range(4):
                await hub.do(InvitePerson(name="A stranger", email=f"stranger-{n}@example.org"), author)
                await hub.do(InvitePerson(name="A guest", email=f"guest-{n}@example.org"), center)
            async with kept(made):
                await noted(hub)
                told = {each["To"] for each in await server.get(6)}
            assert told == {f"guest-{n}@example.org" for n in range(4)} | {
                f"stranger-{n}@example.org" for n in range(2)
            }

    told(story())


def test_a_link_is_sent_to_whoever_asks_and_nobody_learns_who_is_known(region_dsn, monkeypatch):
    async def story():
        async with (
            mailed(region_dsn, monkeypatch) as (hub, app, server, _),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=BASE) as browser,
        ):
            page = await browser.get("/sign-in")
            assert "Send me a link" in page.text and 'action="/sign-in/mail"' in page.text
            zarina = (await people_of(hub))["karimova"]
            handed_over = await hub.identity.link(zarina)
            known = await browser.post("/sign-in/mail", data={"email": "KARIMOVA@hub.example "})
            (mail,) = await server.get(1)
            assert mail["To"] == "karimova@hub.example" and mail["Subject"] == "Sign in to the hub"
            unknown = await browser.post("/sign-in/mail", data={"email": "nobody@hub.example"})
            assert known.status_code == unknown.status_code == 200 and known.text == unknown.text
            assert "a link is on its way" in known.text
            secret = _LINK.search(body(mail))[1]
            # Nobody else's asking ends a link that was handed over.
            assert await hub.identity.linked(handed_over) == zarina
            opened = await browser.post(f"/sign-in/{secret}")
            assert opened.status_code == 303 and await redeemed(hub, secret) is None
            assert await redeemed(hub, handed_over) is None
            for _ in range(4):
                again = await browser.post(
                    "/sign-in/mail", data={"email": "karimova@hub.example"}, headers={"accept-language": "ru"}
                )
                assert again.status_code == 200
            # Nobody fills somebody's mailbox.
            *_, last = await server.get(3)
            await asyncio.sleep(0.3)
            assert len(server.taken) == 3 and last["Subject"] == "Вход в хаб"
            wrong = await browser.post("/sign-in/mail", data={"email": "no <address>"})
            assert (
                wrong.status_code == 422 and "no &lt;address&gt;" in wrong.text and 'id="email-problem"' in wrong.text
            )
            elsewhere = {"origin": "https://elsewhere.example"}
            sent = await browser.post("/sign-in/mail", data={"email": "a@b.org"}, headers=elsewhere)
            assert sent.status_code == 403

    told(story())


def test_who_can_be_acted_for_by_somebody_else_is_told_so_and_ends_it(region_dsn, monkeypatch):
    async def story():
        async with mailed(region_dsn, monkeypatch) as (hub, app, server, made), kept(made):
            zarina = (await people_of(hub))["karimova"]
            link = await give_link(hub, zarina)
            (mail,) = await server.get(1)
            assert mail["Subject"] == "Каси дигаре метавонад аз номи шумо амал кунад"
            assert f"{BASE}/profile?tab=signing-in" in body(mail) and link not in body(mail)
            # It comes whatever they choose: no choice is offered.
            assert "/do/chooseNotices" not in body(mail)
            own = await as_(hub, app, zarina)
            page = (await own.get("/profile?tab=signing-in")).text
            assert "Links that nobody has used yet" in page and "End all others" in page and link not in page
            history = (await own.get(f"/people/{zarina}")).text
            assert "with which somebody else can act as this person" in history
            await own.post("/sessions", data={"end": "others"})
            assert await redeemed(hub, link) is None
            assert "Links that nobody has used yet" not in (await own.get("/profile?tab=signing-in")).text
            token = await give_token(hub, zarina, ["read"], "nightly", 1)
            (_, mail) = await server.get(2)
            assert f"{BASE}/profile?tab=tokens" in body(mail) and token not in body(mail)

    told(story())


def test_a_link_is_sent_through_a_server_that_takes_nothing_at_first_sight(region_dsn, monkeypatch):
    async def story():
        async with mailed(region_dsn, monkeypatch) as (_, _, server, made):
            server.answers = {"karimova@hub.example": "451 greylisted, come back"}
            await made.asked("karimova@hub.example", "en")
            async with asyncio.timeout(10):
                while not server.tried:
                    await asyncio.sleep(0.02)
            server.answers = {}
            (mail,) = await server.get(1)
            assert mail["To"] == "karimova@hub.example"

    told(story())


def test_read_models_are_sealed_while_mails_are_kept(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, _, made):
            await invited(hub, "first@example.org")
            async with kept(made), asyncio.timeout(10):
                sealing = await digest(dsn, hub.models.schema)
                assert sealing.position == await hub.log.head()

    told(story())


def test_what_is_typed_alike_is_sent_to_the_address_that_is_known(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            await invited(hub, "Straße@example.org")
            await made.asked("STRASSE@example.org", "en")
            (mail,) = await server.get(1)
            assert mail["To"] == "Straße@example.org"

    told(story())


def test_whoever_invites_is_told_that_it_was_mailed(region_dsn, monkeypatch):
    async def story():
        async with mailed(region_dsn, monkeypatch) as (hub, app, _, _):
            people = await people_of(hub)
            for key in ("karimova", "rahimova"):
                page = await as_(hub, app, people[key])
                given = {"name": "Нав Омада", "email": f"new-{key}@example.org", "language": "tg"}
                told_so = await page.post("/do/invitePerson", data=given, follow_redirects=True)
                assert told_so.status_code == 200 and "with the link that lets them in" in told_so.text, told_so.text
                assert "hub_link_" not in told_so.text

    told(story())


@pytest.mark.parametrize(
    "subject",
    ["Your proposal was given back for changes · Вашу заявку вернули на доработку", "A partner will not take part"],
)
def test_the_words_of_a_subject_stay_apart_however_it_is_folded(dsn, monkeypatch, subject):
    async def story():
        async with mailed(dsn, monkeypatch) as (_, _, server, made):
            for to in ("zarina@example.org", "зарина@example.org"):
                await made._mail.send(to, subject, "Text")
            assert [each["Subject"] for each in await server.get(2)] == [subject] * 2

    told(story())


def test_without_a_server_nothing_is_offered(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, _, client):
            anybody = (await client()).http
            assert "/sign-in/mail" not in (await anybody.get("/sign-in")).text
            assert (await anybody.post("/sign-in/mail", data={"email": "a@b.org"})).status_code == 404

    told(story())


ODD = [
    "a@[b.org",
    "=?utf-8?q?a?=@b.org",
    "a@b,c.org",
    "a(b@b.org",
    'a"@b.org',
    "a@b..org",
    "a@b.org.",
    "<a@b.org>@c.org",
]


@pytest.mark.parametrize(
    "address", [*ODD, "a b@c.org", "a@b", "@b.org", "a@b.org\nb@c.org", "a@-b.org", "a" * 250 + "@b.org"]
)
def test_an_address_that_no_mail_can_be_sent_to_is_refused_at_the_door(address):
    with pytest.raises(Refusal) as refused:
        checked(InvitePerson, {"name": "Somebody", "email": address})
    assert refused.value.field == "email"
    assert len(address) > 254 or "like name@university.tj" in refused.value.message


@pytest.mark.parametrize("address", ["a@b.org", "ҷамила.о'нил+hub@донишгоҳ.example.org", "x_1@sub-domain.b2.tj"])
def test_an_address_of_any_script_is_taken(address):
    assert checked(InvitePerson, {"name": "Somebody", "email": address}).email == address


def test_an_odd_address_is_never_read_as_another_one_and_holds_up_nobody(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made), kept(made):
            for each in ODD:
                await invited(hub, each)
            await invited(hub, "ҷамила.о'нил+hub@донишгоҳ.example.org")
            await server.get(1)
            assert server.tried == ["ҷамила.о'нил+hub@донишгоҳ.example.org"]

    told(story())


def test_what_a_server_refuses_for_good_holds_up_nobody_and_what_is_set_wrong_waits(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, server, made):
            server.data = {"poison@example.org": "550 no", "grey@example.org": "451 not at first sight"}
            async with kept(made):
                await invited(hub, "poison@example.org")
                await invited(hub, "grey@example.org")
                await invited(hub, "behind@example.org")
                (mail,) = await server.get(1)
                assert mail["To"] == "behind@example.org"
                await noted(hub)
                server.data = {}
                assert (await server.get(2))[1]["To"] == "grey@example.org"
                server.taken.pop()
            with_user = Mailing(hub, Mail(made._mail.url.replace("//", "//user:word@"), FROM), BASE)
            async with kept(with_user):
                person = await invited(hub, "waits@example.org")
                async with asyncio.timeout(10):
                    while "lets nobody sign in" not in await hub.log.pool.fetchval("SELECT trouble FROM hub.mailing"):
                        await asyncio.sleep(0.02)
                await asyncio.sleep(0.5)
                # However often it is tried, one link was made.
                links = "SELECT count(*) FROM hub.access WHERE person = $1 AND kind = 'link'"
                assert await hub.log.pool.fetchval(links, person) == 1
            async with kept(made):
                assert (await server.get(2))[1]["To"] == "waits@example.org"

    told(story())


@pytest.mark.parametrize(
    ("url", "to", "final"),
    [
        ("smtp://127.0.0.1:1", "a@example.org", False),
        ("smtps://127.0.0.1:1", "a@example.org", False),
        ("smtp://127.0.0.1:1", "a@example.org\nBcc: b@example.org", True),
        ("smtp://a..b:25", "a@example.org", False),
    ],
)
def test_what_cannot_be_sent_says_why_and_names_nobody(url, to, final):
    with pytest.raises(NotSent) as failed:
        asyncio.run(Mail(url, FROM).send(to, "Subject", "Text"))
    assert failed.value.final is final and "example.org" not in str(failed.value)


def test_no_link_crosses_a_network_in_the_open():
    async def story():
        server = Server()
        listening = await asyncio.start_server(server.serve, "127.0.0.2", 0)
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(NotSent, match="no encryption"):
            await Mail(f"smtp://127.0.0.2:{port}", FROM).send("a@example.org", "Subject", "Text")
        assert not server.taken and not server.tried
        listening.close()

    told(story())


@pytest.mark.parametrize(
    ("url", "sender", "base", "words"),
    [
        ("smtp://mail.example", "", "https://hub.example", "belong together"),
        ("", FROM, "https://hub.example", "belong together"),
        ("https://mail.example", FROM, "https://hub.example", "no address of a mail server"),
        ("smtp://user:s3cret@:x", FROM, "https://hub.example", "no address of a mail server"),
        ("smtp://mail.example", "The hub", "https://hub.example", "HUB_MAIL_FROM"),
        ("smtp://mail.example", FROM, "", "HUB_URL"),
        ("smtp://user:s3cret@mail.example:587", FROM, "https://hub.example", ""),
    ],
)
def test_settings_of_mail_that_cannot_be_meant_are_named(monkeypatch, url, sender, base, words):
    for name, value in (("HUB_MAIL_URL", url), ("HUB_MAIL_FROM", sender), ("HUB_URL", base)):
        monkeypatch.setenv(name, value)
    said = settings.wrong()
    assert words in said and bool(said) == bool(words) and "s3cret" not in said


def test_what_was_refused_for_good_is_forgotten_after_a_while(dsn, monkeypatch):
    async def story():
        async with mailed(dsn, monkeypatch) as (hub, _, _, made):
            for days in (100, 10):
                at = datetime.now(UTC) - timedelta(days=days)
                await hub.do(InvitePerson(name="Somebody", email=f"{days}@example.org"), at=at)
            note = "INSERT INTO hub.unmailed (position, person, why) SELECT position, 'person_x', 'no' FROM hub.event"
            await hub.log.pool.execute(note)
            monkeypatch.setattr(mailing, "_TIDY", 0.0)
            async with kept(made):
                await noted(hub)
                assert [row[0] for row in await hub.log.pool.fetch("SELECT position FROM hub.unmailed")] == [2]
                # Also while it goes on.
                await hub.log.pool.execute(note + " ON CONFLICT DO NOTHING")
                async with asyncio.timeout(5):
                    while len(await hub.log.pool.fetch("SELECT position FROM hub.unmailed")) > 1:
                        await asyncio.sleep(0.02)

    told(story())
