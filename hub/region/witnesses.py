"""The demonstration's five witnesses, one for each country, as processes of their own; a quorum is four of them."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hub.audit.notes import Signer
from hub.processes import die_with_parent
from hub.programs import Unavailable

COUNTRIES = ("tj", "kg", "kz", "uz", "tm")
QUORUM = 4


@contextmanager
def witnesses(home: Path, log: Signer) -> Iterator["Started"]:
    """Start them; they end with the hub, and keep what they saw in ``home``."""
    home.mkdir(parents=True, exist_ok=True)
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        for country in COUNTRIES:
            with (home / f"{country}.log").open("w") as complaints:
                words = [f"{country}.witness.example/hub", home / country, "127.0.0.1", "0", log.verifier.vkey]
                running[country] = subprocess.Popen(
                    [sys.executable, "-m", "hub.audit.witness", *map(str, words)],
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    text=True,
                    preexec_fn=die_with_parent,
                )
        yield Started(home, log, running)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


class Started:
    """The witnesses as they come up."""

    def __init__(self, home: Path, log: Signer, running: dict[str, subprocess.Popen[str]]) -> None:
        self._home, self._log, self._running = home, log, running

    def policy(self, url: str) -> Path:
        """Wait for all of them, and write the policy file that names them; ``url`` is the log's own address."""
        lines = [f"log {self._log.verifier.vkey} {url}"]
        for country, process in self._running.items():
            assert process.stdout is not None
            said = process.stdout.readline() + process.stdout.readline()
            found = re.fullmatch(r".*: (\S+)\n.* at (\S+)\n", said)
            if found is None:
                complaint = (self._home / f"{country}.log").read_text().strip()[-300:]
                raise Unavailable(f"The witness {country} of the demonstration did not start: {complaint}")
            lines.append(f"witness {country} {found[1]} {found[2]}")
        lines += [f"group countries {QUORUM} {' '.join(COUNTRIES)}", "quorum countries"]
        file = self._home / "policy"
        file.write_text("\n".join(lines) + "\n")
        return file
