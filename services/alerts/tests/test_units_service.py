"""An agency's units over gRPC: what they are, who is on duty, and where."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from crews import POLICE
from google.protobuf.json_format import ParseDict
from people import ROOM, SECONDS, Party, new_id, read_refusal, refusal_of
from responders import Responders, report

from chassis.clock import now
from siaga.alerts.v1 import unit_pb2, unit_service_pb2

NOT_FOUND = ("NOT_FOUND", "UNIT_NOT_FOUND")
AMBULANCE = {"kind": "AMBULANCE", "displayName": "Ambulance 1", "crew": ["tono"]}


async def names(party: Party, **filters: Any) -> list[str]:
    return [each.name for each in (await party("ListUnits", **filters)).units]


class TestKeeping:
    async def test_one_is_made_off_duty_for_the_agency_of_whoever_makes_it(self, responders: Responders) -> None:
        unit = await responders.sari(
            "CreateUnit", unitId="amb-1", unit={**AMBULANCE, "agency": POLICE, "name": "units/x", "duty": "ON_DUTY"}
        )
        assert (unit.name, unit.agency, unit.display_name, list(unit.crew)) == ("units/amb-1", ROOM, "Ambulance 1", ["tono"])
        assert (unit.duty, unit.alert, unit.HasField("position"), unit.HasField("duty_time")) == (unit_pb2.Unit.OFF_DUTY, "", False, False)
        for party in (responders.rina, responders.sari, responders.machine, responders.tono, responders.wati):
            assert await party("GetUnit", name=unit.name) == unit
        made = await responders.machine("CreateUnit", unit=AMBULANCE)
        assert made.name != unit.name

    async def test_who_may(self, responders: Responders) -> None:
        for party in (responders.rina, responders.tono, responders.dewi):
            assert (await refusal_of(party("CreateUnit", unit=AMBULANCE)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")
        lost = responders.sign_in("lost", "supervisor", "responder")
        for rpc, said in (("CreateUnit", {"unit": AMBULANCE}), ("ListUnits", {})):
            assert (await refusal_of(lost(rpc, **said)))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")

    @pytest.mark.parametrize(
        ("unit", "fields"),
        [
            ({}, ["unit.kind", "unit.displayName"]),
            ({"kind": "AMBULANCE"}, ["unit.displayName"]),
            ({"displayName": "A"}, ["unit.kind"]),
            ({**AMBULANCE, "crew": ["tono", "tono"]}, ["unit.crew"]),
            ({**AMBULANCE, "crew": [""]}, ["unit.crew[0]"]),
            ({**AMBULANCE, "crew": [f"c{each}" for each in range(21)]}, ["unit.crew"]),
            ({**AMBULANCE, "displayName": "a" * 101}, ["unit.displayName"]),
        ],
    )
    async def test_what_breaks_a_rule_is_named(self, responders: Responders, unit: dict[str, Any], fields: list[str]) -> None:
        refused = await refusal_of(responders.sari("CreateUnit", unit=unit))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", fields)

    @pytest.mark.parametrize("unit_id", [".", "..", "-", ".amb", "a/b"])
    async def test_a_name_by_which_nobody_could_ask_for_it_is_refused(self, responders: Responders, unit_id: str) -> None:
        refused = await refusal_of(responders.sari("CreateUnit", unitId=unit_id, unit=AMBULANCE))
        assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", ["unitId"])

    async def test_a_name_is_given_once_however_many_ask_at_a_time(self, responders: Responders) -> None:
        async def make(party: Party) -> str:
            try:
                return (await party("CreateUnit", unitId="amb-1", unit=AMBULANCE)).agency
            except grpc.aio.AioRpcError as error:
                refusal = read_refusal(error)
                assert refusal[:3] == ("ALREADY_EXISTS", "UNIT_EXISTS", {"name": "units/amb-1"})
                return ""

        made = await asyncio.gather(*(make(party) for party in [responders.sari, responders.chief, responders.machine] * 8))
        assert len([each for each in made if each]) == 1

    async def test_to_another_agency_none_exists(self, responders: Responders) -> None:
        name = await responders.make_unit()
        absent = f"units/{new_id()}"
        oka, chief, joko = responders.oka, responders.chief, responders.joko
        for party, rpc, said in (
            *((party, rpc, {}) for party in (oka, chief, joko) for rpc in ("GetUnit", "StartDuty", "EndDuty")),
            (chief, "UpdateUnit", {"displayName": "ours"}),
            (chief, "DeleteUnit", {}),
        ):
            for asked in (name, absent):
                fields = {"unit": {"name": asked, **said}} if rpc == "UpdateUnit" else {"name": asked}
                refused = await refusal_of(party(rpc, **fields))
                assert (refused[:2], refused.metadata) == (NOT_FOUND, {}), rpc
        assert await names(chief) == []

    async def test_they_are_listed_by_name_in_pages_of_one_reader(self, responders: Responders) -> None:
        made = [
            await responders.make_unit(f"u-{each}", on_duty=each % 2 == 0, kind="BOAT" if each > 2 else "AMBULANCE") for each in range(5)
        ]
        await responders.make_car()
        for party in (responders.rina, responders.tono):
            assert await names(party) == made
        assert await names(responders.rina, kind=["BOAT"]) == made[3:]
        assert await names(responders.rina, duty="ON_DUTY") == made[::2]
        assert await names(responders.rina, kind=["BOAT", "AMBULANCE"], duty="OFF_DUTY") == made[1::2]
        first = await responders.rina("ListUnits", pageSize=3)
        second = await responders.rina("ListUnits", pageSize=3, pageToken=first.next_page_token)
        assert ([each.name for each in [*first.units, *second.units]], second.next_page_token) == (made, "")
        for party, more in ((responders.oka, {}), (responders.rina, {"duty": "ON_DUTY"})):
            refused = await refusal_of(party("ListUnits", pageToken=first.next_page_token, **more))
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


class TestChanging:
    async def test_the_mask_says_what(self, responders: Responders) -> None:
        name = await responders.make_unit()
        sari = responders.sari
        new = {"name": name, "kind": "RESCUE", "displayName": "R 1", "crew": ["wati"]}
        changed = await sari("UpdateUnit", unit=new, updateMask="displayName")
        assert (changed.display_name, changed.kind, list(changed.crew)) == ("R 1", unit_pb2.Unit.AMBULANCE, ["tono"])
        changed = await sari("UpdateUnit", unit={"name": name, "crew": ["wati"]})
        assert (changed.display_name, list(changed.crew)) == ("R 1", ["wati"])
        changed = await sari("UpdateUnit", unit={"name": name}, updateMask="crew")
        assert list(changed.crew) == []
        changed = await sari("UpdateUnit", unit=new, updateMask="*")
        assert (changed.kind, list(changed.crew)) == (unit_pb2.Unit.RESCUE, ["wati"])
        for said, fields in (
            ({"unit": {"name": name}, "updateMask": "displayName"}, ["unit.displayName"]),
            ({"unit": new, "updateMask": "duty"}, ["updateMask"]),
            ({"unit": {"displayName": "x"}}, ["unit.name"]),
        ):
            refused = await refusal_of(sari("UpdateUnit", **said))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", fields)

    async def test_an_older_version_is_refused(self, responders: Responders) -> None:
        name = await responders.make_unit()
        read = await responders.sari("GetUnit", name=name)
        await responders.rina("ReportUnitPositions", reports=[report(name)])
        kept = await responders.sari("UpdateUnit", unit={"name": name, "displayName": "A", "etag": read.etag})
        assert kept.etag != read.etag
        for rpc, said in (
            ("UpdateUnit", {"unit": {"name": name, "displayName": "B", "etag": read.etag}}),
            ("DeleteUnit", {"name": name, "etag": read.etag}),
        ):
            assert (await refusal_of(responders.sari(rpc, **said)))[:2] == ("ABORTED", "UNIT_CHANGED")
        await responders.sari("DeleteUnit", name=name, etag=kept.etag)
        assert (await refusal_of(responders.sari("GetUnit", name=name)))[:2] == NOT_FOUND

    async def test_to_be_sent_and_to_come_home_makes_another_version(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        free = await responders.sari("GetUnit", name=unit)
        await responders.send(name, unit)
        busy = await responders.sari("GetUnit", name=unit)
        assert (busy.alert, free.alert) == (name, "")
        await responders.move_on(name, unit, "DONE")
        home = await responders.sari("GetUnit", name=unit)
        assert home.alert == ""
        assert len({each.etag for each in (free, busy, home)}) == 3
        assert free.update_time.ToNanoseconds() < busy.update_time.ToNanoseconds() < home.update_time.ToNanoseconds()

    async def test_one_at_work_is_neither_removed_nor_sent_home(self, responders: Responders) -> None:
        unit = await responders.make_unit()
        name, _ = await responders.take()
        await responders.send(name, unit)
        for rpc in ("DeleteUnit", "EndDuty"):
            refused = await refusal_of(responders.sari(rpc, name=unit))
            assert refused[:3] == ("FAILED_PRECONDITION", "UNIT_BUSY", {"unit": unit})
        await responders.rina("ResolveAlert", name=name, outcome="HELPED")
        await responders.sari("DeleteUnit", name=unit)
        # What it has done stays.
        assert (await responders.rina("GetAlert", name=name)).assignments[0].unit == unit

    async def test_its_crew_and_whoever_answers_for_the_agency_say_when_its_duty_begins(self, responders: Responders) -> None:
        name = await responders.make_unit(on_duty=False)
        for party in (responders.tono, responders.rina, responders.machine):
            started = await party("StartDuty", name=name)
            assert (started.duty, started.HasField("duty_time")) == (unit_pb2.Unit.ON_DUTY, True)
            assert await party("StartDuty", name=name) == started
            assert (await party("EndDuty", name=name)).duty == unit_pb2.Unit.OFF_DUTY
        assert (await refusal_of(responders.wati("StartDuty", name=name)))[:2] == ("PERMISSION_DENIED", "NOT_CREW")


class TestPositions:
    async def test_the_newest_counts_and_the_others_change_nothing(self, responders: Responders) -> None:
        name = await responders.make_unit()
        reports = [
            report(name, -6.1, seconds_ago=20),
            report(name, -6.3, seconds_ago=5, accuracyMeters=8),
            report(name, -6.2, seconds_ago=10),
        ]
        assert (await responders.tono("ReportUnitPositions", reports=reports)).moved == 2
        assert (await responders.tono("ReportUnitPositions", reports=reports)).moved == 0
        position = (await responders.rina("GetUnit", name=name)).position
        assert (position.point.latitude, position.accuracy_meters) == (-6.3, 8.0)

    async def test_one_without_a_time_or_from_the_future_is_of_now(self, responders: Responders) -> None:
        name = await responders.make_unit()
        for ahead in ({}, {"fixTime": (now() + timedelta(hours=1)).isoformat()}):
            where = {"point": {"latitude": -6.2, "longitude": 106.8}, **ahead}
            assert (await responders.tono("ReportUnitPositions", reports=[{"unit": name, "position": where}])).moved == 1
            fix_time = (await responders.rina("GetUnit", name=name)).position.fix_time.ToDatetime()
            assert abs((now().replace(tzinfo=None) - fix_time).total_seconds()) < 5

    async def test_all_of_a_batch_or_nothing_is_kept(self, responders: Responders) -> None:
        own, other, theirs = await responders.make_unit(), await responders.make_unit("amb-2", crew=["wati"]), await responders.make_car()
        absent = "units/none"
        for party, second, refusal in (
            (responders.rina, theirs, (*NOT_FOUND, {"unit": theirs})),
            (responders.rina, absent, (*NOT_FOUND, {"unit": absent})),
            (responders.tono, theirs, (*NOT_FOUND, {"unit": theirs})),
            (responders.tono, other, ("PERMISSION_DENIED", "NOT_CREW", {})),
        ):
            for batch in ([own, second], [second, own]):
                refused = await refusal_of(party("ReportUnitPositions", reports=[report(each) for each in batch]))
                assert refused[:3] == refusal
        assert not (await responders.rina("GetUnit", name=own)).HasField("position")
        assert (await responders.rina("ReportUnitPositions", reports=[report(own), report(other)])).moved == 2

    async def test_a_broken_one_is_named(self, responders: Responders) -> None:
        name = await responders.make_unit()
        for said, field in (
            (report(name, 91), "reports[0].position.point.latitude"),
            ({"unit": name}, "reports[0].position"),
            (report("amb-1"), "reports[0].unit"),
            (report(name, accuracyMeters=-1), "reports[0].position.accuracyMeters"),
        ):
            refused = await refusal_of(responders.rina("ReportUnitPositions", reports=[said]))
            assert (*refused[:2], refused.fields) == ("INVALID_ARGUMENT", "INVALID_REQUEST", [field])
        assert (await refusal_of(responders.rina("ReportUnitPositions"))).fields == ["reports"]

    async def test_many_who_report_at_once_leave_the_newest(self, responders: Responders) -> None:
        fleet = [await responders.make_unit(f"u-{each}") for each in range(4)]
        batches = [
            [report(unit, -6 - late / 100, seconds_ago=30 - late) for unit in fleet[::step]] for late in range(15) for step in (1, -1)
        ]
        await asyncio.gather(*(responders.rina("ReportUnitPositions", reports=batch) for batch in batches))
        for unit in fleet:
            assert (await responders.rina("GetUnit", name=unit)).position.point.latitude == -6.14


class TestAStreamOfPositions:
    async def test_every_message_is_kept_at_once(self, responders: Responders) -> None:
        name = await responders.make_unit()
        call = responders.tono.find("StreamUnitPositions")(metadata=responders.tono.metadata())
        for latitude, seconds_ago in ((-6.1, 9), (-6.2, 6), (-6.3, 7)):
            await call.write(to_message(report(name, latitude, seconds_ago=seconds_ago)))
            async with asyncio.timeout(SECONDS):
                while (await responders.rina("GetUnit", name=name)).position.point.latitude != max(latitude, -6.2):
                    pass
        await call.done_writing()
        assert (await call).moved == 2

    async def test_the_first_that_cannot_be_kept_ends_it(self, responders: Responders) -> None:
        own, theirs = await responders.make_unit(), await responders.make_car()
        for wrong, refusal in (
            (report(theirs), (*NOT_FOUND, {"unit": theirs})),
            (report(own, 91), ("INVALID_ARGUMENT", "INVALID_REQUEST", {})),
        ):
            stream = [to_message(report(own)), to_message(wrong), to_message(report(own))]
            call = responders.tono.find("StreamUnitPositions")(iter(stream), metadata=responders.tono.metadata())
            assert (await refusal_of(call))[:3] == refusal
        assert (await responders.rina("GetUnit", name=own)).HasField("position")

    async def test_it_ends_with_its_token(self, responders: Responders) -> None:
        name = await responders.make_unit()
        tono = responders.sign_in("tono", "responder", agency=ROOM, lifetime=2)
        call = tono.find("StreamUnitPositions")(metadata=tono.metadata())

        async def go_on() -> None:
            while not call.done():
                await call.write(to_message(report(name)))

        async with asyncio.timeout(SECONDS):
            with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
                await go_on()
            assert (await refusal_of(call))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")


def to_message(said: dict[str, Any]) -> unit_service_pb2.StreamUnitPositionsRequest:
    return ParseDict({"reports": [said]}, unit_service_pb2.StreamUnitPositionsRequest())


async def test_what_a_unit_is_at_work_for_they_are_told_who_are_shown_it(responders: Responders) -> None:
    everybody = ("rina", "budi", "sari", "tono", "wati")
    for unit, kind, told in (("amb-1", "VIOLENCE", {"rina", "sari", "tono"}), ("amb-2", "FIRE", {"rina", "budi", "sari", "tono"})):
        name, _ = await responders.take(kind=kind)
        await responders.send(name, await responders.make_unit(unit))
        for user in everybody:
            party = getattr(responders, user)
            shown = await party("GetUnit", name=f"units/{unit}")
            assert shown.alert == (name if user in told else "")
            assert shown in (await party("ListUnits")).units
