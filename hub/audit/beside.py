"""The follower as a process beside those that serve: however much it has to do, writers do not wait for it."""

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hub.processes import die_with_parent

LONGEST = 60.0
"""Seconds between two starts of a follower that ends at once."""
_log = logging.getLogger("hub")


@contextmanager
def following(dsn: str, home: Path, origin: str, policy: Path, models: bool = True) -> Iterator[None]:
    """Keep tree and seals up to the log meanwhile, those of the read ``models`` too.

    A follower that ends by itself, or is killed, is started again.
    """
    told = json.dumps([dsn, str(home), origin, str(policy), models]).encode()
    over, running = threading.Event(), [_started(told)]

    def watch() -> None:
        # One that cannot run is tried less and less often.
        rest, began = 1.0, time.monotonic()
        while not over.wait(rest):
            if running[-1].poll() is not None:
                rest = min(2 * rest, LONGEST) if time.monotonic() - began < LONGEST else 1.0
                _log.warning("the process that seals the log has ended: it is started again")
                with suppress(OSError):
                    running.append(_started(told))
                    began = time.monotonic()
            elif time.monotonic() - began > LONGEST:
                rest = 1.0

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        running[-1].terminate()
        try:
            running[-1].wait(5)
        except subprocess.TimeoutExpired:
            running[-1].kill()
            running[-1].wait()


def _started(told: bytes) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C is for the hub, which ends this when it has ended. An address of a database may hold
    # a password: it is no argument.
    process = subprocess.Popen(
        [sys.executable, "-m", "hub.audit.following"],
        stdin=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(told)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it has ended already: the watcher starts another one
    return process
