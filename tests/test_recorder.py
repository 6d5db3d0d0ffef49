"""The log speaks the library's own terms: its recorder tests pass over the log's tables and its ``hub.append``."""

import asyncio
import contextlib
import json
import threading
import time

import asyncpg
import pytest
from eventsourcing.dcb.api import (
    DCBAppendCondition,
    DCBEvent,
    DCBQuery,
    DCBQueryItem,
    DCBReadResponse,
    DCBRecorder,
    DCBSequencedEvent,
    DCBSubscription,
)
from eventsourcing.dcb.tests import DCBRecorderTestCase
from eventsourcing.persistence import IntegrityError

from hub.log import as_writer, prepare

READ = """
    SELECT e.position, e.type, e.tags, e.data::text AS data FROM hub.event e
    WHERE e.position > $1 AND ($2::json IS NULL OR EXISTS (
        SELECT FROM json_array_elements($2) item
        WHERE (json_array_length(item->'types') = 0 OR (item->'types')::jsonb ? e.type)
          AND NOT EXISTS (SELECT FROM json_array_elements_text(item->'tags') wanted
                          WHERE NOT EXISTS (SELECT FROM hub.tag t WHERE t.position = e.position AND t.tag = wanted))))
    ORDER BY e.position LIMIT $3"""


class Found(DCBReadResponse):
    """What a read found, and the head that it saw."""

    def __init__(self, found, head):
        self._found, self._head = iter(found), head

    @property
    def head(self):
        return self._head

    def __next__(self):
        return next(self._found)


class Following(DCBSubscription):
    """Polls, as the hub's own followers do."""

    def __next__(self):
        while not self._has_been_stopped:
            for found in self._recorder.read(self._query, after=self._last_position, limit=1):
                self._last_position = found.position
                return found
            time.sleep(0.02)
        raise StopIteration


class Recorder(DCBRecorder):
    """The log behind the library's interface: what a boundary is, and that appending holds it, is the log's own."""

    def __init__(self, dsn):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._db = self._run(self._connect(dsn))
        self._turn = threading.Lock()

    async def _connect(self, dsn):
        await prepare(dsn)
        db = await asyncpg.connect(dsn)
        await as_writer(db)
        return db

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self):
        self._run(self._db.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def read(self, query=None, *, after=None, limit=None):
        items = [{"types": i.types, "tags": i.tags} for i in query.items] if query and query.items else None
        with self._turn:
            head = self._run(self._db.fetchval("SELECT max(position) FROM hub.event"))
            rows = self._run(self._db.fetch(READ, after or 0, items and json.dumps(items), limit))
        found = [
            DCBSequencedEvent(
                DCBEvent(r["type"], json.loads(r["data"])["data"].encode(), r["tags"].split()), r["position"]
            )
            for r in rows
        ]
        if limit is not None:
            head = found[-1].position if found else None
        return Found(found, head)

    def append(self, events, condition=None):
        while True:
            with self._turn:
                head = self._run(self._db.fetchval("SELECT coalesce(max(position), 0) FROM hub.event"))
            if condition and list(self.read(condition.fail_if_events_match, after=condition.after, limit=1)):
                raise IntegrityError(condition)
            if self._append(events, head) == head:
                return head + len(events)

    def _append(self, events, head):
        tags = [(tag, n) for n, event in enumerate(events, 1) for tag in event.tags]
        none, same = [], ["x"] * len(events)
        with self._turn:
            return self._run(
                self._db.fetchval(
                    """SELECT hub.append($1, $2, $3, $4, array_fill(now(), ARRAY[cardinality($2::text[])]), $4,
                                         $5, $6, $7, $8, $8, $8, $8, $8, $8, '{}'::bytea[], NULL, NULL)""",
                    head,
                    [event.type for event in events],
                    [" ".join(event.tags) for event in events],
                    same,
                    [json.dumps({"data": event.data.decode()}) for event in events],
                    [tag for tag, _ in tags],
                    [n for _, n in tags],
                    none,
                )
            )

    def subscribe(self, query=None, *, after=None):
        return Following(self, query, after)


@pytest.fixture
def recorder(dsn):
    recorder = Recorder(dsn)
    yield recorder
    recorder.close()


class Cases(DCBRecorderTestCase):
    """The library's cases, called by name."""

    __test__ = False

    def runTest(self):
        """Cases are called one by one."""


def test_the_librarys_append_and_read(recorder):
    Cases()._test_append_read(recorder)


def test_the_librarys_append_and_subscribe(recorder):
    Cases()._test_append_subscribe(recorder)


def race(recorder):
    """Twenty who each append, provided that nobody has before: how many came through."""
    once = DCBAppendCondition(DCBQuery([DCBQueryItem(tags=["seat"])]))
    done = []

    def claim(n):
        with contextlib.suppress(IntegrityError):
            done.append(recorder.append([DCBEvent("Claimed", b"x", ["seat"])], once))

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(done)


def test_of_twenty_who_claim_one_seat_one_gets_it(recorder):
    assert race(recorder) == 1


def test_the_race_notices_a_log_that_forgets_the_head(recorder, monkeypatch):
    # The sabotaged twin: between the look and the append the head is not compared.
    kept = recorder._append
    monkeypatch.setattr(
        recorder,
        "_append",
        lambda events, head: (time.sleep(0.01), kept(events, recorder.read().head or 0), head)[-1],
    )
    assert race(recorder) > 1
