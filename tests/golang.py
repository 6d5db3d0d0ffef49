"""Asks Go's own implementations (Debian's golang-golang-x-mod-dev): built once for a run; absent, tests are skipped."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path("/usr/share/gocode")


class Go:
    """A running verifier."""

    def __init__(self, program):
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, op, **question):
        """What Go finds, or ``None`` where it rejects."""
        self._process.stdin.write(json.dumps({"op": op, **{k: _plain(v) for k, v in question.items()}}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer.get("found")

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)


def _plain(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_plain(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="session")
def go(tmp_path_factory):
    """Go's verifier."""
    if shutil.which("go") is None or not (SOURCES / "src/golang.org/x/mod/sumdb/tlog").exists():
        pytest.skip("Go's verifiers are absent: apt-get install golang-go golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("go")
    source = Path(__file__).parent / "go" / "verify.go"
    env = {
        **os.environ,
        "GOPATH": str(SOURCES),
        "GO111MODULE": "off",
        "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0",
    }
    subprocess.run(["go", "build", "-o", folder / "verify", source], env=env, check=True, timeout=240)
    running = Go(folder / "verify")
    yield running
    running.close()
