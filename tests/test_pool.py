"""A connection that has answered is at hand for the next statement; whatever happens to it, nobody is left waiting."""

import asyncio
import os
import signal

import asyncpg
import pytest

from hub import pool as pools
from hub.pool import Pool
from tests.test_log import told

MINE = "SELECT pg_backend_pid()"


async def opened(dsn, size=4):
    return Pool(await asyncpg.create_pool(dsn, min_size=0, max_size=size))


def test_the_same_connection_answers_one_after_another(dsn):
    async def story():
        pool = await opened(dsn)
        assert len({await pool.fetchval(MINE) for _ in range(20)}) == 1
        assert await pool.fetchval("SELECT 1 WHERE false") is None
        assert await pool.fetchrow("SELECT 1 WHERE false") is None
        assert [row[0] for row in await pool.fetch("SELECT generate_series(1, 3)")] == [1, 2, 3]
        assert await pool.execute("SELECT 1") == "SELECT 1"
        assert pool.get_size() == 1
        await pool.close(5)

    told(story())


def test_more_who_ask_than_connections_are_answered_in_their_order(dsn):
    async def story():
        pool, order = await opened(dsn), []

        async def ask(n):
            pid = await pool.fetchval(MINE + ", pg_sleep(0.02)")
            order.append(n)
            return pid

        pids = await asyncio.gather(*(ask(n) for n in range(20)))
        # Three quarters of four: one is left for whoever needs a connection for longer.
        assert len(set(pids)) == 3
        assert all(order.index(n) < order.index(n + 6) for n in range(14))
        async with asyncio.timeout(5), pool.acquire() as db:
            assert await db.fetchval("SELECT 1") == 1
        await pool.close(5)

    told(story())


def test_who_gives_up_waiting_takes_nobodys_place(dsn):
    async def story():
        pool = await opened(dsn)
        for kind in ("cancelled", "too long"):
            busy = [asyncio.create_task(pool.fetchval(MINE + ", pg_sleep(0.2)")) for _ in range(3)]
            await asyncio.sleep(0.05)
            impatient = [asyncio.create_task(pool.fetchval(MINE, timeout=0.05)) for _ in range(2)]
            behind = asyncio.create_task(pool.fetchval(MINE))
            await asyncio.sleep(0.02)
            if kind == "cancelled":
                for each in impatient:
                    each.cancel()
            answers = await asyncio.gather(*impatient, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError | TimeoutError) for each in answers)
            assert await behind in await asyncio.gather(*busy)
            assert pool._held <= 3 and not pool._waiting
        # A place, or a connection, is theirs in the very moment in which they give up: the next one gets it.
        for what in (None, "a connection"):
            busy = [asyncio.create_task(pool.fetchval("SELECT pg_sleep(0.2)")) for _ in range(3)]
            await asyncio.sleep(0.05)
            waiting = [asyncio.create_task(pool.fetchval(MINE, timeout=5)) for _ in range(2)]
            await asyncio.sleep(0.02)
            more = await pool._pool.acquire()
            pool._held += 1
            if what is None:
                await pool._let_go(more)
            else:
                pool._give(more)
            waiting[0].cancel()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(answers[0], asyncio.CancelledError) and isinstance(answers[1], int)
            await asyncio.gather(*busy)
            await pool._let_go(pool._at_hand())
            assert pool._held == 3
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(30))) == [1] * 30
        await pool.close(5)

    told(story())


def test_a_connection_that_failed_is_given_up_and_whoever_waits_gets_its_place(dsn):
    async def story():
        pool = await opened(dsn, 2)
        failing = asyncio.create_task(pool.fetchval("SELECT 1 / (SELECT 0 FROM pg_sleep(0.1))"))
        await asyncio.sleep(0.02)
        waiting = [asyncio.create_task(pool.fetchval("SELECT 1")) for _ in range(5)]
        with pytest.raises(asyncpg.DivisionByZeroError):
            await failing
        assert await asyncio.gather(*waiting) == [1] * 5
        cancelled = asyncio.create_task(pool.fetchval("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(pool.fetchval("SELECT 2"))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        async with asyncio.timeout(5):
            assert await waiting == 2
        with pytest.raises(TimeoutError):
            await pool.fetchval("SELECT pg_sleep(60)", timeout=0.05)
        assert await pool.fetchval("SELECT 3") == 3 and pool._held == 1
        await pool.close(5)

    told(story())


def test_what_the_server_ended_meanwhile_is_not_asked(dsn):
    async def story():
        pool, other = await opened(dsn), await asyncpg.connect(dsn)
        for _ in range(3):
            pids = set(await asyncio.gather(*(pool.fetchval(MINE + ", pg_sleep(0.02)") for _ in range(6))))
            for pid in pids:
                await other.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await asyncio.sleep(0.1)
            assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(6))) == [1] * 6
            assert pool._held <= 3
        await other.close()
        await pool.close(5)

    told(story())


def test_a_connection_that_never_answers_is_given_up_and_holds_up_nobody_else(dsn):
    async def story():
        pool = await opened(dsn)
        silent = await pool.fetchval(MINE)
        os.kill(silent, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                with pytest.raises(TimeoutError):
                    await pool.fetchval(MINE, timeout=0.3)
                assert silent not in await asyncio.gather(*(pool.fetchval(MINE) for _ in range(8)))
                assert pool._held <= 3 and not pool._waiting
        finally:
            os.kill(silent, signal.SIGCONT)
        await pool.close(5)

    told(story())


def test_a_pool_of_one_answers_too(dsn):
    async def story():
        pool = await opened(dsn, 1)
        async with asyncio.timeout(5):
            assert await asyncio.gather(*(pool.fetchval("SELECT 1") for _ in range(3))) == [1] * 3
        await pool.close(5)

    told(story())


def test_what_rested_too_long_is_not_asked_again(dsn, monkeypatch):
    async def story():
        pool = await opened(dsn)
        first = await pool.fetchval(MINE)
        monkeypatch.setattr(pools, "REST", -1.0)
        second = await pool.fetchval(MINE)
        monkeypatch.undo()
        assert first != second and await pool.fetchval(MINE) == second
        assert pool._held == 1
        await pool.close(5)

    told(story())


def test_closing_waits_for_who_is_being_answered_and_refuses_who_comes(dsn):
    async def story():
        pool = await opened(dsn)
        # Its three connections are there: whoever asks first has one at once.
        await asyncio.gather(*(pool.fetchval("SELECT 1 FROM pg_sleep(0.2)") for _ in range(3)))
        asked = [asyncio.create_task(pool.fetchval("SELECT 1 FROM pg_sleep(0.2)")) for _ in range(8)]
        await asyncio.sleep(0.03)
        await pool.close(5)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert answers[:3] == [1] * 3
        assert all(each == 1 or isinstance(each, asyncpg.InterfaceError) for each in answers)
        with pytest.raises(asyncpg.InterfaceError):
            await pool.fetchval("SELECT 1")

    told(story())
