"""Those who ask for statistics, and what there is to be told."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
from city import GAMBIR, MAKASSAR, PROVINCE, at
from people import SECONDS, Party, People

from siaga.alerts.v1 import statistics_pb2 as pb

TODAY = datetime.now(ZoneInfo("Asia/Jakarta")).date()
# Midnight may pass while the tests run.
DAYS = {"from": TODAY.isoformat(), "to": (TODAY + timedelta(days=1)).isoformat()}
LAST_YEAR = {"from": "2025-01-01", "to": "2025-12-31"}
STANDS = ("open", "helped", "false_alarm", "prank", "unreachable", "non_emergency", "cancelled_verified")
TIMES = ("delivery", "answer", "dispatch", "dispatch_since_raised", "turnout", "arrival")


class Officials:
    """Those who ask, and what there is to be told."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.gita = people.sign_in("gita", "official", areas=[GAMBIR])
        self.hadi = people.sign_in("hadi", "official", areas=[PROVINCE])

    async def wait(self) -> None:
        """Until the alerts were counted for the first time."""
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    await self.hadi("GetAlertStatistics", period=DAYS)
                    return
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017  # the other way out
                    await asyncio.sleep(0.02)

    async def raise_some(self, number: int, area: str, kind: str = "OTHER", outcome: str = "", **fields: Any) -> None:
        """All at one place: of a kind of which several would be one emergency they would form an incident."""
        for _ in range(number):
            name, _ = await self.people.raise_alert(kind=kind, **at(area), **fields)
            if outcome:
                by = self.people.citra if area == MAKASSAR else self.people.sari
                await by("AcknowledgeAlert", name=name)
                await by("ResolveAlert", name=name, outcome=outcome)

    async def ask(self, by: Party, **fields: Any) -> pb.GetAlertStatisticsResponse:
        """When everything that has happened until now is counted."""
        now = datetime.now(UTC)
        async with asyncio.timeout(SECONDS):
            while True:
                found = await by("GetAlertStatistics", **({"period": DAYS} | fields))
                if found.count_time.ToDatetime(UTC) >= now:
                    return found
                await asyncio.sleep(0.02)


def by_subject(response: pb.GetAlertStatisticsResponse) -> dict[Any, pb.AlertFigures]:
    return {getattr(row, str(row.WhichOneof("subject"))): row.figures for row in response.rows}


def count(figures: pb.AlertFigures, name: str = "raised") -> int | None:
    """None where it is suppressed."""
    return getattr(figures, name) if figures.HasField(name) else None
