"""The journey of a number, from the SOS to an official's spreadsheet."""

import csv
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from chassis.testing import wait_until
from flows.pages import bearer, raise_sos
from harness import RunningPlatform

COUNTED_SECONDS = 30


@pytest.fixture(scope="module")
def period() -> dict[str, str]:
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    return {"period.from": (today - timedelta(days=1)).isoformat(), "period.to": (today + timedelta(days=1)).isoformat()}


def ask(platform: RunningPlatform, person: str, path: str, **query: Any) -> httpx.Response:
    return httpx.get(f"{platform.url}/v1/alerts:{path}", params=query, headers=bearer(platform, person), timeout=5)


def test_what_was_raised_is_told_to_officials_as_json_and_as_a_table(platform: RunningPlatform, period: dict[str, str]) -> None:
    before = datetime.now(UTC)
    with httpx.Client(base_url=platform.url, timeout=5) as http:
        for _ in range(12):
            raise_sos(http, kind="OTHER")
    now = datetime.now(UTC)

    def is_counted() -> bool:
        told = ask(platform, "official-dki", "statistics", **period)
        return told.status_code == 200 and datetime.fromisoformat(told.json()["countTime"]) >= now

    wait_until(is_counted, COUNTED_SECONDS, "the alerts are counted")
    told = ask(platform, "official-dki", "statistics", groupBy="KIND", **period).json()
    assert datetime.fromisoformat(told["countTime"]) >= before
    assert [row["kind"] for row in told["rows"]][-1] == "OTHER"
    assert told["rows"][-1]["figures"]["raised"] >= 12
    assert told["total"]["figures"]["raised"] >= 12
    assert "kind" not in told["total"]
    of_the_district = ask(platform, "official-gambir", "statistics", groupBy="AREA", **period).json()
    assert {row["area"][:14] for row in of_the_district["rows"]} == {"areas/31.71.01"}

    table = ask(platform, "official-dki", "exportStatistics", groupBy="KIND", **period)
    assert (table.status_code, table.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    lines = list(csv.DictReader(table.text.splitlines()))
    assert [line["kind"] for line in lines] == [*(row["kind"] for row in told["rows"]), "total"]
    assert int(lines[-1]["raised"]) >= 12


@pytest.mark.parametrize("path", ["statistics", "exportStatistics"])
def test_it_is_told_to_nobody_else_and_not_of_other_areas(platform: RunningPlatform, period: dict[str, str], path: str) -> None:
    for person, area, status in (
        ("official-gambir", "areas/31.71.02", 403),
        ("dispatcher-112", "areas/31", 403),
        ("citizen-1", "areas/31", 403),
        ("admin", "areas/31", 403),
        ("supervisor-112", "areas/31", 200),
    ):
        assert ask(platform, person, path, area=area, **period).status_code == status
    assert httpx.get(f"{platform.url}/v1/alerts:{path}", params=period).status_code == 401


def test_a_question_that_makes_no_sense_is_refused_with_what_is_wrong(platform: RunningPlatform, period: dict[str, str]) -> None:
    answer = ask(platform, "official-dki", "statistics", **(period | {"period.to": "2026-02-31"}))
    assert answer.status_code == 400
    violations = [each["field"] for detail in answer.json()["details"] for each in detail.get("fieldViolations", [])]
    assert violations == ["period.to"]
    assert ask(platform, "official-dki", "statistics").status_code == 400
    assert ask(platform, "official-dki", "statistics", groupBy="MONTH", **period).status_code == 400
    assert ask(platform, "official-dki", "statistics", shard="1", **period).status_code == 400
