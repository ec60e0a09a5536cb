"""AML messages by each door, the calls that dispatchers write down, and what is told to nobody."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import shapely
from people import MONAS, ROOM, Party, People, new_alert_token, new_id, read_refusal, run_service
from pydantic import SecretStr
from shapely import MultiPolygon, box
from sqlalchemy import select
from texting import OTHER_PHONE, PHONE, SmsGateway, write_aml

from alerts.__main__ import MIGRATIONS
from alerts.model import Model
from alerts.settings import Settings
from chassis import migrations
from chassis.clock import now
from chassis.database import open_database
from chassis.testing import Issuer, Postgres
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_pb2 import Alert
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse

AREA, AREA_ROOM = "areas/31.71.01.1001", "agencies/area-room"


@pytest.fixture
def sms(people: People) -> SmsGateway:
    return SmsGateway(people)


async def get(people: People, name: str) -> alert_pb2.Alert:
    return await people.sari("GetAlert", name=name)


def place(alert: alert_pb2.Alert) -> tuple[float, float, int]:
    return round(alert.location.point.latitude, 5), round(alert.location.point.longitude, 5), alert.location.source


async def dump(settings: Settings) -> dict[str, str]:
    """All that the database holds, by table."""
    async with open_database(settings.database_url.get_secret_value(), lambda _: None, lambda: None) as database:
        tables = Model.metadata.tables
        return await database.read(lambda session: {name: str(session.execute(select(each)).all()) for name, each in tables.items()})


class TestEachDoor:
    async def test_an_aml_message_moves_the_alert_of_its_text(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        watch = await people.rina.watch("WatchAlerts", cursor="now").begin()
        time = now().replace(microsecond=0)
        assert await sms.send_aml(write_aml(-6.2, 106.8, time, "35"), "081234567890") == name
        kind, alert = await watch.read_event()
        assert (kind, place(alert)) == ("AlertTracked", (-6.2, 106.8, Alert.Location.AML))
        assert (alert.location.accuracy_meters, alert.location.fix_time.ToDatetime(time.tzinfo)) == (35, time)

    async def test_a_repetition_that_says_another_number_links_none(self, people: People, sms: SmsGateway) -> None:
        said: dict[str, Any] = {"requestId": new_id(), "alertToken": new_alert_token(), "channel": "VOICE"}
        first, other = ({"caller": {"callbackPhone": phone}} for phone in (PHONE, OTHER_PHONE))
        name = (await people.rina("RaiseAlert", **said, **first)).alert.name
        assert await sms.send_aml(write_aml(-6.3, 106.9), OTHER_PHONE) == ""
        again = (await people.rina("RaiseAlert", **said, **other)).alert
        assert (again.name, again.caller.callback_phone, again.HasField("location")) == (name, PHONE, False)
        assert await sms.send("saya di sini", OTHER_PHONE) == ""
        assert await sms.send("saya di sini") == name
        # A correction counts, and the call as it was first told does not take it back.
        await people.rina("UpdateAlert", alert={"name": name, **other}, updateMask="caller.callbackPhone")
        await people.rina("RaiseAlert", **said, **first)
        assert await sms.send("di gudang") == ""
        assert await sms.send("di gudang", OTHER_PHONE) == name

    async def test_it_may_come_as_a_text_and_a_text_as_one(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send_aml("SOS tolong")
        assert (await get(people, name)).note == "SOS tolong"
        assert await sms.send(write_aml()) == name
        assert place(await get(people, name)) == (-6.2, 106.8, Alert.Location.AML)
        assert list((await people.sari("ListMessages", name=name)).messages) == []

    async def test_it_may_come_as_a_form_that_says_whose_it_is(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        form = f"v=1&device_number=%2B{PHONE[1:]}&location_latitude=-6.2&location_longitude=106.8&location_accuracy=10.4"
        assert await sms.send_aml(f"{form}&location_time={now().timestamp() * 1000:.0f}", "") == name
        assert place(await get(people, name)) == (-6.2, 106.8, Alert.Location.AML)

    async def test_without_a_time_it_is_of_when_it_was_received(self, people: People, sms: SmsGateway) -> None:
        received = now() - timedelta(minutes=2)
        await sms.send_aml(write_aml().replace("top=", "xx="), received=received)
        alert = await get(people, await sms.send("SOS"))
        assert alert.location.fix_time.ToDatetime(received.tzinfo) == received

    async def test_a_clock_that_was_never_set_says_nothing(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS -6.1754,106.8272", received=datetime.min.replace(tzinfo=UTC))
        since = await get(people, name)
        assert since.location.fix_time.ToDatetime() >= since.create_time.ToDatetime()
        await sms.send_aml(write_aml(-6.2, 106.8).replace("top=20", "top=00010101000000;x="))
        assert place(await get(people, name)) == (-6.2, 106.8, Alert.Location.AML)
        await sms.send("pindah ke -6.1760,106.8290")
        assert place(await get(people, name))[:2] == (-6.176, 106.829)

    @pytest.mark.parametrize("message", [write_aml(0, 0, None, "N", "N"), write_aml(91), "v=1&device_number=%2B6281234567890"])
    async def test_one_without_a_position_is_taken(self, people: People, sms: SmsGateway, message: str) -> None:
        name = await sms.send("SOS")
        assert await sms.send_aml(message) == ""
        assert not (await get(people, name)).HasField("location")

    async def test_one_without_a_position_is_known_by_its_id(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        assert await sms.send_aml(write_aml(0, 0, None, "N", "N"), message_id="1") == ""
        assert await sms.send_aml(write_aml(), message_id="1") == ""
        assert not (await get(people, name)).HasField("location")
        assert await sms.send_aml(write_aml(), message_id="2") == name

    @pytest.mark.parametrize("message", [write_aml(), "v=3&emergency_number=112&device_imei=355458061005220&source=CALL"])
    async def test_one_of_nobody_is_taken(self, people: People, sms: SmsGateway, message: str) -> None:
        assert await sms.send_aml(message, "") == ""
        assert list((await people.sari("ListAlerts")).alerts) == []

    async def test_a_length_that_is_not_the_one_told_is_logged_and_nothing_else_is(
        self, people: People, sms: SmsGateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        name = await sms.send("SOS")
        with caplog.at_level(logging.DEBUG):
            await sms.send_aml(write_aml(-6.21, 106.81, now() - timedelta(seconds=9)))
            assert "AML" not in caplog.text
            message = write_aml(-6.22, 106.82).replace("ml=", "xy=1;ml=")
            assert await sms.send_aml(message) == name
        assert f"an AML message of {len(message)} characters says that it has {len(message) - 5}" in caplog.text
        for secret in (PHONE[1:], PHONE[3:], "6.22", "106.82", "SOS", "123456789012345"):
            assert secret not in caplog.text
        assert place(await get(people, name))[0] == -6.22


class TestCalls:
    async def test_a_call_that_is_written_down_is_where_its_handset_was(self, people: People, sms: SmsGateway) -> None:
        await sms.send_aml(write_aml())
        reply = await people.rina("RaiseAlert", channel="VOICE", caller={"callbackPhone": "0812-3456-7890"}, requestId=new_id())
        assert place(reply.alert) == (-6.2, 106.8, Alert.Location.AML)
        assert reply.alert.caller.callback_phone == "0812-3456-7890"

    async def test_a_repeated_call_is_the_same_alert(self, people: People, sms: SmsGateway) -> None:
        said = {"channel": "VOICE", "caller": {"callbackPhone": PHONE}, "requestId": new_id()}
        first = await people.rina("RaiseAlert", **said)
        await sms.send_aml(write_aml())
        again = await people.rina("RaiseAlert", **said)
        assert again.alert.name == first.alert.name
        events = (await people.sari("ListAlertEvents", name=first.alert.name)).events
        assert [each.type for each in events] == ["AlertRaised", "AlertRouted", "AlertTracked"]

    async def test_a_call_whose_number_is_told_later_is_moved_from_then_on(self, people: People, sms: SmsGateway) -> None:
        call, _ = await people.raise_alert(people.rina, channel="VOICE", location={"point": MONAS, "fixTime": "2026-01-01T00:00:00Z"})
        await sms.send_aml(write_aml())
        assert place(await get(people, call))[2] == 0
        changed = await people.rina("UpdateAlert", alert={"name": call, "caller": {"callbackPhone": "081234567890"}})
        assert place(changed) == (-6.2, 106.8, Alert.Location.AML)
        assert await sms.send_aml(write_aml(-6.3)) == call

    async def test_an_apps_number_that_is_told_later_changes_nothing(self, people: People, sms: SmsGateway) -> None:
        name, _ = await people.raise_alert(people.dewi)
        await sms.send_aml(write_aml())
        changed = await people.rina("UpdateAlert", alert={"name": name, "caller": {"callbackPhone": PHONE}})
        assert (changed.caller.callback_phone, changed.HasField("location")) == (PHONE, False)

    async def test_two_dispatchers_who_write_down_one_call_at_once_are_not_kept_waiting(self, people: People, sms: SmsGateway) -> None:
        await sms.send_aml(write_aml())
        said = {"channel": "VOICE", "caller": {"callbackPhone": PHONE}}
        work = [people.rina("RaiseAlert", **said, requestId=new_id()) for _ in range(10)]
        work += [sms.send_aml(write_aml(-6.2 - n / 1000)) for n in range(10)]
        work += [sms.send(f"SOS {n}") for n in range(10)]
        await asyncio.gather(*work)
        assert len(await people.sari.list_names(pageSize=1000)) == 11


async def test_an_sos_without_a_position_goes_to_the_room_of_the_last_known_one(settings: Settings, issuer: Issuer) -> None:
    snapshot = GetSnapshotResponse(etag="one")
    record = snapshot.snapshot.areas.add(boundary=shapely.to_wkb(MultiPolygon([box(106.7, -6.3, 106.9, -6.1)])))
    record.area.name, record.area.point.latitude, record.area.point.longitude = AREA, -6.2, 106.8
    snapshot.snapshot.coverage.append(agency_pb2.Coverage(area=AREA, category=agency_pb2.EMERGENCY, agency=AREA_ROOM))
    Path(settings.snapshot_file).write_bytes(snapshot.SerializeToString())
    async with run_service(settings) as channel:
        people = People(channel, issuer)
        sms, room = SmsGateway(people), people.sign_in("sita", "supervisor", agency=AREA_ROOM)
        await sms.send_aml(write_aml())
        alert = await room("GetAlert", name=await sms.send("SOS"))
        assert (alert.area, alert.agency, alert.routing) == (AREA, AREA_ROOM, Alert.AREA)
        other = await people.sari("GetAlert", name=await sms.send("SOS", OTHER_PHONE))
        assert (other.area, other.agency, other.routing) == ("", ROOM, Alert.DEFAULT)


async def test_numbers_stand_nowhere_but_in_the_alert_and_texts_nowhere_but_in_note_and_message(settings: Settings, issuer: Issuer) -> None:
    async with run_service(settings) as channel:
        people = People(channel, issuer)
        sms = SmsGateway(people)
        await sms.send("kata-kata biasa", OTHER_PHONE)
        await sms.send_aml(write_aml(-6.20375), OTHER_PHONE)
        await people.sari("ListAlerts")
        for_nobody = [OTHER_PHONE[1:], OTHER_PHONE[3:], "kata-kata", "message-id-1", "1234-5"]
        await sms.send("SOS kata-rahasia -6.17541,106.82721", PHONE, "message-id-1")
        await sms.send("kata-lanjut", PHONE)
        await sms.send("BATAL 1234-5", PHONE)
    kept = await dump(settings)
    everything = str(kept)
    assert [each for each in for_nobody if each in everything] == []
    assert [name for name, rows in kept.items() if PHONE[1:] in rows] == ["alerts"]
    assert [name for name, rows in kept.items() if "kata-rahasia" in rows] == ["alerts"]
    assert [name for name, rows in kept.items() if "kata-lanjut" in rows] == ["messages"]
    assert [name for name, rows in kept.items() if "6.20375" in rows] == ["numbers"]
    assert sorted(name for name, rows in kept.items() if "6.17541" in rows) == ["alerts", "numbers"]


class TestTheDatabaseIsAway:
    """The same message again, as an SMS gateway sends it, loses nothing and doubles nothing."""

    @pytest.fixture
    def on_own_postgres(self, own_postgres: Postgres, settings: Settings) -> Settings:
        migrations.migrate(own_postgres.url, MIGRATIONS, Model.metadata)
        return settings.model_copy(update={"database_url": SecretStr(own_postgres.url)})

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    async def test_a_text_is_refused_with_a_time_to_wait_and_taken_afterwards(
        self, own_postgres: Postgres, on_own_postgres: Settings, issuer: Issuer
    ) -> None:
        async with run_service(on_own_postgres) as channel:
            people = People(channel, issuer)
            sms = SmsGateway(people)
            await people.sari("ListAlerts")
            own_postgres.stop()
            refused: list[grpc.aio.AioRpcError] = []
            for call in (sms.send("SOS", message_id="m1"), sms.send_aml(write_aml(), message_id="a1")):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                refused.append(caught.value)
            own_postgres.start()
            for error in refused:
                told = read_refusal(error)
                assert (told.code, told.reason) == ("UNAVAILABLE", "SERVICE_UNAVAILABLE")
                assert told.retry_seconds
            name = await sms.send("SOS", message_id="m1")
            assert await sms.send_aml(write_aml(), message_id="a1") == name
            assert await sms.send("SOS", message_id="m1") == name
            assert await count(people.sari, name) == (1, 0, 1)
            # The mutant: without its id a repetition is another message.
            await sms.send("SOS", message_id="")
            assert await count(people.sari, name) == (1, 1, 1)

    async def test_a_text_whose_answer_was_lost_is_one_alert(self, people: People, sms: SmsGateway) -> None:
        for n in range(50):
            call = asyncio.ensure_future(sms.send("SOS", f"+62812{n:08}", "m1"))
            await asyncio.sleep(n / 5000)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        names = [await sms.send("SOS", f"+62812{n:08}", "m1") for n in range(50)]
        assert sorted(await people.sari.list_names(pageSize=1000)) == sorted(set(names))
        assert len(set(names)) == 50
        for name in names:
            assert await count(people.sari, name) == (1, 0, 0)


async def count(by: Party, name: str) -> tuple[int, int, int]:
    events = [each.type for each in (await by("ListAlertEvents", name=name)).events]
    return events.count("AlertRaised"), events.count("MessageSent"), events.count("AlertTracked")
