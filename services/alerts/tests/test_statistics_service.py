"""What officials and supervisors are told of the alerts, and what nobody is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import grpc
import numpy as np
import pytest
from attacking import Attacker
from city import CIDENG, CITY, GAMBIR, GAMBIR_VILLAGE, MAKASSAR, PASAR_BARU, PROVINCE, SAWAH_BESAR, at, make_city
from people import OTHER_ROOM, ROOM, SECONDS, Party, People, new_id, refusal_of, run_service

from alerts import counting
from alerts.model.suppression import MIN_CASES, MIN_RESTRICTED_CASES
from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1 import statistics_pb2 as pb

Request = pb.GetAlertStatisticsRequest
TODAY = datetime.now(ZoneInfo("Asia/Jakarta")).date()
# Midnight may pass while the tests run.
DAYS = {"from": TODAY.isoformat(), "to": (TODAY + timedelta(days=1)).isoformat()}
LAST_YEAR = {"from": "2025-01-01", "to": "2025-12-31"}
STANDS = ("open", "helped", "false_alarm", "prank", "unreachable", "non_emergency", "cancelled_verified")
TIMES = ("delivery", "answer", "dispatch", "dispatch_since_raised", "turnout", "arrival")


@pytest.fixture(autouse=True)
def snapshot(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.snapshot_file.write_bytes(make_city().SerializeToString())
    monkeypatch.setattr(counting, "_PAUSE_SECONDS", 0.05)


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

    async def raise_some(self, number: int, area: str, kind: str = "FIRE", outcome: str = "", **fields: Any) -> None:
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


@pytest.fixture
async def officials(people: People) -> Officials:
    officials = Officials(people)
    await officials.wait()
    return officials


def by_subject(response: pb.GetAlertStatisticsResponse) -> dict[Any, pb.AlertFigures]:
    return {getattr(row, str(row.WhichOneof("subject"))): row.figures for row in response.rows}


def count(figures: pb.AlertFigures, name: str = "raised") -> int | None:
    """None where it is suppressed."""
    return getattr(figures, name) if figures.HasField(name) else None


class TestScope:
    async def test_an_official_of_gambir_sees_gambir_alone(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.raise_some(7, PASAR_BARU)
        assert count((await officials.ask(officials.gita)).total.figures) == 6
        assert count((await officials.ask(officials.gita, area=GAMBIR)).total.figures) == 6
        assert count((await officials.ask(officials.gita, area=GAMBIR_VILLAGE)).total.figures) == 6
        assert count((await officials.ask(officials.hadi)).total.figures) == 13
        for outside in (CITY, PROVINCE, SAWAH_BESAR, PASAR_BARU, "areas/31.71.0", "areas/31.71.011", "areas/3"):
            refusal = await refusal_of(officials.gita("GetAlertStatistics", period=DAYS, area=outside))
            assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "STATISTICS_OUT_OF_SCOPE")
        rows = by_subject(await officials.ask(officials.gita, groupBy="AREA"))
        assert {area: count(figures) for area, figures in rows.items()} == {GAMBIR: 0, GAMBIR_VILLAGE: 6, CIDENG: 0}

    async def test_several_areas_are_told_apart_and_none_is_counted_twice(self, officials: Officials) -> None:
        await officials.raise_some(5, GAMBIR_VILLAGE)
        await officials.raise_some(6, PASAR_BARU)
        await officials.raise_some(7, CIDENG)
        both = officials.people.sign_in("both", "official", areas=[SAWAH_BESAR, GAMBIR, GAMBIR_VILLAGE, GAMBIR])
        response = await officials.ask(both, groupBy="AREA")
        assert {area: count(figures) for area, figures in by_subject(response).items()} == {GAMBIR: 12, SAWAH_BESAR: 6}
        assert [row.display_name for row in response.rows] == ["Gambir", "Sawah Besar"]
        assert count(response.total.figures) == 18

    async def test_what_lies_in_no_smaller_area_stands_under_its_own(self, officials: Officials) -> None:
        await officials.raise_some(6, MAKASSAR)
        rows = by_subject(await officials.ask(officials.people.sign_in("ika", "official", areas=[MAKASSAR]), groupBy="AREA"))
        assert {area: count(figures) for area, figures in rows.items()} == {MAKASSAR: 6}

    async def test_a_supervisor_sees_what_their_agency_answers_for(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.raise_some(7, MAKASSAR)
        # Without a place, which no official's areas hold.
        for _ in range(5):
            await officials.people.raise_alert(kind="FIRE")
        sari, citra = officials.people.sari, officials.people.citra
        assert count((await officials.ask(sari)).total.figures) == 11
        assert count((await officials.ask(sari, agency=ROOM)).total.figures) == 11
        assert count((await officials.ask(citra)).total.figures) == 7
        assert count((await officials.ask(citra, area=PROVINCE)).total.figures) == 0
        rows = by_subject(await officials.ask(sari, groupBy="AREA"))
        assert {area: count(figures) for area, figures in rows.items() if count(figures)} == {PROVINCE: 6, "": 5}
        assert count((await officials.ask(officials.hadi)).total.figures) == 6
        refusal = await refusal_of(sari("GetAlertStatistics", period=DAYS, agency=OTHER_ROOM))
        assert refusal.reason == "STATISTICS_OUT_OF_SCOPE"

    async def test_an_official_who_leads_a_room_asks_as_either(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.raise_some(7, PASAR_BARU)
        both = officials.people.sign_in("both", "official", "supervisor", agency=ROOM, areas=[GAMBIR])
        assert count((await officials.ask(both)).total.figures) == 6
        assert count((await officials.ask(both, agency=ROOM)).total.figures) == 13
        assert count((await officials.ask(both, agency=OTHER_ROOM)).total.figures) == 0

    async def test_an_official_may_ask_for_one_agency(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        assert count((await officials.ask(officials.hadi, agency=ROOM)).total.figures) == 6
        assert count((await officials.ask(officials.hadi, agency=OTHER_ROOM)).total.figures) == 0

    @pytest.mark.parametrize("rpc", ["GetAlertStatistics", "ExportAlertStatistics"])
    async def test_nobody_else_is_told_anything(self, people: People, rpc: str) -> None:
        refused = [
            people.dewi,
            people.rina,
            people.machine,
            people.sign_in("indra", "admin"),
            people.sign_in("kosong", "official"),
            people.sign_in("kosong", "official", areas=[]),
            people.sign_in("tanpa", "supervisor"),
        ]
        for party in refused:
            assert (await refusal_of(party(rpc, period=DAYS))).reason == "ACCESS_DENIED"
        assert (await refusal_of(people.nobody(rpc, period=DAYS))).reason == "INVALID_TOKEN"


class TestFigures:
    async def test_they_say_how_alerts_ended_and_how_fast_they_were_answered(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE, outcome="HELPED")
        await officials.raise_some(5, GAMBIR_VILLAGE, outcome="PRANK")
        await officials.raise_some(7, GAMBIR_VILLAGE)
        figures = (await officials.ask(officials.gita)).total.figures
        assert {name: count(figures, name) for name in ("raised", *STANDS)} == dict.fromkeys(STANDS, 0) | {
            "raised": 18,
            "open": 7,
            "helped": 6,
            "prank": 5,
        }
        assert figures.answer.cases == 11
        assert 0 < figures.answer.p50_seconds <= figures.answer.p90_seconds < SECONDS
        told = [(target.standard, target.seconds, target.share, target.aim) for target in figures.answer.targets]
        assert told == [("NFPA 1225", 10, 1.0, 0.9), ("NENA-STA-020", 15, 1.0, 0.9), ("NENA-STA-020", 20, 1.0, 0.95)]
        assert figures.arrival == pb.AlertTimes(cases=0)

    async def test_drills_are_never_counted_and_duplicates_apart(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE, outcome="DUPLICATE")
        await officials.raise_some(7, GAMBIR_VILLAGE)
        for _ in range(6):
            await officials.people.raise_alert(officials.people.sari, kind="FIRE", drill=True, **at(GAMBIR_VILLAGE))
        figures = (await officials.ask(officials.gita)).total.figures
        assert (count(figures), count(figures, "duplicates"), count(figures, "open")) == (7, 6, 7)
        assert figures.answer.cases == 0

    async def test_a_cancel_under_duress_is_one_of_those_without_a_pin(self, officials: Officials) -> None:
        ayu = officials.people.sign_in("ayu", "citizen", auth_time=datetime.now(UTC).timestamp())
        await ayu("SetPins", pin="1234", duressPin="4321")
        for pin in ("4321", *[""] * 5):
            name, _ = await officials.people.raise_alert(ayu, kind="FIRE", **at(GAMBIR_VILLAGE))
            await ayu("CancelAlert", name=name, pin=pin)
        for _ in range(6):
            name, _ = await officials.people.raise_alert(ayu, kind="FIRE", **at(GAMBIR_VILLAGE))
            await ayu("CancelAlert", name=name, pin="1234")
        figures = (await officials.ask(officials.gita)).total.figures
        assert (count(figures), count(figures, "open")) == (12, 6)
        assert (count(figures, "cancelled_unverified"), count(figures, "cancelled_verified")) == (6, 6)
        assert "DURESS" not in str(pb.DESCRIPTOR)

    async def test_an_erased_alert_goes_on_counting(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE, outcome="HELPED")
        before = (await officials.ask(officials.gita)).total
        await officials.people.dewi("EraseMyAlerts", requestId=new_id())
        assert (await officials.ask(officials.gita)).total == before

    async def test_every_row_that_was_asked_for_is_there(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.raise_some(20, CIDENG, "MEDICAL")
        kinds = by_subject(await officials.ask(officials.gita, groupBy="KIND"))
        assert {alert_pb2.Alert.Kind.Name(kind): count(each) for kind, each in kinds.items()} == dict.fromkeys(
            alert_pb2.Alert.Kind.keys(), 0
        ) | {"FIRE": 6, "MEDICAL": 20}
        days = by_subject(await officials.ask(officials.gita, groupBy="DAY"))
        assert list(days) == list(DAYS.values())
        assert sum(count(figures) or 0 for figures in days.values()) == 26
        hours = by_subject(await officials.ask(officials.gita, groupBy="HOUR"))
        assert list(hours) == list(range(24))
        assert sum(count(figures) or 0 for figures in hours.values()) == 26
        assert list(by_subject(await officials.ask(officials.gita, groupBy="KIND", kind="FIRE"))) == [alert_pb2.Alert.FIRE]
        assert not (await officials.ask(officials.gita)).rows

    async def test_nothing_is_a_figure_too(self, officials: Officials) -> None:
        response = await officials.ask(officials.gita, groupBy="AREA", period=LAST_YEAR)
        for row in (*response.rows, response.total):
            assert {count(row.figures, name) for name in ("raised", *STANDS, "cancelled_unverified", "duplicates")} == {0}
            assert all(getattr(row.figures, name) == pb.AlertTimes(cases=0) for name in TIMES)

    async def test_periods_are_compared(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        response = await officials.ask(officials.gita, groupBy="KIND", compareTo=LAST_YEAR)
        for row in (*response.rows, response.total):
            assert count(row.compared) == 0
            # Nothing is some percent more than nothing.
            assert not row.change.HasField("raised")
        turned = await officials.ask(officials.gita, period=LAST_YEAR, compareTo=DAYS)
        assert (count(turned.total.figures), count(turned.total.compared), turned.total.change.raised) == (0, 6, -100)
        days = await officials.ask(officials.gita, groupBy="DAY", compareTo={"from": "2025-03-01", "to": "2025-03-01"})
        assert [row.HasField("compared") for row in days.rows] == [True, False]


class TestSuppression:
    async def test_no_suppressed_number_can_be_computed_from_an_answer(self, officials: Officials) -> None:
        await officials.raise_some(3, GAMBIR_VILLAGE, "VIOLENCE")
        await officials.raise_some(6, GAMBIR_VILLAGE, "VIOLENCE", "HELPED")
        await officials.raise_some(2, CIDENG, "MEDICAL", "PRANK")
        await officials.raise_some(9, CIDENG, "MEDICAL", "HELPED")
        await officials.raise_some(7, CIDENG, "MEDICAL")
        await officials.raise_some(8, PASAR_BARU, "FIRE", "HELPED")
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
        fire, violence = [await officials.ask(officials.gita, kind=kind) for kind in ("FIRE", "VIOLENCE")]
        assert (count(fire.total.figures), count(violence.total.figures)) == (None, None)
        assert (fire.min_cases, fire.min_restricted_cases) == (MIN_CASES, MIN_RESTRICTED_CASES) == (5, 10)
        assert not fire.total.figures.delivery.HasField("cases")
        await officials.raise_some(1, GAMBIR_VILLAGE)
        await officials.raise_some(1, CIDENG, "VIOLENCE")
        fire, violence = [await officials.ask(officials.gita, kind=kind) for kind in ("FIRE", "VIOLENCE")]
        assert (count(fire.total.figures), count(violence.total.figures)) == (5, 10)

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


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("fields", "at_fault"),
        [
            ({"period": None}, "period"),
            ({"period": {"from": "2026-01-01"}}, "period.to"),
            ({"period": {"from": "2026-02-30", "to": "2026-03-01"}}, "period.from"),
            ({"period": {"from": "2026-01-01", "to": "0000-00-00"}}, "period.to"),
            ({"period": {"from": "2026-01-02", "to": "2026-01-01"}}, "period.to"),
            ({"period": {"from": "2016-01-01", "to": "2026-01-02"}}, "period.to"),
            ({"period": {"from": "9999-01-01", "to": "9999-12-31"}}, "period.to"),
            ({"period": {"from": "1 Jan", "to": "2026-01-02"}}, "period.from"),
            ({"groupBy": "DAY", "period": {"from": "2025-01-01", "to": "2026-01-02"}}, "period.to"),
            ({"compareTo": {"from": "2026-02-30", "to": "2026-03-01"}}, "compareTo.from"),
            ({"area": "31"}, "area"),
            ({"agency": "jakarta-112"}, "agency"),
        ],
    )
    async def test_what_makes_no_sense_is_named(self, officials: Officials, fields: dict[str, Any], at_fault: str) -> None:
        request = {name: value for name, value in ({"period": DAYS} | fields).items() if value is not None}
        refusal = await refusal_of(officials.hadi("GetAlertStatistics", **request))
        assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [at_fault])


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


class TestRebuilding:
    async def test_an_administrator_has_it_done_once_for_each_request(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.ask(officials.gita)
        indra = officials.people.sign_in("indra", "admin")
        request_id = new_id()
        async with asyncio.timeout(SECONDS):
            while not (await indra("RebuildAlertStatistics", requestId=request_id)).complete:
                await asyncio.sleep(0.02)
        assert count((await officials.ask(officials.gita)).total.figures) == 6
        assert (await indra("RebuildAlertStatistics", requestId=request_id)).complete
        for party in (officials.gita, officials.people.sari, officials.people.dewi):
            assert (await refusal_of(party("RebuildAlertStatistics"))).reason == "ACCESS_DENIED"


class TestStarting:
    async def test_without_a_directory_nothing_is_counted_yet(self, settings: Settings, issuer: Issuer) -> None:
        settings.snapshot_file.unlink()
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            await people.dewi("ListAlerts")
            refusal = await refusal_of(people.sari("GetAlertStatistics", period=DAYS))
        assert (refusal.code, refusal.reason, refusal.retry_seconds) == ("UNAVAILABLE", "STATISTICS_NOT_READY", 10)

    async def test_a_service_that_ends_and_starts_again_goes_on_where_it_was(self, settings: Settings, issuer: Issuer) -> None:
        for number in range(1, 5):
            # As if it were killed, whatever it was doing.
            async with run_service(settings) as channel:
                officials = Officials(People(channel, issuer))
                await officials.people.dewi("ListAlerts")
                await officials.raise_some(7, GAMBIR_VILLAGE)
                if number % 2:
                    continue
                await officials.wait()
                assert count((await officials.ask(officials.gita)).total.figures) == number * 7
