"""Redis is a bell: refused, paused, flushed or restarted empty, every SOS is taken as fast as before and seen within 3 s."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from harness import RunningPlatform, run_platform
from recovery.ledger import Callers, Ledger, Watcher, judge, wait_for_delivery
from recovery.test_sigkill import read_rows

pytestmark = pytest.mark.alone
SECONDS = 60 if "SIAGA_NIGHTLY" in os.environ else 5
# About 20 a second over a minute, or 100 over some seconds: enough that the slowest of a hundred are several.
CALLERS, PAUSE = (4, 0.2) if SECONDS == 60 else (4, 0.03)
LATEST = 3.0
SLOWER = 0.050


def refuse(platform: RunningPlatform) -> None:
    platform.stop("valkey")


def pause(platform: RunningPlatform) -> None:
    platform.pause("valkey")


def flush(platform: RunningPlatform) -> None:
    redis.Redis.from_url(platform.environment["REDIS_URL"]).flushall()


def restart_empty(platform: RunningPlatform) -> None:
    platform.kill("valkey")
    platform.start("valkey")


def mend(platform: RunningPlatform) -> None:
    platform.resume("valkey")
    if platform.processes["valkey"].poll() is not None:
        platform.start("valkey")


async def raise_meanwhile(platform: RunningPlatform, ledger: Ledger, seconds: float) -> list[float]:
    """The latencies of SOS at about 20 a second, all of which go to the first replica."""
    callers = Callers(platform.address("alerts"), ledger)
    calling = asyncio.create_task(callers.run(CALLERS, PAUSE))
    await asyncio.sleep(seconds)
    callers.stopping = True
    await calling
    return sorted(callers.latencies)


async def endure(
    platform: RunningPlatform, url: str, folder: Path, fault: Callable[[RunningPlatform], None]
) -> tuple[list[str], float, float]:
    """What went wrong, how much slower the slowest of a hundred SOS was, and how late the last one was on the other replica's screen."""
    watcher = Watcher(platform.address("alerts-2"), lambda: platform.token("dispatcher-112"))
    watching = asyncio.create_task(watcher.run())
    await watcher.following.wait()
    with Ledger(folder / "ledger") as ledger:
        before = await raise_meanwhile(platform, ledger, SECONDS / 2)
        await asyncio.to_thread(fault, platform)
        sent = set(ledger.outcomes)
        meanwhile = await raise_meanwhile(platform, ledger, SECONDS)
        ended = time.monotonic()
        await wait_for_delivery(ledger, [watcher], 2 * LATEST)
        last = max((watcher.arrivals.get(each, ended + 99) for each in ledger.outcomes if each not in sent), default=0) - ended
        await asyncio.to_thread(mend, platform)
        await raise_meanwhile(platform, ledger, 1)
        await wait_for_delivery(ledger, [watcher], LATEST)
        watching.cancel()
        wrong = judge(ledger, [watcher], (await read_rows(url))[0])
        wrong += [f"{outcome}: {each}" for each, outcome in ledger.outcomes.items() if outcome != "ok"]
    slower = meanwhile[int(len(meanwhile) * 0.99)] - before[int(len(before) * 0.99)]
    print(
        f"\n{fault.__name__}: {len(meanwhile)} SOS, p99 {slower * 1000:+.0f} ms, last seen {last:.2f} s after the last, wrong: {len(wrong)}"
    )
    return wrong, slower, last


@pytest.mark.timeout(400)
@pytest.mark.parametrize("fault", [refuse, pause, flush, restart_empty])
async def test_an_sos_needs_no_redis(postgres_url: str, tmp_path: Path, fault: Callable[[RunningPlatform], None]) -> None:
    with run_platform({"ALERTS_DATABASE_URL": postgres_url}, replicas=2) as platform:
        wrong, slower, last = await endure(platform, postgres_url, tmp_path, fault)
    assert wrong == []
    assert slower <= SLOWER
    assert last <= LATEST


async def test_a_service_that_trusts_the_bell_is_found_out(postgres_url: str, tmp_path: Path) -> None:
    mutant = [sys.executable, "tests/recovery/mutants.py", "trust_the_bell"]
    with run_platform({"ALERTS_DATABASE_URL": postgres_url}, replicas=2, alerts=mutant) as platform:
        _, _, last = await endure(platform, postgres_url, tmp_path, refuse)
    assert last > LATEST
