"""The page for developers works as printed: its examples are run, not read."""

import html
import json
import os
import re
import subprocess
import sys

import httpx2
import pytest

from tests.test_log import told
from tests.web import as_, draft_of, node_program, opened, people_of, serving


@pytest.fixture(scope="module")
def hub_and_token(plain_dsn):
    """The address of a hub, and a token that may do everything that its person may."""

    async def token():
        async with serving(plain_dsn) as (hub, _, _):
            return await hub.identity.token((await people_of(hub))["karimova"], ["everything"], "test", 1)

    secret = told(token())
    with opened(plain_dsn) as url:
        yield url, secret


def example(url, name):
    """An example of the page, as somebody would copy it."""
    page = httpx2.get(f"{url}/developers").text
    return html.unescape(re.search(rf'data-example="{name}">(.*?)</pre>', page, re.S)[1])


@pytest.mark.parametrize("name", ["curl", "python", "javascript"])
def test_a_first_query_works_as_printed(hub_and_token, tmp_path, name):
    url, secret = hub_and_token
    program = {"curl": ["sh"], "python": [sys.executable], "javascript": [node_program()]}[name]
    file = tmp_path / f"example{'.mjs' if name == 'javascript' else ''}"
    file.write_text(example(url, name))
    env = {**os.environ, "HUB_TOKEN": secret}
    done = subprocess.run([*program, file], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Зарина Каримова" in done.stdout and "AI for health and languages" in done.stdout


def test_a_copy_is_made_as_printed_and_has_every_event_that_is_listed(hub_and_token, tmp_path):
    url, secret = hub_and_token
    file = tmp_path / "mirror.py"
    file.write_text(example(url, "copy"))
    env = {**os.environ, "HUB_TOKEN": secret}
    done = subprocess.run([sys.executable, file], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    copied = [int(line.split()[0]) for line in done.stdout.splitlines()]
    listed, after = [], None
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}) as client:
        text = """query($a: String) { activity(first: 100, after: $a) {
            nodes { position } pageInfo { hasNextPage endCursor } } }"""
        while True:
            page = client.post("/graphql", json={"query": text, "variables": {"a": after}}).json()["data"]["activity"]
            listed += [each["position"] for each in page["nodes"]]
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
    assert len(copied) > 100 and copied == sorted(listed)[: len(copied)]


def mine(url, secret):
    """An open call, and the organization that the token's person works at."""
    query = "{ calls(where: {status: [OPEN]}) { nodes { id } } me { affiliations { organization { id } } } }"
    with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {secret}"}) as client:
        data = client.post("/graphql", json={"query": query}).json()["data"]
    return data["calls"]["nodes"][0]["id"], data["me"]["affiliations"][0]["organization"]["id"]


def test_a_change_works_as_printed_and_twice_the_same(hub_and_token):
    url, secret = hub_and_token
    call, organization = mine(url, secret)
    script = example(url, "mutation").replace("ORGANIZATION", organization)
    assert call in script
    env = {**os.environ, "HUB_TOKEN": secret}
    first, second = (
        subprocess.run(["sh", "-c", script], env=env, capture_output=True, text=True, timeout=60) for _ in range(2)
    )
    assert '"receipt":{"record":"proposal_' in first.stdout and first.stdout == second.stdout


def test_live_changes_are_heard_as_printed(hub_and_token):
    url, secret = hub_and_token
    call, organization = mine(url, secret)
    env = {**os.environ, "HUB_TOKEN": secret}
    command = ["sh", "-c", "exec " + example(url, "live")]
    listening = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert listening.stdout.readline() == ":\n"
        draft = "mutation($p: DraftProposalInput!) { draftProposal(input: $p) { receipt { record } } }"
        given = {"call": call, "lead": organization, "title": "Heard live"}
        headers = {"authorization": f"Bearer {secret}"}
        httpx2.post(f"{url}/graphql", json={"query": draft, "variables": {"p": given}}, headers=headers)
        line = next(line for line in listening.stdout if line.startswith("data:"))
        assert '"type":"ProposalDrafted"' in line
    finally:
        listening.kill()
        listening.wait()


def test_the_explorer_begins_with_what_a_page_was_shown_with(region_dsn):
    async def story():
        async with serving(region_dsn) as (hub, app, _):
            person = (await people_of(hub))["karimova"]
            reader, draft = await as_(hub, app, person), await draft_of(hub, person)
            for address, holds in (
                ("/search?text=glaciers", {"text": "glaciers"}),
                ("/proposals?mine=true&status=AWARDED", {"mine": True, "status": ["AWARDED"]}),
                (f"/proposals/{draft}", {"id": draft, "past": False}),
            ):
                page = (await reader.get(address)).text
                link = html.unescape(re.search(r'href="(/explorer[^"]*)"', page)[1])
                shown = html.unescape((await reader.get(link)).text)
                begun = json.loads(re.search(r'data-variables="(\{.*?\})"', shown, re.DOTALL)[1])
                assert holds.items() <= begun.items()

    told(story())
