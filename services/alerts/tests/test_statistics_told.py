"""What is suppressed of the statistics, and what they look like as a table."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import numpy as np
import pytest
from attacking import Attacker
from city import CIDENG, CITY, GAMBIR, GAMBIR_VILLAGE, PASAR_BARU, SAWAH_BESAR
from officials import DAYS, LAST_YEAR, STANDS, TIMES, TODAY, Officials, count
from people import refusal_of

from alerts.model.suppression import MIN_CASES, MIN_RESTRICTED_CASES
from siaga.alerts.v1 import statistics_pb2 as pb


class TestSuppression:
    async def test_no_suppressed_number_can_be_computed_from_an_answer(self, officials: Officials) -> None:
        await officials.raise_some(3, GAMBIR_VILLAGE, "VIOLENCE")
        await officials.raise_some(6, GAMBIR_VILLAGE, "VIOLENCE", "HELPED")
        await officials.raise_some(2, CIDENG, "OTHER", "PRANK")
        await officials.raise_some(9, CIDENG, "OTHER", "HELPED")
        await officials.raise_some(7, CIDENG, "OTHER")
        await officials.raise_some(8, PASAR_BARU, "KIND_UNSPECIFIED", "HELPED")
        await officials.raise_some(1, PASAR_BARU, "CRIME", "FALSE_ALARM")
        suppressed = 0
        for grouping in ("AREA", "KIND", "HOUR", "DAY"):
            for area in (CITY, GAMBIR):
                response = await officials.ask(officials.hadi, groupBy=grouping, area=area)
                suppressed += attack(response, grouping)
        assert suppressed > 20

    async def test_fewer_than_five_are_suppressed_and_fewer_than_ten_of_violence(self, officials: Officials) -> None:
        await officials.raise_some(4, GAMBIR_VILLAGE)
        await officials.raise_some(9, CIDENG, "VIOLENCE")
        other, violence = [await officials.ask(officials.gita, kind=kind) for kind in ("OTHER", "VIOLENCE")]
        assert (count(other.total.figures), count(violence.total.figures)) == (None, None)
        assert (other.min_cases, other.min_restricted_cases) == (MIN_CASES, MIN_RESTRICTED_CASES) == (5, 10)
        assert not other.total.figures.delivery.HasField("cases")
        await officials.raise_some(1, GAMBIR_VILLAGE)
        await officials.raise_some(1, CIDENG, "VIOLENCE")
        other, violence = [await officials.ask(officials.gita, kind=kind) for kind in ("OTHER", "VIOLENCE")]
        assert (count(other.total.figures), count(violence.total.figures)) == (5, 10)

    async def test_times_of_fewer_than_five_are_suppressed_where_the_alerts_are_told(self, officials: Officials) -> None:
        await officials.raise_some(4, GAMBIR_VILLAGE, outcome="HELPED")
        await officials.raise_some(9, GAMBIR_VILLAGE)
        figures = (await officials.ask(officials.gita)).total.figures
        assert count(figures) == 13
        assert figures.answer == pb.AlertTimes()

    async def test_a_change_is_told_where_both_figures_are(self, officials: Officials) -> None:
        await officials.raise_some(4, GAMBIR_VILLAGE)
        response = await officials.ask(officials.gita, period=LAST_YEAR, compareTo=DAYS)
        assert (count(response.total.figures), count(response.total.compared)) == (0, None)
        assert not response.total.change.HasField("raised")

    async def test_periods_that_share_days_are_not_compared(self, officials: Officials) -> None:
        longer = {"from": DAYS["from"], "to": (TODAY + timedelta(days=2)).isoformat()}
        refusal = await refusal_of(officials.gita("GetAlertStatistics", period=DAYS, compareTo=longer))
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ["compareTo"])


def attack(response: pb.GetAlertStatisticsResponse, grouping: str) -> int:
    """How many numbers are suppressed, none of which may follow from the others."""
    figures = [row.figures for row in (*response.rows, response.total)]
    numbers = [[count(each, name) for name in (*STANDS, "raised")] for each in figures]
    hidden = np.array([[number is None for number in row] for row in numbers])
    known = np.array([[number or 0 for number in row] for row in numbers])
    # Whose total is hidden in a row with nothing told, of them nobody knows that any number is at least 1.
    silent = hidden[:, -1] & (hidden | (known == 0)).all(axis=1)
    attacker = Attacker(known, hidden, silent)
    assert attacker.solve_linearly() == [], grouping
    for name in TIMES:
        told = [each for each in figures if getattr(each, name).HasField("cases")]
        assert len(figures) - len(told) != 1, (grouping, name)
        assert all(getattr(each, name).cases == 0 or getattr(each, name).cases >= MIN_CASES for each in told)
    return int(hidden.sum())


class TestTable:
    async def read(self, server: str, content: bytes) -> list[dict[str, str]]:
        """As PostgreSQL reads CSV, which has a parser of its own."""
        connection = await asyncpg.connect(server.replace("+asyncpg", ""))
        try:
            heads = content.partition(b"\r\n")[0].decode().split(",")
            columns = ", ".join(f'"{head}" text' for head in heads)
            await connection.execute(f"CREATE TEMPORARY TABLE statistics (place serial, {columns})")

            async def pieces() -> AsyncIterator[bytes]:
                yield content

            options = {"format": "csv", "header": "match", "null": "no such word"}
            await connection.copy_to_table("statistics", source=pieces(), columns=heads, **options)
            rows = await connection.fetch("SELECT * FROM statistics ORDER BY place")
            return [{head: row[head] for head in heads} for row in rows]
        finally:
            await connection.close()

    async def test_it_says_what_the_answer_says(self, officials: Officials, postgres_server: str) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE, outcome="HELPED")
        await officials.raise_some(11, CIDENG)
        await officials.raise_some(2, PASAR_BARU)
        fields = {"groupBy": "AREA", "area": CITY, "compareTo": LAST_YEAR}
        response = await officials.ask(officials.hadi, **fields)
        body = await officials.hadi("ExportAlertStatistics", period=DAYS, **fields)
        assert body.content_type == "text/csv; charset=utf-8"
        rows = await self.read(postgres_server, body.data)
        assert len(rows) == len(response.rows) + 1
        assert [row["area"] for row in rows] == [*(row.area for row in response.rows), "total"]
        for told, row in zip((*response.rows, response.total), rows, strict=True):
            for name in ("raised", *STANDS, "duplicates"):
                assert row[name] == ("suppressed" if count(told.figures, name) is None else str(count(told.figures, name)))
                assert row[f"compared_{name}"] == "0"
            for name in TIMES:
                times = getattr(told.figures, name)
                hidden = not times.HasField("cases")
                assert row[f"{name}_cases"] == ("suppressed" if hidden else str(times.cases))
                assert row[f"{name}_p90_seconds"] == ("suppressed" if hidden else str(times.p90_seconds) if times.cases else "")
            assert row["change_percent_raised"] == ""

    async def test_names_come_through_whole_and_none_runs_as_a_formula(self, officials: Officials, postgres_server: str) -> None:
        for area, names in (
            (GAMBIR, ["Gambir", "Kelurahan Gambir", "'=HYPERLINK(Cideng)", ""]),
            (SAWAH_BESAR, ["Sawah Besar", 'Pasar "Baru", utara', ""]),
        ):
            await officials.ask(officials.hadi)
            body = await officials.hadi("ExportAlertStatistics", period=DAYS, groupBy="AREA", area=area)
            assert [row["name"] for row in await self.read(postgres_server, body.data)] == names

    @pytest.mark.parametrize("grouping", ["KIND", "HOUR", "DAY", ""])
    async def test_its_lines_are_the_rows(self, officials: Officials, postgres_server: str, grouping: str) -> None:
        await officials.ask(officials.hadi)
        more = {"groupBy": grouping} if grouping else {}
        body = await officials.hadi("ExportAlertStatistics", period={"from": "2026-01-01", "to": "2026-01-03"}, **more)
        rows = await self.read(postgres_server, body.data)
        expected = {
            "KIND": ["KIND_UNSPECIFIED", "MEDICAL", "FIRE", "CRIME", "VIOLENCE", "ACCIDENT", "DISASTER", "OTHER"],
            "HOUR": [str(hour) for hour in range(24)],
            "DAY": ["2026-01-01", "2026-01-02", "2026-01-03"],
            "": [],
        }[grouping]
        assert [row[grouping.lower() or "of"] for row in rows] == [*expected, "total"]
