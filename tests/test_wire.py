"""A program's request is answered as soon as it is there, whatever stands on the wire around it."""

import asyncio
import contextlib
import gc
import json
import logging
import socket
import struct

import asyncpg
import pytest
import uvicorn

from domain.proposals.commands import ReviseProposal
from hub.pool import Pool
from tests.test_log import told
from tests.test_shortcut import ASKED, SENT, TITLE
from tests.web import Client, draft_of, people_of, serving
from web import wire
from web.wire import SHORTCUT, Wire

ME = {"query": "{ me { name } }"}


class Server(uvicorn.Server):
    """The application of a test behind the hub's own protocol."""

    def __init__(self, app):
        async def shell(scope, receive, send):
            if scope["type"] != "lifespan":
                await app.usual(scope, receive, send)
                return
            await receive()
            scope["state"][SHORTCUT] = app
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

        settings = {"http": Wire, "log_config": None, "server_header": False, "timeout_graceful_shutdown": 3}
        super().__init__(uvicorn.Config(shell, **settings))
        self.socket = socket.create_server(("127.0.0.1", 0))

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def listening(app):
    server = Server(app)
    running = asyncio.create_task(server.serve([server.socket]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await running


@contextlib.asynccontextmanager
async def connected(server):
    reader, writer = await asyncio.open_connection(*server.socket.getsockname()[:2], limit=2**22)
    try:
        yield reader, writer
    finally:
        writer.close()


def request(body=ME, *lines, method=b"POST", target=b"/graphql", version=b"1.1", length=None, **headers):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if length is None or length:
        named["content-length"] = length or str(len(body))
    head = [b"%b %b HTTP/%b" % (method, target, version), b"Host: hub.example", *lines]
    head += [f"{name}: {value}".encode() for name, value in named.items()]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


async def answer(reader):
    """Status, headers and body of the next answer."""
    async with asyncio.timeout(20):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(head[0].split()[1]), headers, body


async def ended(reader):
    async with asyncio.timeout(20):
        return await reader.read() == b""


async def bearer(hub, person):
    return "Bearer " + await hub.identity.token(person, ("everything",), "test", 1)


def test_on_the_wire_answers_are_those_of_the_usual_way(region_dsn):
    async def story():
        async with (
            serving(region_dsn) as (hub, app, _),
            listening(app) as server,
            connected(server) as (reader, writer),
        ):
            shown = await bearer(hub, (await people_of(hub))["karimova"])
            usual = Client(app.usual)
            bodies = [json.dumps(each).encode() for each in ASKED]
            bodies += [b"", b"{", b'{"query": "{ me { name } }"} x', b"\xff", b"[" * 100_000, b'{"query": "\\ud800"}']

            async def asked(body, sent):
                named = {"authorization": shown, "content-type": "application/json", **sent}
                writer.write(request(body, **{name.replace("-", "_"): value for name, value in named.items()}))
                status, headers, content = await answer(reader)
                del headers["date"]
                plain = await usual.http.post("/graphql", content=body, headers=named)
                expected = {name.lower(): value.lower() for name, value in plain.headers.items()}
                expected.setdefault("content-length", "0")
                headers.setdefault("content-length", "0")
                assert (status, headers, content) == (plain.status_code, expected, plain.content), (body[:100], sent)
                return headers

            for sent in SENT:
                for body in bodies if not sent else bodies[:3]:
                    # Asked for the first time, and again, and by whoever holds the answer already.
                    await asked(body, sent)
                    if tag := (await asked(body, sent)).get("etag"):
                        await asked(body, {**sent, "if-none-match": tag})

    told(story())


@pytest.mark.parametrize("how", ["in pieces", "byte by byte", "at once", "mixed"])
def test_requests_are_answered_in_order_however_they_arrive(region_dsn, how):
    async def story():
        async with (
            serving(region_dsn) as (hub, app, _),
            listening(app) as server,
            connected(server) as (reader, writer),
        ):
            people = await people_of(hub)
            shown = await bearer(hub, people["karimova"])
            for _ in range(2):
                sent = []
                for n in range(8):
                    sent.append(request({"query": f"{{ a{n}: me {{ name }} }}"}, authorization=shown))
                    if how == "mixed":
                        sent.append(request(b"", method=b"GET", target=b"/health"))
                        sent.append(request({"query": f"query Q{n} {{ nothing }}"}, origin="http://hub.example"))
                together = b"".join(sent)
                step = {"byte by byte": 1, "in pieces": 97}.get(how, len(together))
                for begin in range(0, len(together), step):
                    writer.write(together[begin : begin + step])
                    if step < len(together):
                        await asyncio.sleep(0)
                for n in range(8):
                    status, _, body = await answer(reader)
                    assert status == 200 and list(json.loads(body)["data"]) == [f"a{n}"]
                    if how == "mixed":
                        assert (await answer(reader))[2] == b"The hub is open.\n"
                        assert b"errors" in (await answer(reader))[2]

    told(story())


ODD = {
    "closed after": (request(ME, connection="close"), 200, True),
    "closed after, by another name": (request(ME, proxy_connection="close"), 200, True),
    "kept alive": (request(ME, connection="Keep-Alive"), 200, False),
    "an older HTTP": (request(ME, version=b"1.0"), 200, True),
    "expected": (request(ME, expect="100-continue"), 100, False),
    "twice the same header": (request(ME, b"Accept: */*", accept="text/event-stream"), 200, False),
    "with a question": (request(ME, target=b"/graphql?a=b"), 200, False),
    "in pieces of its own": (
        request(
            b'f\r\n{"query": "{ me\r\n12\r\n { name } }"}     \r\n0\r\n\r\n', b"Transfer-Encoding: chunked", length=""
        ),
        200,
        False,
    ),
    "an upgrade": (request(ME, connection="Upgrade, HTTP2-Settings", upgrade="h2c", http2_settings="x"), 200, False),
    "an upgrade to a socket": (request(ME, connection="upgrade", upgrade="websocket"), 200, False),
    "a socket where there is none": (
        request(b"", b"Connection: upgrade", b"Upgrade: websocket", method=b"GET", target=b"/health", length=""),
        200,
        None,
    ),
    "a head without end": (b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000, 431, True),
    "another method": (request(ME, method=b"PUT"), 405, False),
    "no length": (request(b"", length=""), 400, False),
    "a wrong length": (request(ME, length="+27"), 400, True),
    "two lengths": (request(ME, b"Content-Length: 5"), 400, True),
    "a length and pieces": (request(ME, b"Transfer-Encoding: chunked"), 400, True),
    "a huge length": (request(ME, length="99999999999999999999999"), 400, True),
    "too long": (request({"query": "{ me { name } }", "variables": {"x": "y" * 1_000_000}}), 413, False),
    "long": (request({"query": "{ me { name } }", "variables": {"x": "y" * 300_000}}), 200, False),
    "no HTTP": (b"hello\r\n\r\n", 400, True),
}


@pytest.mark.parametrize("what", ODD)
def test_whatever_is_odd_about_a_request_is_uvicorns(region_dsn, what):
    async def story():
        sent, status, ends = ODD[what]
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            writer.write(sent)
            found, _, _ = await answer(reader)
            assert found == status
            if found == 100:
                assert (await answer(reader))[0] == 200
            if ends:
                assert await ended(reader)
            elif ends is not None:
                # The connection is as good as before.
                writer.write(request())
                assert (await answer(reader))[2].startswith(b'{"data":')

    told(story())


def test_the_short_way_is_taken_and_left_where_it_cannot_answer(region_dsn, monkeypatch):
    async def story():
        async with (
            serving(region_dsn) as (hub, app, _),
            listening(app) as server,
            connected(server) as (reader, writer),
        ):
            shown, usual, taken = await bearer(hub, (await people_of(hub))["karimova"]), app.usual, []

            async def noted(scope, receive, send):
                taken.append(scope["path"])
                await usual(scope, receive, send)

            async def asked():
                writer.write(request(ME, authorization=shown))
                status, _, body = await answer(reader)
                assert status == 200 and json.loads(body)["data"]["me"]["name"]

            app.usual = noted
            await asked()
            assert taken == ["/graphql"]  # nobody knows them yet
            for _ in range(3):
                await asked()
            assert len(taken) == 1

            # A look that fails is no answer.
            async def away(*_, **__):
                raise ConnectionError

            with monkeypatch.context() as broken:
                broken.setattr(Pool, "fetch", away)
                writer.write(request(ME, authorization=shown))
                assert (await answer(reader))[0] == 503
            assert len(taken) == 2
            await asked()
            assert len(taken) == 2
            for each in await hub.identity.held((await people_of(hub))["karimova"]):
                await hub.identity.revoke((await people_of(hub))["karimova"], each.id)
            writer.write(request(ME, authorization=shown))
            assert (await answer(reader))[0] == 401

    told(story())


def test_what_looks_like_a_request_in_the_middle_of_another_is_a_part_of_it(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            usual = request({"query": "{ calls { totalCount } }"})
            for _ in range(3):
                writer.write(usual)
                assert b"totalCount" in (await answer(reader))[2]
            for outer in (
                request(b"", length=str(len(usual))),
                request(b"", length=str(len(usual)), target=b"/health"),
            ):
                # The whole of another request is the body of this one, and comes in a segment of its own.
                writer.write(outer)
                await asyncio.sleep(0.05)
                writer.write(usual)
                status, _, body = await answer(reader)
                assert status in (400, 405) and b"totalCount" not in body
            # An end of one and a whole other one; a whole one and the beginning of another.
            writer.write(usual[:30])
            await asyncio.sleep(0.05)
            writer.write(usual[30:] + usual)
            writer.write(usual + usual[:-5])
            for _ in range(3):
                assert b"totalCount" in (await answer(reader))[2]
            writer.write(usual[-5:])
            assert b"totalCount" in (await answer(reader))[2]
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await reader.readexactly(1)

    told(story())


def test_a_connection_that_nobody_uses_is_closed_and_one_that_is_used_stays(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server:
            server.config.timeout_keep_alive = 1
            async with connected(server) as (reader, writer), connected(server) as (idle, other):
                other.write(request())
                await answer(idle)
                for _ in range(15):
                    writer.write(request())
                    assert (await answer(reader))[0] == 200
                    await asyncio.sleep(0.15)
                assert await ended(idle)
                began = asyncio.get_running_loop().time()
                assert await ended(reader)
                assert asyncio.get_running_loop().time() - began < 3

    told(story())


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: h\r\nX: "])
def test_a_connection_whose_head_does_not_come_is_closed(region_dsn, monkeypatch, sent):
    monkeypatch.setattr(wire, "HEAD_IN", 0.3)

    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            writer.write(sent)
            # Also where one was answered before it.
            async with connected(server) as (other, after):
                after.write(request())
                await answer(other)
                after.write(sent or b"P")
                assert (await answer(other))[0] == 408
            async with asyncio.timeout(5):
                said = await reader.read()
            assert said.startswith(b"HTTP/1.1 408") if sent else said == b""

    told(story())


@pytest.mark.parametrize("path", ["/graphql", "/language", "/sign-in/mail"])
def test_a_body_that_does_not_come_is_not_waited_for(region_dsn, monkeypatch, path):
    for module in ("web.app", "web.graphql"):
        monkeypatch.setattr(f"{module}.BODY_IN", 0.3)

    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            head = (
                f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n{{"
            )
            writer.write(head.encode())
            async with asyncio.timeout(5):
                said = await reader.read()
            assert said.startswith(b"HTTP/1.1 408") and b"not here whole within 0.3 seconds" in said

    told(story())


def test_a_head_that_is_too_long_breaks_no_answer_off(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server:
            # A long body with the beginning of the next request is no long head.
            async with connected(server) as (reader, writer):
                long = request({"query": "{ calls { totalCount } }", "variables": {"x": "y" * 90_000}})
                writer.write(long + b"GET /health HTTP/1.1\r\nHost: h\r\nX: ")
                assert (await answer(reader))[2].startswith(b'{"data":')
                writer.write(b"z\r\n\r\n")
                assert (await answer(reader))[0] == 200
            # What comes behind a request waits for its answer.
            async with connected(server) as (reader, writer):
                writer.write(request({"query": "{ calls { totalCount } }"}) + b"GET / HTTP/1.1\r\nX: ")
                for _ in range(4):
                    writer.write(b"a" * 30_000)
                    await asyncio.sleep(0)
                assert (await answer(reader))[2].startswith(b'{"data":')
                writer.write(b"a" * 30_000)
                assert (await answer(reader))[0] == 431 and await ended(reader)

    told(story())


@pytest.mark.parametrize("pieces", [1, 2])
def test_who_offers_another_protocol_gets_an_answer_and_breaks_nothing(region_dsn, pieces):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            sent = request(ME, connection="Upgrade, HTTP2-Settings", upgrade="h2c")
            cut = sent.index(b"upgrade: h2c") if pieces == 2 else len(sent)
            for piece in (sent[:cut], sent[cut:]):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.1)
            status, _, body = await answer(reader)
            if pieces == 1:
                assert status == 200 and body.startswith(b'{"data":')
            else:
                assert status == 400 and await ended(reader)

    told(story())


def test_connections_that_were_broken_off_leave_nothing_behind(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server:
            server.config.timeout_keep_alive = 1
            usual = request({"query": "{ calls { totalCount } }"})
            # With the same head, and for the usual way.
            other = request({"query": "{__schema{types{name}}} "}, length=str(len(usual.partition(b"\r\n\r\n")[2])))
            assert len(other) == len(usual)
            for n in range(12):
                reader, writer = await asyncio.open_connection(*server.socket.getsockname()[:2])
                for _ in range(2):
                    writer.write(usual)
                    await answer(reader)
                writer.write(other if n % 2 else usual)
                await writer.drain()
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            async with asyncio.timeout(10):
                while [each for each in gc.get_objects() if type(each) is Wire and each.timeout_keep_alive_task]:
                    await asyncio.sleep(0.1)

    told(story())


def test_requests_that_are_small_on_the_wire_and_large_in_memory_are_not_kept(region_dsn):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):
            await app.endpoint.viewers.find(None)
            for n in range(6):
                lists = b"[" + str(n).encode() + b",[]" * 30_000 + b"]"
                writer.write(request(b'{"query":"{ calls { totalCount } }","variables":{"x":' + lists + b"}}"))
                assert (await answer(reader))[0] == 200
            # Six megabytes each; there is room for eight.
            assert len(app._known._held) <= 1

    told(story())


def test_a_look_that_fails_is_not_waited_for_twice(region_dsn, monkeypatch):
    monkeypatch.setattr("web.reads.viewer.LOOKS", 0.5)

    async def story():
        async with (
            serving(region_dsn) as (hub, app, _),
            listening(app) as server,
            connected(server) as (reader, writer),
        ):
            shown = await bearer(hub, (await people_of(hub))["karimova"])
            for _ in range(3):
                writer.write(request(ME, authorization=shown))
                await answer(reader)
            other = await asyncpg.connect(region_dsn)
            locked = other.transaction()
            await locked.start()
            await other.execute("LOCK TABLE hub.access IN ACCESS EXCLUSIVE MODE")
            began = asyncio.get_running_loop().time()
            writer.write(request(ME, authorization=shown))
            assert (await answer(reader))[0] == 503
            # Once here, and once on the usual way.
            assert asyncio.get_running_loop().time() - began < 4
            await locked.rollback()
            await other.close()
            writer.write(request(ME, authorization=shown))
            assert (await answer(reader))[0] == 200

    told(story())


def test_a_kept_answer_is_not_given_once_something_changed(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _), listening(app) as server:
            person = (await people_of(hub))["karimova"]
            shown, mine = await bearer(hub, person), await draft_of(hub, person)
            body = {"query": TITLE, "variables": {"id": mine}}

            async def read():
                async with connected(server) as (reader, writer):
                    titles = []
                    for _ in range(3):
                        writer.write(request(body, authorization=shown))
                        titles.append(json.loads((await answer(reader))[2])["data"]["proposal"]["title"])
                    return titles

            await read()
            for n in range(5):
                around = [asyncio.create_task(read()) for _ in range(4)]
                await hub.do(ReviseProposal(proposal=mine, title=f"Title number {n}"), person)
                for titles in await asyncio.gather(*(read() for _ in range(6))):
                    assert set(titles) == {f"Title number {n}"}
                await asyncio.gather(*around)

    told(story())


def test_who_is_gone_before_the_answer_harms_nobody_and_what_they_did_is_done(region_dsn, caplog):
    async def story():
        async with serving(region_dsn) as (hub, app, _), listening(app) as server:
            person = (await people_of(hub))["karimova"]
            shown, mine = await bearer(hub, person), await draft_of(hub, person)
            revise = "mutation($input: ReviseProposalInput!) { reviseProposal(input: $input) { refusal { code } } }"
            for n in range(10):
                async with connected(server) as (_, writer):
                    input = {"proposal": mine, "title": f"Sent and gone {n}"}
                    writer.write(request({"query": revise, "variables": {"input": input}}, authorization=shown))
                    await writer.drain()
                    await asyncio.sleep(0.002 * n)
                    writer.transport.abort()
            # Ten came over ten connections: which of them is carried out last is nobody's promise.
            done = "SELECT count(*) FROM hub.event WHERE type = 'ProposalRevised' AND data->>'title' = $1"
            for _ in range(200):
                if await hub.log.pool.fetchval(done, "Sent and gone 9"):
                    break
                await asyncio.sleep(0.02)
            assert await hub.log.pool.fetchval(done, "Sent and gone 9") == 1

    with caplog.at_level(logging.WARNING):
        told(story())
    assert not [each for each in caplog.records if each.name.startswith(("uvicorn", "asyncio", "hub"))]


def test_two_hundred_whose_answers_were_cut_off_send_again_and_have_done_it_once(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _), listening(app) as server:
            person = (await people_of(hub))["karimova"]
            own = await draft_of(hub, person)
            row = await hub.log.pool.fetchrow(f"SELECT call, lead FROM {hub.models.schema}.proposal WHERE id = $1", own)
            text = """mutation($p: DraftProposalInput!) { draftProposal(input: $p) {
                receipt { record position } refusal { message } } }"""
            shown = await bearer(hub, person)
            count = f"SELECT count(*) FROM {hub.models.schema}.proposal"
            before = await hub.log.pool.fetchval(count)

            async def send(n):
                given = {"call": row["call"], "lead": row["lead"], "title": f"Number {n}"}
                reader, writer = await asyncio.open_connection(*server.socket.getsockname()[:2])
                writer.write(
                    request({"query": text, "variables": {"p": given}}, authorization=shown, idempotency_key=f"cut-{n}")
                )
                return reader, writer

            async def cut(n):
                reader, writer = await send(n)
                # The first byte of an answer comes once it is recorded; nobody reads the rest.
                await reader.readexactly(1)
                writer.transport.abort()

            async def again(n):
                reader, writer = await send(n)
                *_, body = await answer(reader)
                writer.close()
                return json.loads(body)["data"]["draftProposal"]["receipt"]

            for begin in range(0, 200, 20):
                await asyncio.gather(*(cut(n) for n in range(begin, begin + 20)))
            assert await hub.log.pool.fetchval(count) == before + 200
            first, second = [[await again(n) for n in range(200)] for _ in range(2)]
            assert first == second and len({each["record"] for each in first}) == 200
            assert await hub.log.pool.fetchval(count) == before + 200

    told(story())


def test_who_is_being_answered_when_the_hub_closes_gets_the_answer(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            server = Server(app)
            running = asyncio.create_task(server.serve([server.socket]))
            while not server.started:
                await asyncio.sleep(0.01)
            respond = app.response

            async def slowly(request, headers):
                await asyncio.sleep(0.3)
                return await respond(request, headers)

            async with connected(server) as (reader, writer), connected(server) as (idle, _):
                await app.endpoint.viewers.find(None)
                monkeypatch.setattr(app, "response", slowly)
                writer.write(request({"query": "{ calls { totalCount } }"}))
                await asyncio.sleep(0.1)
                server.should_exit = True
                status, headers, body = await answer(reader)
                assert status == 200 and headers["connection"] == "close" and b"totalCount" in body
                assert await ended(reader) and await ended(idle)
            await running

    told(story())


def test_who_has_sent_a_part_when_the_hub_closes_is_answered_and_who_takes_too_long_is_told(region_dsn, monkeypatch):
    async def story():
        async with serving(region_dsn) as (_, app, _):
            server = Server(app)
            server.config.timeout_graceful_shutdown = 1
            running = asyncio.create_task(server.serve([server.socket]))
            while not server.started:
                await asyncio.sleep(0.01)
            await app.endpoint.viewers.find(None)
            respond = app.response

            async def slowly(request, head):
                await asyncio.sleep(60 if "slow" in request.asked.query else 0)
                return await respond(request, head)

            monkeypatch.setattr(app, "response", slowly)
            async with connected(server) as (part, sending), connected(server) as (slow, asking):
                sent = request({"query": "{ calls { totalCount } }"})
                for _ in range(2):
                    sending.write(sent)
                    await answer(part)
                sending.write(sent[:-5])
                asking.write(request({"query": "{ slow: calls { totalCount } }"}))
                await asyncio.sleep(0.1)
                server.should_exit = True
                await asyncio.sleep(0.3)
                sending.write(sent[-5:])
                status, headers, _ = await answer(part)
                assert status == 200 and headers["connection"] == "close" and await ended(part)
                status, headers, body = await answer(slow)
                assert status == 503 and headers["connection"] == "close" and b"BUSY" in body and await ended(slow)
            await running

    told(story())


def test_a_fault_in_the_short_way_is_told_as_any_other(region_dsn, monkeypatch, caplog):
    async def story():
        async with serving(region_dsn) as (_, app, _), listening(app) as server, connected(server) as (reader, writer):

            async def broken(request, headers):
                raise KeyError("a secret value")

            with monkeypatch.context() as patched:
                patched.setattr(app, "response", broken)
                writer.write(request())
                _, _, body = await answer(reader)
            told = json.loads(body)
            assert told["errors"][0]["extensions"]["code"] == "INTERNAL" and b"secret" not in body
            writer.write(request())
            assert (await answer(reader))[0] == 200

    told(story())
    assert any("a short request failed" in each.message for each in caplog.records)
