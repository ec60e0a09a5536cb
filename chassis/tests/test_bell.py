"""The bell: at once within the process, soon over Redis, and never in the way when Redis is away."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from chassis.bell import Bell
from chassis.testing import free_port, is_listening, run_valkey, wait_until


@asynccontextmanager
async def running_bell(port: int) -> AsyncIterator[Bell]:
    bell = Bell("tests", f"redis://127.0.0.1:{port}")
    running = asyncio.create_task(bell.run())
    try:
        yield bell
    finally:
        running.cancel()
        await asyncio.wait([running])


async def has_rung(bell: Bell, within: float) -> bool:
    began = time.monotonic()
    await bell.wait(within)
    return time.monotonic() - began < within


async def hears(bell: Bell, other: Bell, within: float) -> bool:
    """Whether rings of `other` come through; each is lost until both have found Redis."""
    await bell.wait(0.01)
    end = time.monotonic() + within
    while time.monotonic() < end:
        other.ring()
        if await has_rung(bell, 0.1):
            return True
    return False


async def test_a_ring_before_the_wait_is_not_lost_and_counts_once() -> None:
    bell = Bell("tests", f"redis://127.0.0.1:{free_port()}")
    bell.ring()
    bell.ring()
    assert await has_rung(bell, 1)
    assert not await has_rung(bell, 0.05)


async def test_a_ring_during_the_wait_ends_it() -> None:
    bell = Bell("tests", f"redis://127.0.0.1:{free_port()}")
    asyncio.get_running_loop().call_later(0.02, bell.ring)
    assert await has_rung(bell, 5)


async def test_rings_reach_the_other_replicas_and_not_another_channel(tmp_path: Path) -> None:
    port = free_port()
    with run_valkey(tmp_path, port):
        other_service = Bell("others", f"redis://127.0.0.1:{port}")
        listening = asyncio.create_task(other_service.run())
        async with running_bell(port) as first, running_bell(port) as second:
            assert await hears(second, first, 5)
            assert await hears(first, second, 5)
            await other_service.wait(0.1)
            first.ring()
            assert await has_rung(second, 2)
            assert not await has_rung(other_service, 0.1)
        listening.cancel()
        await asyncio.wait([listening])


async def test_a_bell_does_not_hear_itself_over_redis(tmp_path: Path) -> None:
    """Or every write would be read twice."""
    port = free_port()
    with run_valkey(tmp_path, port):
        async with running_bell(port) as first, running_bell(port) as second:
            assert await hears(second, first, 5)
            while await has_rung(first, 0.2):
                pass
            first.ring()
            assert await has_rung(first, 1)
            assert await has_rung(second, 2), "it went over Redis"
            assert not await has_rung(first, 0.3)


async def assert_rings_at_once(bell: Bell) -> None:
    """Here, whatever Redis does: a ring takes no time, its waiter wakes, and the loop is not blocked."""
    for _ in range(20):
        began = time.monotonic()
        bell.ring()
        assert await has_rung(bell, 1)
        await asyncio.sleep(0)
        assert time.monotonic() - began < 0.1


async def test_a_refusing_redis_is_not_waited_for_and_is_found_when_it_comes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    async with running_bell(port) as first, running_bell(port) as second:
        wait = asyncio.create_task(asyncio.sleep(1.2))
        while not wait.done():
            await assert_rings_at_once(first)
            await asyncio.sleep(0.02)
        assert [record.getMessage() for record in caplog.records].count(
            "Redis is away (ConnectionError): readers poll each second meanwhile"
        ) == 2, "each bell says so once"
        with run_valkey(tmp_path, port):
            assert await hears(second, first, 5)


async def test_a_paused_redis_is_not_waited_for(tmp_path: Path) -> None:
    port = free_port()
    with run_valkey(tmp_path, port) as valkey:
        async with running_bell(port) as first, running_bell(port) as second:
            assert await hears(second, first, 5)
            valkey.send_signal(signal.SIGSTOP)
            wait = asyncio.create_task(asyncio.sleep(1.2))
            while not wait.done():
                await assert_rings_at_once(first)
                await asyncio.sleep(0.02)
            valkey.send_signal(signal.SIGCONT)
            assert await hears(second, first, 5)


async def test_a_redis_that_was_flushed_or_came_back_empty_carries_rings_again(tmp_path: Path) -> None:
    port = free_port()
    async with running_bell(port) as first, running_bell(port) as second:
        with run_valkey(tmp_path, port) as valkey:
            assert await hears(second, first, 5)
            async with Redis(port=port) as redis:
                await redis.flushall()
            assert await hears(second, first, 5)
            valkey.kill()
            valkey.wait()
            await asyncio.to_thread(wait_until, lambda: not is_listening(port), 5, "Valkey is gone")
            await assert_rings_at_once(first)
        with run_valkey(tmp_path, port):
            assert await hears(second, first, 5)
