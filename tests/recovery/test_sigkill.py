"""SIGKILL of alerts, Envoy and Valkey at random while SOS come in: none lost, none doubled, none unseen."""

import asyncio
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from harness import RunningPlatform, run_platform
from recovery.ledger import Callers, Ledger, Watcher, judge, wait_for_delivery

NIGHTLY = "SIAGA_NIGHTLY" in os.environ
KILLS = 200 if NIGHTLY else 10
LEAST_SOS = 5000 if NIGHTLY else 500
CALLERS = 8
# How long after the last restart everything must be on every screen.
DELIVERY_SECONDS = 10.0
LEAST_HITS = 0.25
VICTIMS = ("alerts", "alerts", "envoy", "valkey")


async def read_rows(url: str) -> tuple[dict[str, list[str]], int]:
    """The alerts' names by request id, and how many alerts lack a response or the rows of their log."""
    alerts = "SELECT note, name FROM alerts"
    bare = """SELECT count(*) FROM alerts a WHERE NOT EXISTS (SELECT 1 FROM responses r WHERE r.alert = a.name)
        OR (SELECT count(*) FROM events e WHERE e.resource = a.name AND e.type IN ('AlertRaised', 'AlertRouted')) <> 2"""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            found, lacking = connection.execute(alerts).fetchall(), connection.execute(bare).fetchone()[0]
    else:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        found, lacking = await connection.fetch(alerts), await connection.fetchval(bare)
        await connection.close()
    rows: dict[str, list[str]] = {}
    for request_id, name in found:
        rows.setdefault(request_id, []).append(name)
    return rows, lacking


async def kill_at_random(platform: RunningPlatform, callers: Callers, kills: int) -> tuple[int, Counter[str]]:
    """How many kills hit a call in flight, and how often each part was killed."""
    chance = random.Random(112)
    hits, victims = 0, Counter[str]()
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.05, 0.6))
        victim = chance.choice(VICTIMS)
        victims[victim] += 1
        hits += bool(callers.in_flight)
        platform.kill(victim)
        await asyncio.to_thread(platform.start, victim)
    return hits, victims


async def endure(platform: RunningPlatform, url: str, folder: Path, kills: int, least_sos: int) -> list[str]:
    """What went wrong; prints what was measured."""
    with Ledger(folder / "ledger") as ledger:
        return await run_ledger(platform, url, ledger, kills, least_sos)


async def run_ledger(platform: RunningPlatform, url: str, ledger: Ledger, kills: int, least_sos: int) -> list[str]:
    callers = Callers(platform.target, ledger)
    watchers = [Watcher(platform.target, lambda: platform.token("dispatcher-112")) for _ in range(2)]
    watching = [asyncio.create_task(each.run()) for each in watchers]
    await asyncio.gather(*(each.following.wait() for each in watchers))
    calling = asyncio.create_task(callers.run(CALLERS, pause=0.02))
    hits, victims = await kill_at_random(platform, callers, kills)
    restarted = time.monotonic()
    while len(ledger.having("ok")) < least_sos:
        await asyncio.sleep(0.1)
    callers.stopping = True
    await calling
    unknown = len(ledger.having("unknown"))
    await callers.settle(30)
    await wait_for_delivery(ledger, watchers, DELIVERY_SECONDS)
    for task in watching:
        task.cancel()
    rows, lacking = await read_rows(url)
    wrong = judge(ledger, watchers, rows)
    # An SOS that has its answer later than the last restart cannot be on a screen before.
    late = max(
        watcher.arrivals[each] - max(restarted, answered)
        for watcher in watchers
        for each, answered in ledger.answered.items()
        if each in watcher.arrivals
    )
    print(
        f"\n{kills} kills ({dict(victims)}), {hits} with a call in flight; {len(ledger.having('ok'))} SOS answered, {unknown} of them"
        f" unknown at first; wrong: {len(wrong)}, without log rows: {lacking}; last on a screen {late:.1f} s after answer and last restart"
    )
    if hits < LEAST_HITS * kills:
        wrong.append("too few kills hit a call in flight: the run proves nothing")
    wrong += [f"{lacking} alerts without their rows"] * bool(lacking)
    return wrong + [f"the last arrived {late:.1f} s late"] * (late > DELIVERY_SECONDS)


@pytest.mark.timeout(3600 if NIGHTLY else 180)
async def test_no_sos_is_lost_or_doubled_or_unseen_when_parts_are_killed(database_url: str, tmp_path: Path) -> None:
    with run_platform({"ALERTS_DATABASE_URL": database_url}) as platform:
        assert await endure(platform, database_url, tmp_path, KILLS, LEAST_SOS) == []


@pytest.mark.timeout(180)
async def test_the_ledger_finds_what_a_service_loses_that_answers_too_early(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    mutant = [sys.executable, "tests/recovery/mutants.py", "reply_before_commit"]
    with run_platform({"ALERTS_DATABASE_URL": url}, alerts=mutant) as platform:
        wrong = await endure(platform, url, tmp_path, kills=6, least_sos=100)
    assert any(each.startswith("lost") for each in wrong)
