"""What officials and supervisors are told of the alerts, and what nobody is."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from city import CIDENG, CITY, GAMBIR, GAMBIR_VILLAGE, MAKASSAR, PASAR_BARU, PROVINCE, SAWAH_BESAR, at
from officials import DAYS, LAST_YEAR, STANDS, TIMES, Officials, by_subject, count
from people import OTHER_ROOM, ROOM, SECONDS, People, new_id, refusal_of, run_service

from alerts.settings import Settings
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1 import statistics_pb2 as pb


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
            await officials.people.raise_alert(kind="OTHER")
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
            await officials.people.raise_alert(officials.people.sari, kind="OTHER", drill=True, **at(GAMBIR_VILLAGE))
        figures = (await officials.ask(officials.gita)).total.figures
        assert (count(figures), count(figures, "duplicates"), count(figures, "open")) == (7, 6, 7)
        assert figures.answer.cases == 0

    async def test_of_one_emergency_with_many_callers_one_alert_counts(self, officials: Officials) -> None:
        await officials.raise_some(6, GAMBIR_VILLAGE)
        await officials.raise_some(6, CIDENG, "FIRE")
        async with asyncio.timeout(SECONDS):
            while count(figures := (await officials.ask(officials.gita)).total.figures, "duplicates") != 5:
                await asyncio.sleep(0.05)
        assert count(figures) == 7

    async def test_a_cancel_under_duress_is_one_of_those_without_a_pin(self, officials: Officials) -> None:
        ayu = officials.people.sign_in("ayu", "citizen", auth_time=datetime.now(UTC).timestamp())
        await ayu("SetPins", pin="1234", duressPin="4321")
        for pin in ("4321", *[""] * 5):
            name, _ = await officials.people.raise_alert(ayu, kind="OTHER", **at(GAMBIR_VILLAGE))
            await ayu("CancelAlert", name=name, pin=pin)
        for _ in range(6):
            name, _ = await officials.people.raise_alert(ayu, kind="OTHER", **at(GAMBIR_VILLAGE))
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
        await officials.raise_some(20, CIDENG, "VIOLENCE")
        kinds = by_subject(await officials.ask(officials.gita, groupBy="KIND"))
        assert {alert_pb2.Alert.Kind.Name(kind): count(each) for kind, each in kinds.items()} == dict.fromkeys(
            alert_pb2.Alert.Kind.keys(), 0
        ) | {"OTHER": 6, "VIOLENCE": 20}
        days = by_subject(await officials.ask(officials.gita, groupBy="DAY"))
        assert list(days) == list(DAYS.values())
        assert sum(count(figures) or 0 for figures in days.values()) == 26
        hours = by_subject(await officials.ask(officials.gita, groupBy="HOUR"))
        assert list(hours) == list(range(24))
        assert sum(count(figures) or 0 for figures in hours.values()) == 26
        assert list(by_subject(await officials.ask(officials.gita, groupBy="KIND", kind="OTHER"))) == [alert_pb2.Alert.OTHER]
        assert not (await officials.ask(officials.gita)).rows

    async def test_one_kind_tells_no_more_than_its_line_of_all_kinds(self, officials: Officials) -> None:
        await officials.raise_some(12, GAMBIR_VILLAGE)
        await officials.raise_some(1, CIDENG, "CRIME")
        table = await officials.ask(officials.gita, groupBy="KIND")
        # With all of them and all others, the one would be known.
        assert count(table.total.figures) == 13
        for kind in ("OTHER", "CRIME", "FIRE"):
            line = by_subject(table)[alert_pb2.Alert.Kind.Value(kind)]
            assert (await officials.ask(officials.gita, kind=kind)).total.figures == line
            assert count(line) == (0 if kind == "FIRE" else None)

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
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            await people.dewi("ListAlerts")
            refusal = await refusal_of(people.sari("GetAlertStatistics", period=DAYS))
        assert (refusal.code, refusal.reason, refusal.retry_seconds) == ("UNAVAILABLE", "STATISTICS_NOT_READY", 10)

    @pytest.mark.usefixtures("city_snapshot")
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
