"""Files: of lists, with what the list shows and nothing else; and those of the hub, whole or as they were before."""

import csv
import errno
import json
import re

import httpx2
import pytest

from hub.files import written


def test_files_of_a_list_hold_what_the_list_shows(region_url):
    with httpx2.Client(base_url=region_url) as client:
        shown = client.get("/organizations?country=TJ").text
        told = client.get("/organizations.json?country=TJ").json()
        lines = client.get("/organizations.csv?country=TJ").content.decode("utf-8-sig").splitlines()
        assert len(told) == len(lines) - 1 == int(re.search(r"(\d+) organizations", shown)[1]) > 3
        assert {each["country"] for each in told} == {"TJ"}
        assert lines[0].split(",")[:2] == ["id", "name"]
        assert json.loads(client.get("/proposals.json?text=zzzzzz").content) == []
        # Where nothing is found, the columns are there; a part of a record is found by its path.
        (empty,) = client.get("/proposals.csv?text=zzzzzz").content.decode("utf-8-sig").splitlines()
        assert empty.split(",")[:6] == ["id", "title", "status", "call.id", "call.title", "lead.id"]
        rows = [*csv.DictReader(client.get("/proposals.csv").content.decode("utf-8-sig").splitlines())]
        assert rows and all(", CONFIRMED, " in each["partners"] and each["submittedAt"] for each in rows)
        assert client.get("/proposals.xlsx").status_code == client.get("/people.csv").status_code == 404
        assert client.get("/proposals.csv?after=x").status_code == 400
        assert client.get("/proposals.csv?status=DRAFT&status=AWARDED&mine=&orderBy=DRAFTED").status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        "text=zzzz&text=a",
        "mine=false&mine=true",
        "status=NOPE",
        "status=in_review",
        "status=DRAFT&status=NOPE",
        "mine=maybe",
        "stauts=DRAFT",
        "orderBy=X",
    ],
)
def test_a_file_that_leaves_out_of_account_what_was_asked_is_none(region_url, asked):
    answer = httpx2.get(f"{region_url}/proposals.csv?{asked}")
    assert answer.status_code == 400
    assert any(each in answer.text for each in asked.split("&"))


def test_a_token_that_is_not_valid_any_more_gives_no_file_of_what_is_public(region_url):
    answer = httpx2.get(f"{region_url}/proposals.csv", headers={"authorization": "Bearer hub_expired"})
    assert answer.status_code == 401 and "not valid" in answer.text


def test_a_file_that_cannot_be_written_whole_leaves_no_half(tmp_path, monkeypatch):
    """A disk that is full, say: what was there stays, and no more."""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    written(tmp_path / "head", b"old")
    monkeypatch.setattr("hub.files.os.fsync", full)
    with pytest.raises(OSError):
        written(tmp_path / "head", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["head"] and (tmp_path / "head").read_bytes() == b"old"
