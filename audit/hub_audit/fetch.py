"""``fetch``: copies a hub's log to the disk; what is there already is not asked for again."""

import gzip
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from hub_audit.folder import Folder, parsed, path_of
from hub_audit.notes import Checkpoint
from hub_audit.outcome import Undecided, Unusable
from hub_audit.progress import Progress
from hub_audit.tree import HASH, WIDTH

AT_ONCE, TRIES, PATIENCE = 4, 4, 30
LARGEST = WIDTH * 65_537


class Remote:
    """A log behind an address; keeps its connections, one to a thread."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Unusable(f"“{url}” is no address of a log: https://HOST/log is asked for.")
        self._scheme, self._host = parts.scheme, parts.netloc.rpartition("@")[2]
        self._prefix, self._token, self._local = parts.path.rstrip("/"), token, threading.local()

    def _connection(self) -> http.client.HTTPConnection:
        if not hasattr(self._local, "http"):
            kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
            self._local.http = kind(self._host, timeout=PATIENCE)
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
            try:
                connection = self._connection()
                connection.request("GET", f"{self._prefix}/{name}", headers=headers)
                answer = connection.getresponse()
                body = answer.read(LARGEST + 1)
            except (OSError, http.client.HTTPException) as error:
                self._local.http.close()
                complaint = str(error) or type(error).__name__
                continue
            if answer.status == 200 and len(body) <= LARGEST:
                return gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
            if answer.status == 404:
                return None
            said = body[:200].decode(errors="replace").strip()
            if answer.status in (401, 403):
                raise Unusable(f"{self._host} answers {answer.status} to {name}: {said}")
            complaint = f"{answer.status}: {said}"
            self._local.http.close()
        raise Undecided(f"{self._host} cannot be asked for {name}: {complaint}")


def fetch(url: str, path: Path, token: str | None) -> tuple[Checkpoint, int]:
    """Copy the log; answers the checkpoint that it was copied for, and how many files were new.

    The checkpoint is written last: what stands in the folder is always whole, whenever this is ended.
    """
    remote, folder = Remote(url, token), Folder(path)
    note = remote.get("checkpoint")
    if note is None:
        raise Undecided(f"{url} has no checkpoint yet: try again in a moment.")
    checkpoint = Checkpoint(note, f"{url}/checkpoint")
    wanted = [each for each in _files(checkpoint.size) if not _is_there(folder, *each)]
    with Progress("Fetching", len(wanted)) as progress, ThreadPoolExecutor(AT_ONCE) as pool:

        def copy(each: tuple[int | str, int, int]) -> None:
            level, index, width = each
            name = path_of(level, index, width)
            data = remote.get(name)
            if data is None and width < WIDTH:
                # A server need not keep a partial tile once the full one is there.
                data, name = remote.get(path_of(level, index)), path_of(level, index)
            if data is None:
                raise Undecided(f"{url} has no {name}.")
            if level != "entries" and len(data) < width * HASH:
                raise Undecided(f"{url}/{name} is too short.")
            folder.keep(name, data)
            progress.add(1)

        _all(pool, copy, wanted)
    _rows(remote, folder, checkpoint.size)
    folder.keep(f"seen/{checkpoint.size}", note)
    folder.keep("checkpoint", note)
    return checkpoint, len(wanted)


def _all(
    pool: ThreadPoolExecutor,
    copy: Callable[[tuple[int | str, int, int]], None],
    wanted: Iterable[tuple[int | str, int, int]],
) -> None:
    futures = [pool.submit(copy, each) for each in wanted]
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()


def _files(size: int) -> Iterable[tuple[int | str, int, int]]:
    for level in ("entries", *range(8)):
        count = size if level == "entries" else size >> 8 * int(level)
        for index in range((count + WIDTH - 1) // WIDTH):
            yield level, index, min(WIDTH, count - index * WIDTH)


def _is_there(folder: Folder, level: int | str, index: int, width: int) -> bool:
    return any((folder.path / path_of(level, index, wide)).exists() for wide in {width, WIDTH})


def seals_of(folder: Folder, size: int, most: int | None = None) -> list[dict[str, object]]:
    """The newest seal of the read models in a log of this size, not after ``most``: one for each model, or none."""
    found: dict[int, list[dict[str, object]]] = {}
    for leaves in folder.bundles(size, most):
        for leaf in leaves:
            if b"\nReadModelSealed\n" in leaf[:60]:
                try:
                    said = json.loads(parsed(leaf).data)
                    found.setdefault(said["position"], []).append(said)
                except (ValueError, KeyError, TypeError):
                    continue
    return found[max(found)] if found else []


def _rows(remote: Remote, folder: Folder, size: int) -> None:
    # The hashes of the newest sealed rows: they let replay name a row. The hub keeps those of its newest seal only.
    for seal in seals_of(folder, size):
        name, position, count = seal["name"], seal["position"], seal["rows"]
        if not isinstance(name, str) or not name.isidentifier() or not isinstance(count, int):
            continue
        if (folder.path / f"rows/{position}/{name}").exists():
            continue
        parts = [remote.get(f"rows/{name}/{position}/{n}") for n in range((count + WIDTH - 1) // WIDTH)]
        if all(parts):
            folder.keep(f"rows/{position}/{name}", b"".join(part for part in parts if part))
