"""A witness: C2SP ``tlog-witness``, ``add-checkpoint``. A process of its own, for whoever does not run the hub.

It keeps, for each log, the last head that it cosigned, and cosigns only heads that continue it. Its folder holds its
key and these heads; losing them means to begin anew, under a new key.

``python -m hub.audit.witness NAME FOLDER ADDRESS PORT VKEY…`` serves without loading the hub itself; ``hub witness``
does the same.
"""

import asyncio
import base64
import fcntl
import hashlib
import os
import re
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hub.audit.heads import LastHead
from hub.audit.merkle import EMPTY, is_consistent
from hub.audit.notes import LOG, WITNESS, Checkpoint, Malformed, Signer, Verifier
from hub.files import written

LARGEST = 200_000
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})", re.ASCII)


class Taken(Exception):
    """Another process uses the witness's folder."""


class Witness:
    """Cosigns heads of the logs that it was told of."""

    def __init__(self, name: str, home: Path, logs: list[str]) -> None:
        self._logs: dict[str, list[Verifier]] = {}
        for vkey in logs:
            log = Verifier.parse(vkey)
            if log.kind != LOG:
                raise Malformed(f"“{vkey}” is not the key of a log")
            self._logs.setdefault(log.name, []).append(log)
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Taken(f"another witness runs on {home}") from None
        self.signer = Signer.kept(home / "witness.key", name, WITNESS)
        if self.signer.name != name:
            raise Malformed(f"the key in {home} is called “{self.signer.name}”")
        self._home = home
        self._busy = {origin: asyncio.Lock() for origin in self._logs}

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock)

    async def add_checkpoint(self, request: Request) -> Response:
        """``POST /add-checkpoint``."""
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    return PlainTextResponse("The request is too large.\n", 413)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            old, proof, checkpoint = _parsed(bytes(body))
        except Malformed as error:
            return PlainTextResponse(f"{error}\n", 400)
        head = checkpoint.head
        if head.origin not in self._logs:
            return PlainTextResponse("This log is not known here.\n", 404)
        if all(log.signed(checkpoint.text, checkpoint.signatures) is None for log in self._logs[head.origin]):
            return PlainTextResponse("No key of this log has signed this checkpoint.\n", 403)
        if old > head.size:
            return PlainTextResponse("The old size is larger than that of the checkpoint.\n", 400)
        # Looking at the last head and replacing it is one step: no later request can be overtaken by this one.
        async with self._busy[head.origin]:
            try:
                return await asyncio.to_thread(self._cosigned, old, proof, checkpoint)
            except (OSError, Malformed) as error:
                # What it cannot remember it does not sign.
                print(f"Nothing is cosigned: {error}", file=sys.stderr, flush=True)
                return PlainTextResponse("The witness cannot keep what it has seen: tell its operator.\n", 500)

    def _cosigned(self, old: int, proof: list[bytes], checkpoint: Checkpoint) -> Response:
        head = checkpoint.head
        name = hashlib.sha256(head.origin.encode()).hexdigest()[:16]
        memory = LastHead(self._home / f"{name}.head")
        last = memory.read()
        known = self._cosigns()
        if last is None and name in known:
            raise Malformed(f"{name}.head is gone, and this key has cosigned the log: bring it back, or begin anew")
        size, root = (last.size, last.root) if last else (0, EMPTY)
        if old != size or (old == head.size and root != head.root):
            # To the letter, without a charset: clients compare it.
            return Response(f"{size}\n", 409, {"content-type": "text/x.tlog.size"})
        if not is_consistent(old, head.size, root, head.root, proof):
            return PlainTextResponse("The consistency proof does not hold.\n", 422)
        if name not in known:
            # Before the head: a key that has lost what it saw of a log is no key for it any more.
            written(self._home / "cosigns", "".join(f"{each}\n" for each in sorted({*known, name})).encode(), 0o644)
        if last != head:
            memory.keep(head)
        return PlainTextResponse(self.signer.sign(checkpoint.text, int(time.time())).line)

    def _cosigns(self) -> set[str]:
        # Of which logs this key has cosigned any head, by the names of its memory of them.
        with suppress(FileNotFoundError):
            return {*(self._home / "cosigns").read_text().split()}
        return set()

    def application(self) -> Starlette:
        """The witness as an application."""
        return Starlette(routes=[Route("/add-checkpoint", self.add_checkpoint, methods=["POST"])])


def _parsed(body: bytes) -> tuple[int, list[bytes], Checkpoint]:
    before, blank, note = body.partition(b"\n\n")
    if not blank:
        raise Malformed("The request is: old size, proof, an empty line, a checkpoint.")
    try:
        first, *lines = before.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Malformed("The lines before the checkpoint are ASCII.") from None
    found = _OLD.fullmatch(first)
    if found is None:
        raise Malformed("The first line is “old” and a decimal number.")
    if len(lines) > 63:
        raise Malformed("There are at most 63 lines of proof.")
    proof = []
    for line in lines:
        try:
            proof.append(base64.b64decode(line, validate=True))
        except ValueError:
            raise Malformed("A line of proof is the base64 of a hash.") from None
        if len(proof[-1]) != 32:
            raise Malformed("A line of proof is the base64 of a hash.")
    return int(found[1]), proof, Checkpoint.parse(note)


def run(name: str, home: Path, logs: list[str], host: str, port: int) -> None:
    """Serve a witness until it is told to end; prints its public key and its address, one line each."""
    import uvicorn

    witness = Witness(name, home, logs)
    try:
        with socket.create_server((host, port)) as listening:
            key, port = witness.signer.verifier.vkey, listening.getsockname()[1]
            # At once: several of them may say it to one reader.
            sys.stdout.write(f"The witness's key: {key}\nIt listens at http://{host}:{port}\n")
            sys.stdout.flush()
            config = uvicorn.Config(witness.application(), log_level="warning", access_log=False, server_header=False)
            uvicorn.Server(config).run([listening])
    finally:
        witness.close()


def serve(name: str, home: Path, logs: list[str], host: str, port: int) -> int:
    """The same, and the exit code; what keeps it from running is said."""
    try:
        run(name, home, logs, host, port)
    except (Malformed, Taken, OSError) as error:
        print(f"The witness cannot run: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    _, name, folder, host, port, *logs = sys.argv
    sys.exit(serve(name, Path(folder), logs, host, int(port)))
