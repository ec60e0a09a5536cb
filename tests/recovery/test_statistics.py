"""SIGKILL of alerts at random while SOS come in and are counted: the statistics count each of them once."""

import asyncio
import os
import random
import sqlite3
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest

from harness import RunningPlatform, run_platform
from recovery.ledger import Callers, Ledger
from siaga.alerts.v1 import alert_pb2, statistics_pb2
from siaga.alerts.v1.alert_service_pb2_grpc import AlertServiceStub

NIGHTLY = "SIAGA_NIGHTLY" in os.environ
KILLS = 100 if NIGHTLY else 6
CALLERS = 4
COUNTED_SECONDS = 60.0


async def count_rows(url: str) -> int:
    question = "SELECT count(*) FROM alerts"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            return connection.execute(question).fetchone()[0]
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def read_statistics(platform: RunningPlatform) -> int:
    """How many alerts are counted, when all that has happened until now is."""
    now = datetime.now(UTC)
    days = {"from": (now - timedelta(days=2)).date().isoformat(), "to": (now + timedelta(days=2)).date().isoformat()}
    request = statistics_pb2.GetAlertStatisticsRequest(period=days)
    metadata = (("authorization", f"Bearer {platform.token('supervisor-112')}"),)
    async with asyncio.timeout(COUNTED_SECONDS), grpc.aio.insecure_channel(platform.address("alerts")) as channel:
        stub: Any = AlertServiceStub(channel)
        while True:
            # Until it is counted for the first time nothing is told.
            with suppress(grpc.aio.AioRpcError):
                found = await stub.GetAlertStatistics(request, metadata=metadata, timeout=5)
                if found.count_time.ToDatetime(UTC) >= now:
                    return found.total.figures.raised
            await asyncio.sleep(0.2)


async def endure(platform: RunningPlatform, folder: Path, kills: int) -> None:
    """Returns when every SOS has an answer."""
    chance = random.Random(9)
    with Ledger(folder / "ledger") as ledger:
        # Of a kind that has no incidents, or they were duplicates of a few.
        callers = Callers(platform.target, ledger, alert_pb2.Alert.OTHER)
        calling = asyncio.create_task(callers.run(CALLERS, pause=0.05))
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.5, 2.0))
            platform.kill("alerts")
            await asyncio.to_thread(platform.start, "alerts")
        callers.stopping = True
        await calling
        await callers.settle(30)


@pytest.mark.timeout(1800 if NIGHTLY else 180)
async def test_each_alert_is_counted_once_however_often_the_service_is_killed(database_url: str, tmp_path: Path) -> None:
    with run_platform({"ALERTS_DATABASE_URL": database_url}) as platform:
        await endure(platform, tmp_path, KILLS)
        counted = await read_statistics(platform)
        there = await count_rows(database_url)
    print(f"\n{KILLS} kills: {counted} counted of {there} alerts")
    assert counted == there > 50


@pytest.mark.timeout(180)
async def test_a_service_that_moves_on_before_it_has_counted_counts_too_few(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    mutant = [sys.executable, "tests/recovery/mutants.py", "move_on_before_counting"]
    with run_platform({"ALERTS_DATABASE_URL": url}, alerts=mutant) as platform:
        await endure(platform, tmp_path, 6)
        assert await read_statistics(platform) < await count_rows(url)
