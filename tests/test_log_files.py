"""``/log`` over HTTP: who gets what, as static files would be served; and what pages and GraphQL say of a seal."""

import json

import httpx2
import pytest
from hub_audit.__main__ import main as hub_audit

from hub.audit import notes
from hub.audit.policy import Policy
from tests.sealed import SEALED, TOLD, until_sealed
from tests.web import hub

RECORD = """query($id: ID!) { proposal(id: $id) {
    seal { position status sealedAt size asked proof witnesses { name at } }
    history(first: 3) { nodes { position seal { status size } } } } }"""


@pytest.fixture(scope="module")
def served(sealed_once):
    """The sealed region, served for all tests of this file: none of them changes it."""
    with sealed_once.open() as url:
        until_sealed(url, SEALED)
        yield sealed_once, url


def token(region, whose, scope="read"):
    """A token of the region's auditor, or of the first author of a draft."""
    if whose == "auditor":
        return region.token.read_text().strip()
    out = hub(region.dsn, "log", "--type", "ProposalDrafted", "--json")[1].splitlines()
    actor = json.loads(out[-1])["actor"]
    return hub(region.dsn, "token", actor, "--scope", scope)[1].strip(), json.loads(out[-1])


def bearer(secret):
    return {"authorization": f"Bearer {secret}"}


def test_the_checkpoint_is_for_everybody_and_never_stale(served):
    region, url = served
    answer = httpx2.get(f"{url}/log/checkpoint")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    policy = Policy.parse(region.policy.read_text())
    checkpoint = notes.Checkpoint.parse(answer.content)
    assert policy.logged(checkpoint) and policy.witnessed(policy.cosigned(checkpoint))
    # While witnesses still sign, the same head is published with more signatures: ask until it rests.
    for _ in range(50):
        tag = httpx2.get(f"{url}/log/checkpoint").headers["etag"]
        if httpx2.get(f"{url}/log/checkpoint", headers={"if-none-match": tag}).status_code == 304:
            break
    else:
        raise AssertionError("a checkpoint that has not changed is sent again")


def test_tiles_are_for_everybody_and_for_ever(served):
    _, url = served
    full, partial = (httpx2.get(f"{url}/log/tile/{path}") for path in ("0/000", f"0/001.p/{SEALED - 256}"))
    assert len(full.content) == 8_192 and len(partial.content) == (SEALED - 256) * 32
    for answer in (full, partial):
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    # A partial tile is the beginning of what it grows into.
    assert httpx2.get(f"{url}/log/tile/0/000.p/5").content == full.content[:160]
    none = (
        "0/001",
        f"0/001.p/{SEALED - 150}",
        "1/001",
        "9/000",
        "64/000",
        "0/999/999",
        "x",
        "0/000.p/0",
        "entries/x1/000",
    )
    for path in none:
        assert httpx2.get(f"{url}/log/tile/{path}").status_code == 404, path


def test_entries_are_for_auditors(served):
    region, url = served
    author, _ = token(region, "author")
    bundle = f"{url}/log/tile/entries/000"
    assert httpx2.get(bundle).status_code == 401
    assert httpx2.get(bundle, headers=bearer("hub_nonsense")).status_code == 401
    assert httpx2.get(bundle, headers=bearer(author)).status_code == 403
    answer = httpx2.get(bundle, headers=bearer(token(region, "auditor")))
    assert answer.status_code == 200 and answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["content-encoding"] == "gzip"
    plain = httpx2.get(bundle, headers=bearer(token(region, "auditor")) | {"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers and plain.content == answer.content
    assert httpx2.get(f"{url}/log/rows/proposal/{TOLD}/0").status_code == 401
    assert httpx2.get(f"{url}/log/rows/proposal/{TOLD}/0", headers=bearer(author)).status_code == 403
    for path in (
        f"proposal/{TOLD - 1}/0",
        f"nothing/{TOLD}/0",
        f"proposal/{TOLD}/9",
        "proposal/x/0",
        f"proposal/{'9' * 5_000}/0",
    ):
        answer = httpx2.get(f"{url}/log/rows/{path}", headers=bearer(token(region, "auditor")))
        assert answer.status_code == 404, path


def test_sealed_boxes_are_for_tokens_that_were_made_to_mirror(served):
    region, url = served
    out = hub(region.dsn, "log", "--type", "PersonInvited", "--json")[1].splitlines()
    digest = json.loads(out[0])["data"]["name"]["sealed"]
    for headers in ({}, bearer(token(region, "auditor")), bearer(token(region, "author")[0])):
        assert httpx2.get(f"{url}/log/boxes/{digest}", headers=headers).status_code == 404


def test_who_may_read_an_event_may_have_its_proof_and_nobody_else(served, tmp_path):
    region, url = served
    author, drafted = token(region, "author")
    position = drafted["position"]
    for headers in ({}, bearer("hub_nonsense")):
        hidden = httpx2.get(f"{url}/log/proof/{position}", headers=headers)
        absent = httpx2.get(f"{url}/log/proof/999999", headers=headers)
        assert (hidden.status_code, hidden.content) == (absent.status_code, absent.content) == (404, absent.content)
    for headers in (bearer(author), bearer(token(region, "auditor"))):
        answer = httpx2.get(f"{url}/log/proof/{position}", headers=headers)
        assert answer.status_code == 200 and f'filename="event-{position}' in answer.headers["content-disposition"]
        assert "private" in answer.headers["cache-control"]
        file = tmp_path / "proof"
        file.write_bytes(answer.content)
        assert hub_audit(["proof", str(file), "--policy", str(region.policy)]) == 0
    for path in ("0", "-1", "x", "1.0", "9" * 5_000, "%00", "٣"):
        assert httpx2.get(f"{url}/log/proof/{path}").status_code == 404, path


def test_a_token_for_one_command_opens_nothing_of_the_log(served):
    region, url = served
    _, drafted = token(region, "author")
    granted = hub(region.dsn, "log", "--type", "RoleGranted", "--json")[1].splitlines()
    auditor = next(each["data"]["person"] for each in map(json.loads, granted) if each["data"]["role"] == "auditor")
    for scope in ("confirmPartner", "mirror"):
        headers = bearer(hub(region.dsn, "token", auditor, "--scope", scope)[1].strip())
        assert httpx2.get(f"{url}/log/tile/entries/000", headers=headers).status_code == 403
        assert httpx2.get(f"{url}/log/rows/proposal/{TOLD}/0", headers=headers).status_code == 403
        assert httpx2.get(f"{url}/log/proof/{drafted['position']}", headers=headers).status_code == 404


def test_a_record_says_how_it_is_sealed(served):
    region, url = served
    author, drafted = token(region, "author")
    asked = {"query": RECORD, "variables": {"id": drafted["data"]["proposal"]}}
    found = httpx2.post(f"{url}/graphql", json=asked, headers=bearer(author)).json()["data"]["proposal"]
    seal = found["seal"]
    assert seal["status"] == "SEALED" and seal["asked"] == 5 and len(seal["witnesses"]) >= 4
    assert seal["size"] >= seal["position"] == found["history"]["nodes"][0]["position"]
    assert seal["proof"] == f"/log/proof/{seal['position']}"
    assert {each["seal"]["status"] for each in found["history"]["nodes"]} == {"SEALED"}
    assert httpx2.post(f"{url}/graphql", json=asked).json() == {
        "data": {"proposal": None},
        "extensions": {"cost": httpx2.post(f"{url}/graphql", json=asked).json()["extensions"]["cost"]},
    }
    page = httpx2.get(f"{url}/proposals/{drafted['data']['proposal']}", headers=bearer(author)).text
    assert "How certain this is" in page and f'href="/log/proof/{seal["position"]}"' in page


def test_the_status_page_says_how_far_the_seals_are(served):
    _, url = served
    head = until_sealed(url, SEALED)
    page = httpx2.get(f"{url}/status").text
    assert f"<dd>{head}</dd>" in page and "Nothing is sealed any more" not in page
