"""The demonstration's five witnesses, one for each country, as processes of their own; a quorum is four of them.

``python -m hub.region.witnesses HOME VKEY`` loads what a witness is made of once, and forks five that cosign the log of
this key, each with a folder of its own in ``HOME``. Each says its key and its address, or is said to have ended.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Never

from hub.audit.notes import Signer
from hub.processes import die_with_parent
from hub.programs import Unavailable

COUNTRIES = ("tj", "kg", "kz", "uz", "tm")
QUORUM = 4


@contextmanager
def witnesses(home: Path, log: Signer) -> Iterator["Started"]:
    """Start them; they end with the hub, and keep what they saw in ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "hub.region.witnesses", str(home), log.verifier.vkey]
    running = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    try:
        assert running.stdout is not None
        yield Started(home, log, running.stdout)
    finally:
        running.terminate()
        running.wait()


class Started:
    """The witnesses as they come up."""

    def __init__(self, home: Path, log: Signer, said: IO[str]) -> None:
        self._home, self._log, self._said = home, log, said

    def policy(self, url: str) -> Path:
        """Wait for all of them, and write the policy file that names them; ``url`` is the log's own address."""
        came: dict[str, str] = {}
        while len(came) < len(COUNTRIES):
            if (found := re.fullmatch(r".*: ((\w+)\.\S+)\n", self._said.readline())) is None:
                raise Unavailable(f"A witness of the demonstration did not start{self._complaint()}")
            key, country = found.groups()
            came[country] = f"witness {country} {key} {self._said.readline().split()[-1]}"
        lines = [f"log {self._log.verifier.vkey} {url}", *(came[country] for country in COUNTRIES)]
        lines += [f"group countries {QUORUM} {' '.join(COUNTRIES)}", "quorum countries"]
        file = self._home / "policy"
        file.write_text("\n".join(lines) + "\n")
        return file

    def _complaint(self) -> str:
        for country in COUNTRIES:
            with suppress(OSError):
                if complaint := (self._home / f"{country}.log").read_text().strip():
                    return f": {country}: {complaint[-300:]}"
        return "."


def _witness(country: str, home: Path, vkey: str) -> Never:
    from hub.audit.witness import serve

    die_with_parent()
    if sys.platform == "linux":
        # What a list of processes calls it.
        ctypes.CDLL(None).prctl(15, f"witness {country}".encode())
    with (home / f"{country}.log").open("w") as complaints:
        os.dup2(complaints.fileno(), 2)
    sys.exit(serve(f"{country}.witness.example/hub", home / country, [vkey], "127.0.0.1", 0))


def _all(home: Path, vkey: str) -> None:
    import uvicorn  # noqa: F401  loaded once for all of them

    import hub.audit.witness  # noqa: F401

    running: dict[int, str] = {}
    try:
        # Also where a shell has had Ctrl-C ignored: that is how the kernel tells that the hub has died.
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: sys.exit())
        for country in COUNTRIES:
            if (pid := os.fork()) == 0:
                for each in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(each, signal.SIG_DFL)
                running.clear()
                _witness(country, home, vkey)
            running[pid] = country
        while running:
            print(f"The witness {running.pop(os.wait()[0])} has ended", flush=True)
    finally:
        for pid in running:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        while running:
            running.pop(os.wait()[0], None)


if __name__ == "__main__":
    _all(Path(sys.argv[1]), sys.argv[2])
