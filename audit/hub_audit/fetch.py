"""``fetch``: copies a hub's log to the disk; what is there whole is not asked for again.

Nothing that a server says is believed: neither sizes nor names, and no answer may be larger or slower than it can be.
"""

import contextlib
import hashlib
import http.client
import itertools
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hub_audit.folder import Folder, holds, parsed, path_of
from hub_audit.notes import Checkpoint, Policy
from hub_audit.outcome import False_, Undecided, Unusable, quoted
from hub_audit.progress import Progress
from hub_audit.tree import HASH, WIDTH, root_at

AT_ONCE, TRIES, PATIENCE, SLOWEST = 4, 4, 30, 120
"""Connections; tries of a request; seconds for a part of an answer, and for all of it."""
LARGEST = WIDTH * 65_537
MOST = 2**40
_NAME = re.compile(r"[a-z_]{1,40}")
_HASH = re.compile(r"[0-9a-f]{64}")
Wanted = tuple[int | str, int, int]


class Remote:
    """A log behind an address; keeps its connections, one to a thread."""

    def __init__(self, url: str, token: str | None) -> None:
        """Raises ``Unusable`` where the address or the token is none."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
            host.encode("idna")
            if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
                raise ValueError(url)
        except ValueError:
            raise Unusable(f"“{url}” is no address of a log: https://HOST/log is asked for.") from None
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise Unusable("The token is none: it has only visible ASCII characters.")
        self.url, self._kind = url.rstrip("/"), parts.scheme
        self._host, self._port = host, port
        self._prefix, self._token = quote(parts.path.rstrip("/"), safe="/%~"), token
        self._local = threading.local()

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "http"):
            kind = http.client.HTTPSConnection if self._kind == "https" else http.client.HTTPConnection
            self._local.http = kind(self._host, self._port, timeout=PATIENCE)
        return self._local.http

    def get(self, name: str) -> bytes | None:
        """A file of the log; ``None`` where there is none. Raises ``Undecided``, ``Unusable``."""
        headers = {"Accept-Encoding": "gzip, identity", "User-Agent": "hub-audit"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        complaint = ""
        for n in range(TRIES):
            if n:
                time.sleep(0.5 * n)
            connection = self._connection()
            try:
                with _InTime(connection) as limit:
                    limit.connect()
                    connection.request("GET", f"{self._prefix}/{name}", headers=headers)
                    answer = connection.getresponse()
                    body = _read(answer)
                if limit.is_over:
                    raise ValueError("it is cut off where its time was over")
            except (OSError, http.client.HTTPException, ValueError, zlib.error) as error:
                connection.close()
                if limit.is_over:
                    raise Undecided(f"{self.url} was not done with {name} within {SLOWEST} seconds.") from None
                complaint = _complaint(error)
                continue
            if answer.status == 200:
                return body
            if answer.status == 404:
                return None
            said = quoted(body, 200)
            if answer.status in (401, 403):
                raise Unusable(f"{self.url} answers {answer.status} to {name}: {said}")
            complaint = f"{answer.status} {said}"
            connection.close()
        raise Undecided(f"{self.url} cannot be asked for {name}: {complaint}")


class _InTime:
    # However little of an answer comes, and however often: once the time for all of it is over, its connection ends.

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection
        self._socket: socket.socket | None = None
        self.is_over = False
        self._timer = threading.Timer(SLOWEST, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_InTime":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def connect(self) -> None:
        # An answer that is the last takes the socket away from its connection.
        if self._connection.sock is None:
            self._connection.connect()
        self._socket = self._connection.sock

    def _end(self) -> None:
        self.is_over = True
        if (held := self._socket or self._connection.sock) is not None:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)


def _complaint(error: Exception) -> str:
    if isinstance(error, zlib.error):
        return "its answer cannot be unpacked"
    if isinstance(error, http.client.IncompleteRead):
        return "its answer is cut short"
    return quoted(getattr(error, "strerror", None) or str(error) or type(error).__name__, 200)


def _read(answer: http.client.HTTPResponse) -> bytes:
    # Neither endless, nor for ever, nor a little that unpacks to all of the memory.
    packed = answer.headers.get("Content-Encoding") == "gzip"
    unpack = zlib.decompressobj(31) if packed else None
    body = bytearray()
    while chunk := answer.read1(65_536):
        body += unpack.decompress(chunk, LARGEST + 1 - len(body)) if unpack else chunk
        if len(body) > LARGEST:
            raise ValueError("the answer is larger than a file of a log can be")
    if (unpack and not unpack.eof) or answer.length:
        raise ValueError("its answer is cut short")
    answer.read()  # nothing is left: this frees the connection for the next request
    return bytes(body)


def fetch(
    url: str, path: Path, token: str | None, again: bool = False, policy: Policy | None = None
) -> tuple[Checkpoint, int]:
    """Copy the log; answers the checkpoint that it was copied for, and how many files were new.

    The checkpoint is written last: what stands in the folder is always whole, whenever this is ended. It replaces the
    one that is here only where it continues it. Every head that was served is kept in ``seen``, whatever follows.
    With a ``policy`` nothing more is asked for unless a log of it has signed the checkpoint.
    With ``again`` what is here is asked for too; raises ``False_`` where something else is served now.
    """
    remote, folder = Remote(url, token), Folder(path)
    note = remote.get("checkpoint")
    if note is None:
        raise Undecided(f"{url} has no checkpoint: is this the log's address (…/log), and was anything sealed yet?")
    checkpoint = Checkpoint(note, f"{url}/checkpoint")
    if checkpoint.size > MOST:
        raise Undecided(f"{url} claims a log of {checkpoint.size} events: that is not believable.")
    if policy is not None and policy.log_of(checkpoint) is None:
        raise Undecided(f"No log of the policy has signed what {url} serves: nothing was fetched.")
    folder.make()
    # Never over another one: what was served under fewer signatures takes away none.
    name = f"seen/{checkpoint.size}-{checkpoint.root.hex()[:12]}"
    if (path / name).exists() and (path / name).read_bytes() != note:
        name += f"-{hashlib.sha256(note).hexdigest()[:12]}"
    folder.keep(name, note)
    kept = folder.checkpoint() if (path / "checkpoint").exists() else None
    if kept is not None and kept.size > checkpoint.size:
        raise Undecided(f"{kept.size} events are here, and {url} serves {checkpoint.size} now: nothing was replaced.")
    new = 0
    changed: list[str] = []
    with Progress("Fetching", checkpoint.size) as progress, ThreadPoolExecutor(AT_ONCE) as pool:

        def copy(wanted: Wanted) -> bool:
            level, index, width = wanted
            missing = not folder.is_whole(level, index, width)
            if missing:
                _copy(remote, folder, level, index, width)
            elif again and (other := _other(remote, folder, level, index, width)):
                changed.append(other)
            progress.add(width if level == "entries" else 0)
            return missing

        # A few at a time, in order: a size that is a lie ends at the first file that is not there.
        files = _files(checkpoint.size)
        while some := list(itertools.islice(files, 8 * AT_ONCE)):
            new += sum(pool.map(copy, some))
    if changed:
        raise False_(
            f"Of what is here, {url} serves {len(changed)} files otherwise now: {sorted(changed)[0]} first. What it "
            f"serves is kept in {path / 'evidence' / 'served'}; fsck says which of both are what was sealed.",
            files=sorted(changed),
            checkpoint=note.decode(),
        )
    if kept is not None and not _continued(folder, kept, checkpoint):
        raise Undecided(
            f"What {url} serves now does not continue the {kept.size} events that are here: the checkpoint was not "
            f"replaced. “consistency” decides with a policy, on a copy in an empty folder. Keep this one."
        )
    _rows(remote, folder, checkpoint.size)
    if kept is None or not _says_less(checkpoint, kept):
        folder.keep("checkpoint", note)
    return checkpoint, new


def _says_less(new: Checkpoint, kept: Checkpoint) -> bool:
    # Whether it is the same head, without somebody's signature that was there.
    mine, theirs = ({(name, id) for name, id, _ in each.signatures} for each in (kept, new))
    return new.text == kept.text and not mine <= theirs


def _other(remote: Remote, folder: Folder, level: int | str, index: int, width: int) -> str | None:
    # The name of a file that is served otherwise than it is here.
    own = folder.read(level, index, width)
    for wide in (width, WIDTH) if width < WIDTH else (WIDTH,):
        name = path_of(level, index, wide)
        if (data := remote.get(name)) is None:
            continue
        # A full tile begins with the partial one.
        if holds(data, level, width, wide) and (data.startswith(own) or own.startswith(data)):
            return None
        folder.keep(f"evidence/served/{name}", data)
        return name
    raise Undecided(f"{remote.url} does not serve {path_of(level, index, width)} any more, which is here.")


def _continued(folder: Folder, kept: Checkpoint, new: Checkpoint) -> bool:
    tiles = folder.tiles(new.size)
    return root_at(tiles, new.size) == new.root and root_at(folder.tiles(new.size), kept.size) == kept.root


def _copy(remote: Remote, folder: Folder, level: int | str, index: int, width: int) -> None:
    # A server need not keep a partial tile once the full one is there.
    for wide in (width, WIDTH) if width < WIDTH else (WIDTH,):
        data = remote.get(path_of(level, index, wide))
        if data is None:
            continue
        folder.keep(path_of(level, index, wide), data)
        if not folder.is_whole(level, index, width):
            raise Undecided(f"{remote.url}/{path_of(level, index, wide)} is cut short.")
        return
    raise Undecided(f"{remote.url} has no {path_of(level, index, width)}.")


def _files(size: int) -> Iterator[Wanted]:
    for level in ("entries", *range(8)):
        count = size if level == "entries" else size >> 8 * int(level)
        for index in range((count + WIDTH - 1) // WIDTH):
            yield level, index, min(WIDTH, count - index * WIDTH)


def seals_of(folder: Folder, size: int, most: int | None = None) -> list[dict[str, Any]]:
    """The newest seal of the read models in a log of this size, of a position not after ``most``: one for each model.

    Empty where there is none.
    """
    return (every_seal(folder, size, most) or [[]])[-1]


def every_seal(folder: Folder, size: int, most: int | None = None) -> list[list[dict[str, Any]]]:
    """All of them, in the order of their positions; what is no seal, whatever its event is called, is none."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for leaves in folder.bundles(size):
        for leaf in leaves:
            if b"\nReadModelSealed\n" in leaf[:60]:
                said = _seal(leaf, size)
                if said is not None and said["position"] <= (most or size):
                    found.setdefault((said["position"], said["seal"]), []).append(said)
    return [found[key] for key in sorted(found)]


def _seal(leaf: bytes, size: int) -> dict[str, Any] | None:
    try:
        said = json.loads(parsed(leaf).data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    position, rows = said.get("position"), said.get("rows")
    numbers = type(position) is int and type(rows) is int and 0 < position <= size and 0 <= rows <= size
    texts = all(isinstance(said.get(name), str) for name in ("name", "root", "code", "seal"))
    if not numbers or not texts or not _NAME.fullmatch(said["name"]) or not _HASH.fullmatch(said["root"]):
        return None
    return said


def _rows(remote: Remote, folder: Folder, size: int) -> None:
    # The hashes of the newest sealed rows: they let replay name a row. The hub keeps those of its newest seals only.
    for seal in seals_of(folder, size):
        name, position, count = seal["name"], seal["position"], seal["rows"]
        if (folder.path / f"rows/{position}/{name}").exists():
            continue
        parts: list[bytes] = []
        for n in range((count + WIDTH - 1) // WIDTH):
            part = remote.get(f"rows/{name}/{position}/{n}")
            if part is None or len(part) != HASH * min(WIDTH, count - n * WIDTH):
                break
            parts.append(part)
        else:
            folder.keep(f"rows/{position}/{name}", b"".join(parts))
