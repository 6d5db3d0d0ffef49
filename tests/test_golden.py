"""Every event shape that was ever stored is still read: ``golden_events.jsonl`` only grows."""

import json
from pathlib import Path

import msgspec
import pytest

from domain.core import Codec, Event, Kind, State, UnknownEvent, every_event, stored_names

GOLDEN = Path(__file__).parent / "golden_events.jsonl"


def lines():
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def not_read(codec, stored):
    """The types of stored events that the codec does not read, or that lose a value on the way."""
    failed = []
    for each in stored:
        try:
            event = codec.decode(each["type"], json.dumps(each["data"]))
        except (UnknownEvent, msgspec.ValidationError):
            failed.append(each["type"])
            continue
        again = json.loads(codec.encode(event, each["data"]["salt"]))
        if {name: value for name, value in again.items() if name in each["data"]} != each["data"]:
            failed.append(each["type"])
    return failed


def test_every_event_ever_stored_is_read():
    assert not_read(Codec(), lines()) == []


def test_every_event_has_its_golden_shape():
    own = {event.type for event in every_event() if event.__module__.startswith("domain.")}
    assert own == {each["type"] for each in lines()}


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "ProposalDrafted", "data": {"salt": "s"}},
        {"type": "NeverHeardOf", "data": {"salt": "s"}},
        {"type": "RoundOpened", "data": {"salt": "s", "call": "call_1", "dropped": 1}},
    ],
)
def test_a_shape_that_is_no_longer_read_is_caught(broken):
    assert not_read(Codec(), [broken]) == [broken["type"]]


def test_an_old_shape_is_read_through_its_upcaster():
    class Renamed(Event, was={"OldName": lambda data: {"title": data["name"]}}):
        """Something was renamed."""

        title: str

    assert Codec().decode("OldName", b'{"salt":"s","name":"As it was"}') == Renamed(title="As it was")

    class Concerned(State, kind=Kind("concerned"), on=(Renamed,)):
        """Whatever it decides on was there before it was renamed."""

    assert Concerned.types == stored_names(Renamed) == {"Renamed", "OldName"}
    # Take the planted classes out of every_event() and every_state() again.
    del Renamed, Concerned
    import gc

    gc.collect()
