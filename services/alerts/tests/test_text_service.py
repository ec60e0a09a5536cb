"""A text that calls for help raises an alert, what follows belongs to it, and a message counts once however often it comes."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from people import ROOM, People, refusal_of, until_taken
from texting import OTHER_PHONE, PHONE, SmsGateway, write_aml

from chassis.clock import now
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_pb2 import Alert
from siaga.alerts.v1.alert_service_pb2 import AlertMessage

IDS, IDS_AT_ONCE, TIMES = 100, 10, 20


@pytest.fixture
def sms(people: People) -> SmsGateway:
    return SmsGateway(people)


async def get(people: People, name: str) -> alert_pb2.Alert:
    return await people.sari("GetAlert", name=name)


async def read_messages(people: People, name: str) -> list[tuple[int, str]]:
    return [(each.sender, each.text) for each in (await people.sari("ListMessages", name=name)).messages]


async def read_events(people: People, name: str) -> list[str]:
    return [each.type for each in (await people.sari("ListAlertEvents", name=name, pageSize=1000)).events]


def place(alert: alert_pb2.Alert) -> tuple[float, float, int]:
    return round(alert.location.point.latitude, 5), round(alert.location.point.longitude, 5), alert.location.source


class TestTheFirstText:
    async def test_it_raises_an_alert_that_is_shown_to_the_room(self, people: People, sms: SmsGateway) -> None:
        watch = await people.rina.watch("WatchAlerts", cursor="now").begin()
        received = now() - timedelta(seconds=30)
        name = await sms.send("SOS kebakaran -6.1754,106.8272 lantai 3", received=received)
        assert (await watch.read_event())[0] == "AlertRaised"
        alert = await get(people, name)
        assert (alert.state, alert.channel, alert.contact_preference, alert.kind) == (Alert.RAISED, Alert.SMS, Alert.TEXT, 0)
        assert (alert.caller.callback_phone, alert.caller.user, alert.caller.verified) == (PHONE, "", False)
        assert alert.note == "SOS kebakaran -6.1754,106.8272 lantai 3"
        assert place(alert) == (-6.1754, 106.8272, Alert.Location.SMS)
        assert alert.location.fix_time.ToDatetime(received.tzinfo) == received
        assert not alert.location.HasField("accuracy_meters")
        assert alert.agency == ROOM
        assert await read_events(people, name) == ["AlertRaised", "AlertRouted"]

    async def test_without_a_position_the_citys_room_answers(self, people: People, sms: SmsGateway) -> None:
        alert = await get(people, await sms.send("tolong"))
        assert (alert.routing, alert.HasField("location"), alert.note) == (Alert.DEFAULT, False, "tolong")

    async def test_a_number_is_called_back_in_one_form(self, people: People, sms: SmsGateway) -> None:
        for number, dialled in (("0812-9876-5432", OTHER_PHONE), ("112233", "112233"), ("TELKOMSEL", ""), ("", "")):
            alert = await get(people, await sms.send("SOS", number))
            assert alert.caller.callback_phone == dialled

    async def test_another_text_of_nobody_known_is_passed_over(self, people: People, sms: SmsGateway) -> None:
        for text in ("Selamat pagi", "BATAL 1234", "SOSIALISASI", "", "-6.1754,106.8272"):
            assert await sms.send(text) == ""
        assert await people.sari.list_names() == []
        # Nor does it belong to what comes after it.
        alert = await get(people, await sms.send("SOS"))
        assert (alert.HasField("location"), await read_messages(people, alert.name)) == (False, [])

    @pytest.mark.parametrize("text", ["Kebakaran, tolong!", "ya allah tolong", "ada maling di rumah"])
    async def test_words_of_danger_raise_one_too(self, people: People, sms: SmsGateway, text: str) -> None:
        alert = await get(people, await sms.send(text))
        assert (alert.note, alert.channel, alert.kind) == (text, Alert.SMS, 0)

    async def test_what_comes_from_nobody_raises_alerts_of_their_own(self, people: People, sms: SmsGateway) -> None:
        names = {await sms.send("SOS", ""), await sms.send("SOS", "")}
        assert len(names) == 2
        assert await sms.send("di belakang", "") == ""

    async def test_the_fix_of_a_clock_that_is_ahead_is_of_now(self, people: People, sms: SmsGateway) -> None:
        alert = await get(people, await sms.send("SOS -6.1754,106.8272", received=now() + timedelta(days=1)))
        assert alert.location.fix_time.ToSeconds() <= now().timestamp()


class TestWhatFollows:
    async def test_a_further_text_is_a_message_of_the_caller_and_its_position_tracks_the_alert(
        self, people: People, sms: SmsGateway
    ) -> None:
        name = await sms.send("SOS -6.1754,106.8272")
        watch = await people.rina.watch("WatchAlerts", cursor="now").begin()
        assert await sms.send("saya pindah ke -6.2001,106.8001", "081234567890") == name
        assert [(await watch.read_event())[0] for _ in range(2)] == ["MessageSent", "AlertTracked"]
        assert await read_messages(people, name) == [(AlertMessage.CALLER, "saya pindah ke -6.2001,106.8001")]
        assert place(await get(people, name)) == (-6.2001, 106.8001, Alert.Location.SMS)

    async def test_a_second_sos_belongs_to_the_open_alert(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        assert await sms.send("SOS SOS") == name
        assert await people.sari.list_names() == [name]
        assert [text for _, text in await read_messages(people, name)] == ["SOS SOS"]

    async def test_two_handsets_are_two_alerts(self, people: People, sms: SmsGateway) -> None:
        name, other = await sms.send("SOS"), await sms.send("SOS", OTHER_PHONE)
        assert await sms.send("di sini", OTHER_PHONE) == other
        assert await read_messages(people, name) == []

    async def test_words_of_danger_belong_to_whatever_is_open(self, people: People, sms: SmsGateway) -> None:
        call, _ = await people.raise_alert(people.rina, channel="VOICE", caller={"callbackPhone": PHONE})
        assert await sms.send("ada maling di dalam") == call
        name = await sms.send("SOS")
        assert await sms.send("kebakaran") == name
        await sms.send("BATAL")
        # Nor does it say that the cancel was in vain, as an SOS would.
        assert await sms.send("maaf, bukan kebakaran") in {name, call}
        assert len(await people.sari.list_names()) == 2

    async def test_after_the_agency_has_closed_it_the_next_sos_is_a_new_alert(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert await sms.send("terima kasih") == ""
        other = await sms.send("SOS")
        assert other not in {"", name}

    async def test_the_dispatcher_may_write_back(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        await people.rina("SendMessage", name=name, text="Kami datang")
        assert await read_messages(people, name) == [(AlertMessage.AGENCY, "Kami datang")]

    async def test_a_text_of_a_number_whose_call_was_written_down_belongs_to_that_alert(self, people: People, sms: SmsGateway) -> None:
        call, _ = await people.raise_alert(people.rina, channel="VOICE", caller={"callbackPhone": "0812-3456-7890"})
        assert await sms.send("suara saya tidak terdengar -6.1754,106.8272") == call
        assert place(await get(people, call)) == (-6.1754, 106.8272, Alert.Location.SMS)
        # A first SOS is never taken for anything else, and what follows is of the SMS.
        name = await sms.send("SOS")
        assert name not in {"", call}
        assert await sms.send("lagi") == name

    async def test_the_number_of_an_app_is_nobodys_proof(self, people: People, sms: SmsGateway) -> None:
        name, _ = await people.raise_alert(people.dewi, caller={"callbackPhone": PHONE})
        assert await sms.send("di sini -6.1754,106.8272") == ""
        await sms.send_aml(write_aml())
        assert not (await get(people, name)).HasField("location")


class TestCancelling:
    async def test_it_is_unverified_and_the_agency_goes_on(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        assert await sms.send("BATAL 1234") == name
        alert = await get(people, name)
        assert (alert.state, alert.cancel_claim) == (Alert.RAISED, Alert.UNVERIFIED)
        assert await read_messages(people, name) == []
        assert (await people.rina("AcknowledgeAlert", name=name)).state == Alert.ACKNOWLEDGED

    async def test_what_it_says_beside_is_kept_and_what_may_be_a_pin_is_not(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        await sms.send("batal, salah kirim maaf")
        await sms.send("batal hunter2")
        for pin in (
            "25-80",
            "25 - 80",
            "pinnya \u00b2\u2075\u2078\u2070",
            "\u2460\u2461\u2462\u2463 12\u200b\u200b34",
            "2    5 ... 8 -- 0",
            "\u2777\u2778\u277b\u277c",
        ):
            await sms.send(f"BATAL {pin} terima kasih, jl. Melati 12")
        said = [f"BATAL {pin} terima kasih, jl. Melati 12" for pin in ("****", "****", "pinnya ****", "****", "****", "****")]
        assert [text for _, text in await read_messages(people, name)] == ["batal, salah kirim maaf", *said]

    async def test_an_sos_after_it_is_a_new_alert_and_other_texts_are_of_the_old_one(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        await sms.send("BATAL")
        assert await sms.send("dia memaksa saya") == name
        other = await sms.send("SOS")
        assert other not in {"", name}
        assert await sms.send("di gudang") == other

    async def test_it_calls_a_written_down_call_off_as_well(self, people: People, sms: SmsGateway) -> None:
        call, _ = await people.raise_alert(people.rina, channel="VOICE", caller={"callbackPhone": PHONE})
        assert await sms.send("CANCEL") == call
        assert (await get(people, call)).cancel_claim == Alert.UNVERIFIED


class TestTheSameMessageAgain:
    async def test_it_is_one_alert_whatever_it_now_says(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS", message_id="m1")
        for content, sender in (("SOS", PHONE), ("SOS api", "081234567890"), ("halo", PHONE), ("BATAL", PHONE)):
            assert await sms.send(content, sender, "m1") == name
        assert await read_events(people, name) == ["AlertRaised", "AlertRouted"]

    async def test_after_its_alert_was_closed_it_raises_no_other(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS", message_id="m1")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="PRANK")
        assert await sms.send("SOS", message_id="m1") == name
        assert await people.sari.list_names() == [name]

    async def test_a_further_text_is_one_message(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        for _ in range(3):
            assert await sms.send("di sini -6.1754,106.8272", message_id="m2") == name
        assert await read_events(people, name) == ["AlertRaised", "AlertRouted", "MessageSent", "AlertTracked"]

    async def test_one_that_was_passed_over_calls_nothing_off(self, people: People, sms: SmsGateway) -> None:
        assert await sms.send("BATAL", message_id="m1") == ""
        name = await sms.send("SOS kebakaran", message_id="m2")
        assert await sms.send("BATAL", message_id="m1") == ""
        # But a call for help is none that was passed over.
        assert [await sms.send("SOS", message_id="m1") for _ in range(2)] == [name, name]
        assert (await read_events(people, name)).count("MessageSent") == 1
        assert (await get(people, name)).cancel_claim == Alert.CANCEL_CLAIM_UNSPECIFIED
        assert await people.sari.list_names() == [name]

    async def test_ids_are_each_senders_own_and_differ_in_their_case(self, people: People, sms: SmsGateway) -> None:
        names = [
            await sms.send("SOS", PHONE, "aB"),
            await sms.send("SOS", OTHER_PHONE, "aB"),
            await sms.send("SOS", "", "aB"),
            await sms.send("SOS", "", "Ab"),
            await sms.send("SOS", "", ""),
            await sms.send("SOS", "", ""),
        ]
        assert len(set(names)) == 6

    async def test_each_of_many_ids_counts_once_however_often_at_once(
        self, people: People, sms: SmsGateway, caplog: pytest.LogCaptureFixture
    ) -> None:
        names: list[str] = []
        for some in range(0, IDS, IDS_AT_ONCE):
            sent = [(f"SOS {n}", f"+62812{n:08}", f"id-{n}") for n in range(some, some + IDS_AT_ONCE)] * TIMES
            found = await asyncio.gather(*(until_taken(partial(sms.send, *each)) for each in sent))
            assert [len(set(found[n::IDS_AT_ONCE])) for n in range(IDS_AT_ONCE)] == [1] * IDS_AT_ONCE
            names += found[:IDS_AT_ONCE]
        assert len(set(names)) == IDS
        assert sorted(await people.sari.list_names(pageSize=1000)) == sorted(names)
        assert "gave way" not in caplog.text

    async def test_many_texts_of_one_number_at_once_are_one_alert(self, people: People, sms: SmsGateway) -> None:
        names = await asyncio.gather(*(until_taken(partial(sms.send, f"SOS {n}", message_id=f"m{n}")) for n in range(40)))
        assert len(set(names)) == 1
        events = await read_events(people, names[0])
        assert (events.count("AlertRaised"), events.count("MessageSent")) == (1, 39)


class TestWhoMay:
    @pytest.mark.parametrize("roles", [["citizen"], ["dispatcher"], ["supervisor"], ["agency"], ["admin"], ["service"]])
    async def test_nobody_else_hands_messages_over(self, people: People, roles: list[str]) -> None:
        other = SmsGateway(people, *roles)
        for call in (other.send("SOS"), other.send_aml(write_aml())):
            assert (await refusal_of(call))[:2] == ("PERMISSION_DENIED", "ACCESS_DENIED")

    async def test_nobody_at_all_does(self, people: People, sms: SmsGateway) -> None:
        sms.bearer = ""
        assert (await refusal_of(sms.send("SOS")))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")

    async def test_whoever_hands_messages_over_sees_no_alert(self, people: People, sms: SmsGateway) -> None:
        name = await sms.send("SOS")
        gateway: Any = people.sign_in("sms-gateway", "adapter")
        assert (await refusal_of(gateway("GetAlert", name=name)))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")
        assert await gateway.list_names() == []
