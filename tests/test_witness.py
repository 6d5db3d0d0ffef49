"""A witness: every answer of C2SP tlog-witness, durable before it is given, whoever asks at the same time."""

import asyncio
import base64
import os
import signal
import subprocess
import sys
import time

import httpx2
import pytest

from hub.audit import merkle, notes, witness
from hub.programs import Unavailable
from hub.region.witnesses import witnesses
from tests.sealed import processes

ORIGIN = "hub.example/log"
LOG = notes.Signer(ORIGIN, notes.LOG, bytes(range(32)))
OTHER = notes.Signer(ORIGIN, notes.LOG, bytes(32))
HASHES = [merkle.leaf_hash(b"%d" % n) for n in range(600)]
FORK = [*HASHES[:90], *(merkle.leaf_hash(b"other %d" % n) for n in range(510))]
OLD = "text/x.tlog.size"


def checkpoint(size, log=LOG, hashes=HASHES, origin=ORIGIN):
    head = notes.Head(origin, size, merkle.root_of(hashes[:size]))
    return notes.Checkpoint(head, head.text, (log.sign(head.text),)).note.decode()


def proof(old, size, hashes=HASHES):
    return [merkle.root_of(hashes[lo:hi]) for lo, hi in merkle.consistency_ranges(old, size)]


def body(old, size, path=None, note=None, hashes=HASHES):
    lines = [base64.b64encode(each).decode() for each in (proof(old, size, hashes) if path is None else path)]
    return "\n".join([f"old {old}", *lines, "", note or checkpoint(size, hashes=hashes)])


class Asked:
    """A witness that is asked over HTTP, in this process."""

    def __init__(self, folder):
        self.witness = witness.Witness("kg.example/hub", folder, [LOG.verifier.vkey])
        transport = httpx2.ASGITransport(app=self.witness.application())
        self._http = httpx2.AsyncClient(transport=transport, base_url="http://w")

    async def __call__(self, content):
        answer = await self._http.post("/add-checkpoint", content=content)
        return answer.status_code, answer.text, answer.headers.get("content-type", "").partition(";")[0]


@pytest.fixture
def ask(tmp_path):
    asked = Asked(tmp_path / "w")
    yield lambda content: asyncio.run(asked(content))
    asked.witness.close()


def test_a_log_is_cosigned_as_it_grows(ask, tmp_path, go):
    for old, size in ((0, 90), (90, 90), (90, 256), (256, 600)):
        status, line, _ = ask(body(old, size))
        assert status == 200, line
        keys = [LOG.verifier.vkey, notes.Signer.read(tmp_path / "w" / "witness.key").verifier.vkey]
        assert go.ask("checkpoint", note=checkpoint(size) + line, keys=keys) == [ORIGIN, "kg.example/hub"]


def test_what_it_has_seen_survives_it(tmp_path):
    first = Asked(tmp_path)
    assert asyncio.run(first(body(0, 90)))[0] == 200
    first.witness.close()
    second = Asked(tmp_path)
    assert asyncio.run(second(body(0, 80)))[:2] == (409, "90\n")
    assert asyncio.run(second(body(90, 100)))[0] == 200
    second.witness.close()


def test_a_key_that_has_lost_what_it_saw_signs_nothing(tmp_path, capsys):
    first = Asked(tmp_path)
    assert asyncio.run(first(body(0, 90)))[0] == 200
    first.witness.close()
    (head,) = tmp_path.glob("*.head")
    kept = head.read_bytes()
    head.unlink()
    second = Asked(tmp_path)
    other = [merkle.leaf_hash(b"another history")] * 90
    assert asyncio.run(second(body(0, 90, hashes=other)))[0] == 500
    assert "has cosigned the log" in capsys.readouterr().err
    head.write_bytes(kept)
    assert asyncio.run(second(body(90, 100)))[0] == 200
    second.witness.close()


def test_one_folder_has_one_witness(tmp_path):
    first = Asked(tmp_path)
    with pytest.raises(witness.Taken):
        Asked(tmp_path)
    first.witness.close()


def test_another_history_is_refused(ask):
    assert ask(body(0, 100))[0] == 200
    # Of the same size, of a larger one with a proof of its own, of a larger one with the honest proof.
    assert ask(body(100, 100, note=checkpoint(100, hashes=FORK)))[0] == 409
    assert ask(body(100, 200, hashes=FORK))[0] == 422
    assert ask(body(100, 200, note=checkpoint(200, hashes=FORK)))[0] == 422
    # And nothing of it was remembered.
    assert ask(body(100, 200))[0] == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (body(0, 90, note=checkpoint(90, log=OTHER)), 403),
        (body(0, 90, note=checkpoint(90, origin="another.example/log")), 404),
        (body(100, 90, path=[]), 400),
        (body(5, 90), 409),
        (body(0, 90, path=[bytes(32)]), 422),
        ("", 400),
        ("old 0\n", 400),
        ("old 00\n\n" + checkpoint(90), 400),
        ("old -1\n\n" + checkpoint(90), 400),
        ("old 0\nno base64\n\n" + checkpoint(90), 400),
        ("old 0\nAAAA\n\n" + checkpoint(90), 400),
        (body(0, 90, path=[bytes(32)] * 64), 400),
        (body(0, 90)[:-20], 400),
        (b"\xff" * 100, 400),
        (b"a" * 300_000, 413),
    ],
)
def test_what_cannot_be_cosigned_is_told_why(ask, content, status):
    found = ask(content)
    assert found[0] == status and found[1].strip()
    if status == 409:
        assert found[1:] == ("0\n", OLD)
    assert ask(body(0, 90))[0] == 200


def test_a_hundred_at_once_are_one_history(tmp_path):
    async def story():
        asked = Asked(tmp_path)
        assert (await asked(body(0, 90)))[0] == 200
        sizes = list(range(91, 141)) * 2
        answers = await asyncio.gather(*(asked(body(90, size)) for size in sizes))
        # Whichever came first was cosigned, and again where it was asked for again; the rest hear of it.
        won = {size for size, (status, *_) in zip(sizes, answers, strict=True) if status == 200}
        assert len(won) == 1
        told = {text for status, text, _ in answers if status == 409}
        assert told == {f"{won.pop()}\n"}
        asked.witness.close()

    asyncio.run(story())


_KILLED = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.SIG_IGN)
from hub.audit.notes import LOG, Signer
from hub.region.witnesses import witnesses
with witnesses(Path(sys.argv[1]), Signer("hub.example/log", LOG, bytes(range(32)))) as started:
    started.policy("http://127.0.0.1")
    print("open", flush=True)
    signal.pause()
"""


def test_the_witnesses_of_a_demonstration_that_was_killed_are_gone_also_where_ctrl_c_is_ignored(tmp_path):
    running = subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert running.stdout.readline() == b"open\n"
        # Whoever began them names them too.
        assert len(processes("hub.region.witnesses", str(tmp_path))) == 1 + 1 + 5
        running.kill()
        running.wait()
        running.stdout.close()
        deadline = time.monotonic() + 20
        while left := processes("hub.region.witnesses", str(tmp_path)):
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
    finally:
        running.kill()
        for left in processes("hub.region.witnesses", str(tmp_path)):
            os.kill(left, signal.SIGKILL)


def test_a_witness_of_the_demonstration_that_cannot_start_is_named(tmp_path):
    with witnesses(tmp_path, LOG) as started:
        assert started.policy("http://127.0.0.1").read_text().count(".witness.example/hub+") == 5
    other = witness.Witness("kz.witness.example/hub", tmp_path / "kz", [LOG.verifier.vkey])
    with witnesses(tmp_path, LOG) as started, pytest.raises(Unavailable, match=r"kz: .*another witness runs on"):
        started.policy("http://127.0.0.1")
    other.close()
