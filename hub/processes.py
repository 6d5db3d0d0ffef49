"""Processes that a hub begins, and those that another has left behind."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def die_with_parent() -> None:
    """For a child, before it runs: end when the parent does, however that ends."""
    # Ignored, as what a shell starts in the background has it, that would be heard by nobody.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)


@contextmanager
def until_known() -> Iterator[None]:
    """Whoever tells us to end while a child is begun is heeded once we know it: else nobody would end the child."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    kept = {
        each: signal.signal(each, lambda number, _: came.append(number)) for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for each, handler in kept.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
        for number in came:
            signal.raise_signal(number)


def end_session(process: subprocess.Popen[str]) -> None:
    """Kill a process that began a session of its own, and all that it started, and wait until they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Whoever takes in orphans says that they are gone; where nobody does, that is not waited for.
    deadline = time.monotonic() + 2
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.02)


def is_postgres_of(pid: int, data: Path) -> bool:
    """Whether a process is a PostgreSQL server over this data directory."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        asked = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True)
        words = asked.stdout.split()
    return str(data).encode() in words


def working_in(data: Path) -> list[int]:
    """PostgreSQL's processes over a data directory, where the system tells."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (each / "cwd").samefile(data) and (each / "comm").read_text().startswith("postgres"):
                found.append(int(each.name))
    return found


def owner_named(uid: int) -> str:
    """What a user is called; the number of one whom nobody knows here."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
