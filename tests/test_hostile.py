"""What others serve is not believed: hostile logs for auditors and mirrors, hostile witnesses for the sealer."""

import asyncio
import base64
import contextlib
import gzip
import hashlib
import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hub_audit import remote

from hub import keeping
from hub.audit import merkle, notes, sealer
from hub.audit.mirror import Away, Forged, Mirror
from hub.audit.notes import LOG, WITNESS, Signer
from hub.audit.policy import Policy
from hub.audit.restore import restore
from hub.audit.sealer import Outvoted, Sealer
from hub.audit.seals import published
from hub.door import Hub
from hub.log import Log
from tests.sealed import as_root, audit, until_sealed
from tests.test_log import told
from tests.test_sealing import MANY, followed
from tests.web import free_port, hub

SIGNER = Signer("hostile.example/log", LOG, bytes(32))


@contextlib.contextmanager
def serving(answer):
    """Serve what ``answer(path)`` gives: a body, or (status, headers, body or chunks without end)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("content-length") or 0)
            found = answer(self.path, self.rfile.read(length))
            status, headers, body = found if isinstance(found, tuple) else (200 if found else 404, {}, found or b"")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if isinstance(body, bytes):
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_header("connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                for chunk in body:
                    self.wfile.write(chunk)
            self.close_connection = True

        do_POST = do_GET

        def log_message(self, *_):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass  # whoever asked has hung up: that is what some of them are for

    server = Quiet(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def leaf(
    position, type="CallArchived", data='{"salt":"AAAAAAAAAAAAAAAAAAAAAA","call":"call_01k00000000000000000000000"}'
):
    return f"hub-event/v1\n{position}\n{type}\n2026-01-01T00:00:00.000000Z\nhub\nr\n\n{data}".encode()


def log(*leaves, **more):
    """A whole log of these leaves, as a server of files; ``more`` replaces some of its answers."""
    edge = merkle.Edge()
    tiles = edge.grow([merkle.leaf_hash(each) for each in leaves])
    head = notes.Head(SIGNER.name, edge.size, edge.root)
    files = {"checkpoint": notes.Checkpoint(head, head.text, (SIGNER.sign(head.text),)).note}
    files |= {merkle.tile_path(level, n, len(tile) // 32): tile for (level, n), tile in tiles.items()}
    files[merkle.tile_path("entries", 0, len(leaves))] = merkle.bundle(leaves)
    files |= more
    return lambda path, body=b"": files.get(path.removeprefix("/log/"))


def endless():
    while True:
        yield b"x" * 65_536


def slow():
    while True:
        yield b"x"
        time.sleep(0.2)


SEAL = {
    "salt": "s",
    "seal": "seal_01k00000000000000000000000",
    "name": "call",
    "code": "c",
    "rows": 1,
    "root": "0" * 64,
}


def seal(**changes):
    return leaf(1, "ReadModelSealed", json.dumps({**SEAL, "position": 1, **changes}))


@pytest.mark.parametrize(
    "hostile",
    [
        seal(position="../../escaped", name="authorized_keys"),
        seal(name="../escaped"),
        seal(rows=10**12),
        seal(position=10**30),
        seal(position=True),
        leaf(1, "ReadModelSealed", "[" * 5_000),
        leaf(1, "ReadModelSealed", "[]"),
        leaf(1, "ReadModelSealed", "{"),
        b"hub-event/v1\n1\nReadModelSealed\n",
    ],
)
def test_what_a_log_claims_of_its_seals_is_not_believed(tmp_path, hostile):
    folder = tmp_path / "a" / "b" / "c"
    with serving(lambda path, body: log(hostile)(path) or (b"y" * 32 if "/rows/" in path else None)) as url:
        code, found = audit("fetch", f"{url}/log", folder)
    assert code == 0, found
    assert not list(tmp_path.rglob("*escaped*")) and not list(tmp_path.rglob("authorized_keys"))
    assert audit("replay", folder)[0] in (2, 3)


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, endless()),
        (200, {"content-encoding": "gzip"}, b"no gzip"),
        (200, {"content-encoding": "gzip"}, gzip.compress(b"cut short" * 99)[:-9]),
        (200, {"content-encoding": "gzip"}, gzip.compress(bytes(200_000_000), 9)),
        (200, {}, b"<!doctype html>"),
        (302, {"location": "/elsewhere"}, b""),
        (500, {"content-type": "text/plain; charset=hex"}, b"zz"),
        (200, {}, log(leaf(1))("checkpoint").replace(b"\n1\n", b"\n9999999999999999999\n")),
        (200, {}, log(leaf(1))("checkpoint").replace(b"\n1\n", b"\n999999999\n")),
    ],
    ids=["endless", "no-gzip", "cut-gzip", "bomb", "html", "redirect", "charset", "huge", "large"],
)
def test_a_server_that_answers_anything_is_not_decided(tmp_path, monkeypatch, answer):
    monkeypatch.setattr(remote, "TRIES", 1)
    with serving(lambda path, body: answer if path.endswith("checkpoint") else log(leaf(1))(path)) as url:
        code, found = audit("fetch", f"{url}/log", tmp_path / "f")
        assert code in (2, 3), found
        assert not (tmp_path / "f" / "evidence").exists()


def test_a_server_that_never_ends_its_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "SLOWEST", 1)
    with serving(lambda path, body: (200, {}, slow())) as url:
        code, found = audit("fetch", f"{url}/log", tmp_path / "f")
    assert code == 3 and "was not done with checkpoint within 1 seconds" in found["message"]


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (CHUNKED, b"X: y\r\n"), (OK + b"X: ", b"y"), (b"", b"H")],
    ids=["continue", "trailers", "a header", "a line"],
)
def test_whatever_never_ends_before_or_after_an_answer_is_given_up(tmp_path, monkeypatch, begun, more):
    monkeypatch.setattr(remote, "SLOWEST", 1)

    def served(sock):
        with contextlib.suppress(OSError):
            client, _ = sock.accept()
            with client:
                client.recv(65_536)
                client.sendall(begun)
                while True:
                    client.sendall(more)
                    time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as sock:
        threading.Thread(target=served, args=(sock,), daemon=True).start()
        began = time.monotonic()
        code, found = audit("fetch", f"http://127.0.0.1:{sock.getsockname()[1]}/log", tmp_path / "f")
    assert code == 3 and "was not done with" in found["message"] and time.monotonic() - began < 10


def test_a_head_under_fewer_signatures_takes_none_away(tmp_path):
    """Whether it was the line that broke, or the hub that withholds them."""
    whole, folder = log(leaf(1)), tmp_path / "f"
    note = whole("checkpoint")
    more = note + b"\xe2\x80\x94 tj.example/w " + base64.b64encode(bytes(76)) + b"\n"
    for served, kept in ((more, more), (note, more), (more, more)):
        with serving(lambda path, body, served=served: served if path.endswith("checkpoint") else whole(path)) as url:
            assert audit("fetch", f"{url}/log", folder)[0] == 0
        assert (folder / "checkpoint").read_bytes() == kept
    assert {each.read_bytes() for each in (folder / "seen").iterdir()} == {note, more}


def test_an_answer_that_is_shorter_than_it_says_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "TRIES", 1)
    note = log(leaf(1))("checkpoint")

    def served(sock):
        client, _ = sock.accept()
        with client:
            client.recv(65_536)
            client.sendall(OK + b"Content-Length: %d\r\n\r\n" % (len(note) + 9) + note)

    with socket.create_server(("127.0.0.1", 0)) as sock:
        threading.Thread(target=served, args=(sock,), daemon=True).start()
        code, found = audit("fetch", f"http://127.0.0.1:{sock.getsockname()[1]}/log", tmp_path / "f")
    assert code == 3 and "cut short" in found["message"]


def test_a_disk_is_not_filled(tmp_path, monkeypatch):
    monkeypatch.setattr("hub_audit.folder.SPARE", 10**18)
    with serving(lambda path, body: log(leaf(1))(path)) as url:
        code, found = audit("fetch", f"{url}/log", tmp_path / "f")
    assert code == 3 and "almost full" in found["message"]


def test_with_a_policy_nothing_is_fetched_of_a_log_that_is_none_of_its(tmp_path):
    policy, folder = tmp_path / "policy", tmp_path / "f"
    other = Signer("hostile.example/log", LOG, bytes([7] * 32))
    policy.write_text(f"log {other.verifier.vkey}\nquorum none\n")
    with serving(lambda path, body: log(leaf(1))(path)) as url:
        code, found = audit("fetch", f"{url}/log", folder, "--policy", policy)
        assert code == 3 and "nothing was fetched" in found["message"] and not folder.exists()
        policy.write_text(f"log {SIGNER.verifier.vkey}\nquorum none\n")
        assert audit("fetch", f"{url}/log", folder, "--policy", policy)[0] == 0


@pytest.mark.parametrize(
    "url",
    ["http://h:abc/log", "http://[::1/log", "http:///log", "http://a..b/log", "ftp://h/log", "http://h/log?x=1", ""],
)
def test_an_address_that_is_none_is_a_wrong_usage(tmp_path, url):
    assert audit("fetch", url, tmp_path / "f")[0] == 2


@pytest.mark.parametrize("content", [b"hub_\xff", b"hub_a\nb", b"two words"])
def test_a_token_that_is_none_is_a_wrong_usage(tmp_path, content):
    (tmp_path / "token").write_bytes(content)
    code, found = audit("fetch", "http://127.0.0.1:1/log", tmp_path / "f", "--token-file", tmp_path / "token")
    assert code == 2 and "hub_" not in found["message"]


def test_a_folder_that_cannot_be_used_is_said_to_be_so(tmp_path):
    (tmp_path / "file").write_text("")
    with serving(lambda path, body: log(leaf(1))(path)) as url:
        assert audit("fetch", f"{url}/log", tmp_path / "file")[0] == 2
        (tmp_path / "f").mkdir()
        (tmp_path / "f" / "tile").write_text("")
        assert audit("fetch", f"{url}/log", tmp_path / "f")[0] == 2


def mirrored(url, folder, steps=1):
    """What ``steps`` steps of a mirror come to."""

    async def story():
        policy = Policy.parse(f"log {SIGNER.verifier.vkey}\nquorum none\n")
        mirror = Mirror(f"{url}/log", folder, policy, lambda: None)
        try:
            for _ in range(steps):
                found = await mirror.step()
            return found
        finally:
            await mirror.close()

    return asyncio.run(story())


PERSON = "person_01k00000000000000000000000"


def test_a_mirror_takes_nothing_away_for_what_is_not_signed(tmp_path):
    box = b"a sealed box"
    digest = hashlib.sha256(box).hexdigest()
    invited = leaf(
        1, "PersonInvited", json.dumps({"salt": "s", "person": PERSON, "name": {"sealed": digest}}).replace(" ", "")
    )
    erased = leaf(2, "PersonErased", json.dumps({"salt": "s", "person": PERSON}))
    honest = log(invited, leaf(2))
    with serving(lambda path, body: box if "/boxes/" in path else log(invited)(path)) as url:
        assert mirrored(url, tmp_path) == (1, 1)
    assert (tmp_path / "boxes" / PERSON / digest).read_bytes() == box
    forged = {merkle.tile_path("entries", 0, 2): merkle.bundle([invited, erased])}
    with (
        serving(lambda path, body: forged.get(path.removeprefix("/log/")) or honest(path)) as url,
        pytest.raises(Forged),
    ):
        mirrored(url, tmp_path)
    assert (tmp_path / "boxes" / PERSON / digest).exists()
    assert not (tmp_path / merkle.tile_path("entries", 0, 2)).exists()
    assert list((tmp_path / "evidence").glob("*/tile/entries/*/*"))
    # The honest log goes on; an erasure that is signed is carried out.
    with serving(lambda path, body: log(invited, erased)(path)) as url:
        assert mirrored(url, tmp_path) == (1, 2)
    assert not (tmp_path / "boxes" / PERSON).exists()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, endless()),
        (500, {"content-type": "text/plain; charset=hex"}, b"zz"),
        (200, {}, merkle.bundle([leaf(1)])[:-5]),
        (200, {}, b"<!doctype html>"),
    ],
    ids=["endless", "charset", "cut", "html"],
)
def test_a_mirror_accuses_nobody_of_a_broken_answer(tmp_path, answer):
    with serving(lambda path, body: answer if "entries" in path else log(leaf(1))(path)) as url, pytest.raises(Away):
        mirrored(url, tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        leaf(2),
        leaf(1, data="[]"),
        leaf(1, data="{"),
        leaf(1, type="NeverHeardOf"),
        b"hub-event/v1\n-5\nCallArchived\n2026-01-01T00:00:00.000000Z\nhub\nr\n\n{}",
        b"hub-event/v1\n1\nCallArchived\nyesterday\nhub\nr\n\n{}",
        b"no leaf at all",
    ],
)
def test_a_signed_log_that_is_none_is_not_half_restored(dsn, tmp_path, bad):
    with serving(lambda path, body: log(bad)(path)) as url:
        assert audit("fetch", f"{url}/log", tmp_path / "f")[0] == 0
    policy = tmp_path / "policy"
    policy.write_text(f"log {SIGNER.verifier.vkey}\nquorum none\n")
    code, _, said = hub(dsn, "restore", tmp_path / "f", "--policy", policy)
    assert code == 1 and "Nothing was restored" in said and "Traceback" not in said
    assert hub(dsn, "log", "--json")[1] == ""


def test_a_damaged_box_is_not_restored_and_a_later_mirror_heals(dsn, tmp_path):
    box = b"a sealed box"
    digest = hashlib.sha256(box).hexdigest()
    sealed = {"sealed": digest, "len": 3, "kid": "k"}
    data = {"salt": "s", "person": PERSON, "name": sealed, "email": sealed, "email_alias": "a"}
    invited = leaf(1, "PersonInvited", json.dumps(data, separators=(",", ":")))
    with serving(lambda path, body: box if "/boxes/" in path else log(invited)(path)) as url:
        mirrored(url, tmp_path)
    file = tmp_path / "boxes" / PERSON / digest
    policy = Policy.parse(f"log {SIGNER.verifier.vkey}\nquorum none\n")

    async def boxes():
        opened = await Log.open(dsn)
        found = [row["box"] for row in await opened.pool.fetch("SELECT box FROM hub.box")]
        await opened.close()
        return found

    async def again():
        await restore(dsn, tmp_path, policy)

    file.write_bytes(b"garbage")
    asyncio.run(again())
    assert asyncio.run(boxes()) == []
    file.write_bytes(box)
    asyncio.run(again())
    assert asyncio.run(boxes()) == [box]


WITNESS_KEY = Signer("w.example/hub", WITNESS, bytes([7] * 32))


def cosigned(body, at=None):
    text = body.decode().partition("\n\n")[2].partition("\n\n")[0] + "\n"
    return WITNESS_KEY.sign(text, int(time.time()) if at is None else at)


def other_line(body, name):
    own = cosigned(body)
    return (notes.Signature(name, own.id, b"x" * 72).line + own.line).encode()


HOSTILE = {
    "endless": lambda body: (200, {}, endless()),
    "time-too-large": lambda body: cosigned(body, 2**63).line.encode(),
    "time-far-away": lambda body: cosigned(body, 253_402_300_800).line.encode(),
    "charset": lambda body: (500, {"content-type": "text/plain; charset=hex"}, b"zz"),
    "surrogate": lambda body: (500, {"content-type": "text/plain; charset=utf-7"}, b"+2AA-\x00\x1b[31m"),
    "garbage": lambda body: b"\xff\xfe" * 99,
    "huge-size": lambda body: (409, {}, b"9" * 5_000),
    "larger": lambda body: (409, {}, b"1000000\n"),
    "alternating": lambda body: (409, {}, b"2\n" if body.startswith(b"old 1\n") else b"1\n"),
    "the-same": lambda body: (409, {}, b"1\n"),
    "slow": lambda body: (200, {}, slow()),
    "nothing": lambda body: (200, {}, b""),
}


@pytest.mark.parametrize("how", sorted(HOSTILE))
def test_a_hostile_witness_is_its_own_trouble(dsn, tmp_path, monkeypatch, how):
    """Two honest witnesses and a hostile one, a quorum of two: the log is sealed, and people are told."""
    monkeypatch.setattr(sealer, "PATIENCE", 0.3)
    monkeypatch.setattr(sealer, "AGAIN", 0.1)
    asked = []
    honest = [Signer(f"h{n}.example/hub", WITNESS, bytes([n + 20] * 32)) for n in range(2)]

    def hostile(path, body):
        asked.append(path)
        return HOSTILE[how](body)

    def good(signer):
        def answer(path, body):
            text = body.decode().partition("\n\n")[2].partition("\n\n")[0] + "\n"
            return signer.sign(text, int(time.time())).line.encode()

        return answer

    async def story():
        opened = await Log.open(dsn)
        await opened.pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        with serving(hostile) as evil, serving(good(honest[0])) as one, serving(good(honest[1])) as two:
            policy = Policy.parse(
                f"witness evil {WITNESS_KEY.verifier.vkey} {evil}\n"
                f"witness one {honest[0].verifier.vkey} {one}\nwitness two {honest[1].verifier.vkey} {two}\n"
                "group all 2 evil one two\nquorum all\n"
            )
            own = Sealer(opened.pool, tmp_path, policy, "hub.example/log")
            await own.open()
            tasks = [asyncio.create_task(own.persuade(name)) for name in policy.witnesses]
            assert await own.seal(tree.size, tree.root, datetime.now(UTC))
            deadline = time.monotonic() + 10
            while not await opened.pool.fetchval("SELECT witnessed FROM hub.head"):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            while len(asked) < 2:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in tasks)
            assert len(asked) < 60
            own.outvoted()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        trouble = json.loads(await opened.pool.fetchval("SELECT troubles::text FROM hub.sealer")).get("evil", "")
        assert trouble and trouble.isprintable() and len(trouble) < 500, trouble
        # The next process tells what it meets itself.
        await Sealer(opened.pool, tmp_path, policy, "hub.example/log").open()
        assert await opened.pool.fetchval("SELECT troubles::text FROM hub.sealer") == "{}"
        checkpoint = notes.Checkpoint.parse(await published(opened.pool))
        assert len(policy.cosigned(checkpoint)) == 2
        await opened.close()

    told(story())


def test_witnesses_that_fail_at_once_are_each_told_of(dsn, tmp_path):
    """Each by a write of its own, over connections that end in any order: none takes back another's."""
    many = [Signer(f"w{n}.example/hub", WITNESS, bytes([n + 1] * 32)) for n in range(20)]

    async def story():
        opened = await Log.open(dsn)
        await opened.pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        away = f"http://127.0.0.1:{free_port()}"
        asked = "".join(f"witness w{n} {each.verifier.vkey} {away}\n" for n, each in enumerate(many))
        policy = Policy.parse(f"{asked}quorum w0\n")
        own = Sealer(opened.pool, tmp_path, policy, "hub.example/log")
        await own.open()
        tasks = [asyncio.create_task(own.persuade(name)) for name in policy.witnesses]
        assert await own.seal(tree.size, tree.root, datetime.now(UTC))
        deadline = time.monotonic() + 10
        while missing := policy.witnesses.keys() - json.loads(
            await opened.pool.fetchval("SELECT troubles::text FROM hub.sealer")
        ):
            assert time.monotonic() < deadline, sorted(missing)
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await opened.close()

    told(story())


@pytest.mark.parametrize("name", ["mallory", "mallory\x01"])
def test_only_the_line_that_was_verified_is_published(dsn, tmp_path, name):
    async def story():
        opened = await Log.open(dsn)
        await opened.pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        with serving(lambda path, body: other_line(body, name)) as url:
            policy = Policy.parse(f"witness w {WITNESS_KEY.verifier.vkey} {url}\nquorum w\n")
            own = Sealer(opened.pool, tmp_path, policy, "hub.example/log")
            await own.open()
            task = asyncio.create_task(own.persuade("w"))
            await own.seal(tree.size, tree.root, datetime.now(UTC))
            await asyncio.sleep(0.5)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        note = await published(opened.pool)
        checkpoint = notes.Checkpoint.parse(note)
        assert b"mallory" not in note and {each.name for each in checkpoint.signatures} <= {
            "w.example/hub",
            "hub.example/log",
        }
        await opened.close()

    told(story())


def test_rows_that_a_policy_hides_are_missed(sealed, tmp_path):
    """Row-level security that hides a row from the hub's own role is a changed read model."""
    schema = json.loads(hub(sealed.dsn, "doctor", "--json")[1])["read models"]
    as_root(
        sealed.dsn,
        f"ALTER TABLE {schema}.call ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY hide ON {schema}.call TO hub_writer USING (id <> (SELECT min(id) FROM {schema}.organization))",
        f"CREATE POLICY hide2 ON {schema}.call AS RESTRICTIVE TO hub_writer USING (status <> 'open')",
    )
    code, out, _ = hub(sealed.dsn, "verify")
    assert code == 1 and "call" in out
    with sealed.open() as url:
        assert hub(sealed.dsn, "seal")[0] == 0
        until_sealed(url, 304)
        assert sealed.fetch(url, tmp_path / "new")[0] == 0
    code, found = audit("replay", tmp_path / "new")
    assert code == 1 and "“call”" in found["message"]


@pytest.mark.parametrize("thinks_again", [True, False])
def test_a_witness_is_asked_for_no_head_that_the_log_has_outgrown_but_to_think_again(
    dsn, tmp_path, monkeypatch, thinks_again
):
    """What has come since is older than the time that it would write; but one that contradicts is waited for."""
    monkeypatch.setattr(sealer, "BEHIND", timedelta(seconds=0.5))
    monkeypatch.setattr(sealer, "AGAIN", 0.1)
    monkeypatch.setattr(sealer, "FRESH", timedelta(seconds=0.1))
    key, asked, right = Signer("w.example/hub", WITNESS, bytes([9] * 32)), [], []

    def answer(path, body):
        asked.append(time.monotonic())
        text = body.decode().partition("\n\n")[2].partition("\n\n")[0] + "\n"
        return key.sign(text, int(time.time())).line.encode() if right else (409, {}, b"999999\n")

    async def story():
        opened = await Log.open(dsn)
        await opened.pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        with serving(answer) as url:
            policy = Policy.parse(f"witness w {key.verifier.vkey} {url}\nquorum w\n")
            own = Sealer(opened.pool, tmp_path, policy, "hub.example/log")
            await own.open()
            if not thinks_again:
                right.append(True)
            assert await own.seal(tree.size, tree.root, datetime.now(UTC))
            task = asyncio.create_task(own.persuade("w"))
            await asyncio.sleep(1)
            assert asked
            if thinks_again:
                with pytest.raises(Outvoted):
                    own.outvoted()
                right.append(True)
                await asyncio.sleep(1)
                own.outvoted()
                # That it agrees is taken, and not the time at which it does: the head was outgrown by then.
                cosigned = "SELECT count(*) FROM hub.cosignature"
                assert await opened.pool.fetchval(cosigned) == 0
                assert not await own.seal(tree.size, tree.root, datetime.now(UTC))
                async with asyncio.timeout(10):
                    while not await opened.pool.fetchval(cosigned):
                        await asyncio.sleep(0.02)
            else:
                before = len(asked)
                await asyncio.sleep(1)
                assert len(asked) == before
                assert not await own.seal(tree.size, tree.root, datetime.now(UTC))
                await asyncio.sleep(0.4)
                assert len(asked) > before
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await opened.close()

    told(story())


def test_a_hub_that_was_brought_back_goes_on_by_itself_once_a_quorum_has_cosigned_what_it_holds(
    dsn, tmp_path, monkeypatch
):
    """Whatever signatures came with the backup; at once where nobody could be asked."""
    monkeypatch.setattr(sealer, "AGAIN", 0.1)
    keys = {name: Signer(f"{name}.example/w", WITNESS, bytes([n + 1] * 32)) for n, name in enumerate(("a", "b", "c"))}
    ahead = set(keys)

    def answer(path, body):
        name = path.strip("/").partition("/")[0]
        if name in ahead:
            return (409, {}, b"999999\n")
        text = body.decode().partition("\n\n")[2].partition("\n\n")[0] + "\n"
        return keys[name].sign(text, int(time.time())).line.encode()

    async def story():
        opened = await Hub.open(dsn)
        await opened.log.pool.execute(MANY % (1, 10))
        tree = await followed(dsn)
        waits = "SELECT EXISTS (SELECT FROM hub.restored)"
        restored = "INSERT INTO hub.restored DEFAULT VALUES"
        old = "INSERT INTO hub.cosignature SELECT 10, w, 's', now() + interval '1 year' FROM unnest(ARRAY['a', 'b']) w"
        with serving(answer) as url:
            named = [f"witness {name} {key.verifier.vkey} {url}/{name}" for name, key in keys.items()]
            quorum = Policy.parse("\n".join([*named, "group g 2 a b c", "quorum g", ""]))
            own = Sealer(opened.log.pool, tmp_path, quorum, "x")
            await own.open()
            assert await own.seal(tree.size, tree.root, datetime.now(UTC))
            await asyncio.to_thread(as_root, dsn, restored, old)
            tasks = [asyncio.create_task(own.persuade(name)) for name in keys]
            for again, left in (("a", True), ("b", False)):
                ahead.discard(again)
                await asyncio.sleep(0.7)
                assert await opened.log.pool.fetchval(waits) == left, again
                # Nothing is recorded of itself meanwhile: neither what is due nor a seal of the read models.
                assert bool(await keeping.held_up(opened)) == left
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # Nobody is asked, or nobody who could answer is a quorum.
        silent = "\n".join([*(f"witness {name} {key.verifier.vkey}" for name, key in keys.items()), "quorum a", ""])
        for policy in (Policy(quorum="none"), Policy.parse(silent)):
            await asyncio.to_thread(as_root, dsn, restored)
            await Sealer(opened.log.pool, tmp_path, policy, "x").open()
            assert not await opened.log.pool.fetchval(waits)
        await opened.close()

    told(story())
