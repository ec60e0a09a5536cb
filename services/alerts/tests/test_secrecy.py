"""Nobody who has the phone can tell by which PIN an alert was called off, nor whether its agency still works on it."""

import base64
import time
from contextlib import suppress
from typing import Any

import grpc
import pytest
from emergencies import NEAR, beside, make_prankster, wait_until_assessed
from people import MONAS, Party, People, new_id, refusal_of
from texting import PHONE, SmsGateway, write_aml
from threatened import DURESS, PIN, WRONG, attempt, cancel, fresh, look, seen, set_pins

from siaga.alerts.v1 import alert_pb2


class TestNobodyCanTell:
    async def ask_every_door(self, people: People, name: str, caller: Party, pin: str) -> list[str]:
        """All that the caller's side is shown from the cancel on, while the agency does all that it can."""
        watching = [caller.watch("WatchAlert", name=name), people.dewi.watch("WatchAlert", name=name)]
        for each in watching:
            await each.read_snapshot()
        request_id = new_id()
        told: list[Any] = [await people.dewi("CancelAlert", name=name, pin=pin, requestId=request_id)]
        told.append(await people.dewi("CancelAlert", name=name, pin=pin, requestId=request_id))
        told.append(await cancel(caller, name, pin))
        for each in watching:
            told.append((await each.read()).event)
            told.append((await each.read()).end)
        # Whatever the agency does with the one that is still open to it.
        for rpc, more in (("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("AddNote", {"text": "calling", "audience": "CALLER"})):
            # One that is closed to it, too, refuses some of it.
            with suppress(grpc.aio.AioRpcError):
                await people.rina(rpc, name=name, **more)
        for party in (caller, people.dewi):
            told.append(await party("GetAlert", name=name))
            told.append(await party("ListAlertEvents", name=name))
            told.append(await party("TrackAlert", name=name, locations=[{"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"}]))
            told.append(await party("ListMessages", name=name))
        told.append(next(each for each in (await people.dewi("ExportMyAlerts")).alerts if each.alert.name == name))
        told.append(next(each for each in (await people.dewi("ListAlerts")).alerts if each.name == name))
        told.append(await people.dewi("ListAlerts", state=["RAISED", "ACKNOWLEDGED"]))
        return [look(each) for each in told]

    async def test_a_duress_pin_shows_nothing_that_the_right_one_does_not(self, people: People) -> None:
        await set_pins(people)
        shown: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            name, caller = await people.raise_alert(people.dewi, location={"point": MONAS})
            shown[pin] = await self.ask_every_door(people, name, caller, pin)
        assert shown[PIN] == shown[DURESS]

    async def test_the_numbers_of_entries_tell_nothing_of_what_else_happens(self, people: People) -> None:
        """Not even where they are asked for page by page."""
        name, caller = await people.raise_alert(people.dewi)
        for number in range(1, 6):
            await people.raise_alert(people.adi)
            await people.rina("AddNote", name=name, text="for the agency alone")
            await caller("SendMessage", name=name, text="are you there?")
            page = await caller("ListAlertEvents", name=name, pageSize=number)
            assert [each.name for each in page.events] == [f"{name}/events/{each}" for each in range(1, number + 1)]
            rest = await caller("ListAlertEvents", name=name, pageSize=number, pageToken=page.next_page_token)
            assert rest.events[0].name == f"{name}/events/{number + 1}"
            assert base64.urlsafe_b64decode(page.next_page_token + "==")[8:] == str(number).encode()

    async def test_nor_do_the_cursors_of_watches(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi)
        cursors = [(await caller.watch("WatchAlert", name=name, cursor="now").begin()).cursor for _ in range(2)]
        assert len({*cursors}) == 2, "nobody can tell that nothing has happened"
        await caller("SendMessage", name=name, text="are you there?")
        for cursor in cursors:
            assert (await caller.watch("WatchAlert", name=name, cursor=cursor).read_event())[0] == "MessageSent"

    async def follow(self, people: People, account: Party, name: str, caller: Party) -> list[str]:
        """All that the caller's side is shown of a new alert, by its token and by the account, until it is called off again."""
        watching = [each.watch("WatchAlert", name=name) for each in (caller, account)]
        await wait_until_assessed(people)
        told = [await party(rpc, name=name) for party in (caller, account) for rpc in ("GetAlert", "ListAlertEvents")]
        told += [each for each in (await account("ListAlerts", state=["RAISED", "ACKNOWLEDGED"])).alerts if each.name == name]
        await cancel(account, name, PIN)
        for each in watching:
            while (message := await each.read()).WhichOneof("content") != "end":
                told.append(message)
        return [look(each) for each in told]

    async def test_a_later_sos_tells_nothing_of_the_earlier_one(self, people: People) -> None:
        await set_pins(people)
        shown: dict[str, list[str]] = {}
        for pin in (PIN, DURESS, ""):
            name, _ = await people.raise_alert(people.dewi, **beside(0))
            await cancel(people.dewi, name, pin)
            with suppress(grpc.aio.AioRpcError):
                await people.rina("AcknowledgeAlert", name=name)
            shown[pin] = await self.follow(people, people.dewi, *await people.raise_alert(people.dewi, **beside(0)))
        assert shown[PIN] == shown[DURESS] == shown[""]

    async def test_nor_where_others_have_called_for_the_same(self, people: People) -> None:
        """Who comes later rests with one of them, wherever the one that was called off would have been nearer."""
        shown: dict[str, list[str]] = {}
        for number, pin in enumerate((PIN, DURESS, "")):
            # Nobody's alerts are so many that they are doubtful.
            user = f"user-{number}"
            await set_pins(people, user)
            account = people.sign_in(user, "citizen")
            name, _ = await people.raise_alert(account, **beside(0))
            other, _ = await people.raise_alert(people.nobody, **beside(NEAR))
            await wait_until_assessed(people)
            assert (await people.sari("GetAlert", name=other)).merged_into == name
            await people.rina("AcknowledgeAlert", name=name)
            await cancel(account, name, pin)
            # The one that nobody has called off leads, unless the help for both goes on.
            assert (await people.sari("GetAlert", name=other)).merged_into == (name if pin == DURESS else "")
            near, far = await people.raise_alert(account, **beside(0)), await people.raise_alert(account, **beside(-NEAR * 2.5))
            shown[pin] = [each for later in (near, far) for each in await self.follow(people, account, *later)]
            shown[pin] = [each.replace(user, "user") for each in shown[pin]]
            await people.rina("ResolveAlert", name=other, outcome="HELPED")
        assert '"ACKNOWLEDGED"' in str(shown[PIN])
        assert shown[PIN] == shown[DURESS] == shown[""]

    async def test_the_replies_are_as_long_and_none_comes_as_soon_as_it_could(self, people: People) -> None:
        await set_pins(people)
        sizes, took = set[int](), list[float]()
        for pin in (PIN, DURESS, WRONG, PIN, DURESS):
            name, _ = await people.raise_alert(people.dewi)
            began = time.perf_counter()
            sizes.add(len(look(await cancel(people.dewi, name, pin))))
            took.append(time.perf_counter() - began)
        assert len(sizes) == 1
        # tests/recovery/test_duress.py measures how far they are apart.
        assert min(took) >= 0.25


PAIRS = [{"pin": pin, "duressPin": pin[::-1]} for pin in ("1234", "2345", "3456", "4567")]


class TestSettingPins:
    """By whoever was given one of the PINs, and has called an alert off by it."""

    async def begin(self, people: People, pin: str) -> tuple[Party, str]:
        await set_pins(people, f"user-{pin}")
        party = people.sign_in(f"user-{pin}", "citizen")
        name, _ = await people.raise_alert(party)
        await cancel(party, name, pin)
        return party, name

    async def test_by_a_fresh_sign_in(self, people: People) -> None:
        first, second, third, _ = PAIRS
        told: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            party, _ = await self.begin(people, pin)
            told[pin] = [
                await attempt(fresh(people, f"user-{pin}"), **first),
                await attempt(party, **second, oldPin=pin),
                await attempt(party, **second, oldPin=first["pin"]),
                await attempt(party, **third, oldPin=first["pin"]),
                await attempt(party, **third, oldPin=second["duressPin"]),
                await attempt(party, **first, oldPin=third["pin"]),
            ]
        assert told[PIN] == told[DURESS] == ["", "WRONG_PIN", "", "WRONG_PIN", "", ""]

    async def test_by_the_pin_that_was_given(self, people: People) -> None:
        first, second, third, fourth = PAIRS
        told: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            party, name = await self.begin(people, pin)
            told[pin] = [
                await attempt(party, **first, oldPin=pin),
                await attempt(party, **second, oldPin=pin),
                await attempt(party, **second, oldPin=first["pin"]),
            ]
            for _ in range(6):
                await cancel(party, name, second["pin"])
            told[pin].append(await attempt(party, **third, oldPin=second["pin"]))
            for _ in range(6):
                await cancel(party, name, second["pin"])
            told[pin].append(await attempt(party, **fourth, oldPin=third["pin"]))
        assert told[PIN] == told[DURESS] == ["", "WRONG_PIN", "", "", "WRONG_PIN"]

    async def test_after_five_guesses_either_is_refused(self, people: People) -> None:
        told: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            party, _ = await self.begin(people, pin)
            told[pin] = [await attempt(party, **PAIRS[0], oldPin=old) for old in ("1111", "2222", "3333", "4444", "5555", pin)]
        assert told[PIN] == told[DURESS] == ["WRONG_PIN"] * 6

    async def test_what_was_set_while_one_is_open_buys_no_guesses(self, people: People) -> None:
        """Between two tries of it the one in force would be guessed."""
        await set_pins(people)
        name, _ = await people.raise_alert(people.dewi)
        await attempt(fresh(people), **PAIRS[0])
        for guess in ("1111", "2222", "3333", "4444", "5555", PIN):
            await cancel(people.dewi, name, guess)
            await cancel(people.dewi, name, PAIRS[0]["pin"])
        assert await seen(people, name) == ("RAISED", "UNVERIFIED")


class TestErasure:
    async def test_what_is_closed_goes_at_once_and_the_counts_stay(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, kind="FIRE", note="my secret", location={"point": MONAS})
        await caller("SendMessage", name=name, text="another secret")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=name, text="a third one")
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        erased = await caller("EraseAlert", name=name)
        assert (erased.note, erased.HasField("location"), erased.caller.user) == ("", False, "")
        kept = await people.rina("GetAlert", name=name)
        assert (kept.kind, kept.outcome, kept.note, kept.caller.user) == (alert_pb2.Alert.FIRE, alert_pb2.Alert.HELPED, "", "")
        assert "secret" not in str((await people.rina("ListAlertEvents", name=name)).events)
        assert await people.dewi.list_names() == []

    async def test_nor_does_what_was_found_of_its_caller_stay(self, people: People) -> None:
        await make_prankster(people)
        name, _ = await people.raise_alert(people.adi)
        await wait_until_assessed(people)
        assert (await people.rina("GetAlert", name=name)).caller_history.pranks == 2
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        await people.adi("EraseMyAlerts")
        kept = await people.rina("GetAlert", name=name)
        assert (list(kept.doubts), kept.HasField("caller_history")) == ([], False)

    async def test_it_can_be_repeated_by_whom_it_knows_no_more(self, people: People) -> None:
        name, _ = await people.raise_alert(people.dewi)
        request_id = new_id()
        first = await people.dewi("EraseAlert", name=name, requestId=request_id)
        assert await people.dewi("EraseAlert", name=name, requestId=request_id) == first
        assert (await refusal_of(people.dewi("EraseAlert", name=name, requestId=new_id()))).reason == "ALERT_NOT_FOUND"

    async def test_what_is_written_afterwards_is_not_kept(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi)
        await people.rina("AcknowledgeAlert", name=name)
        await cancel(people.dewi, name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        await caller("EraseAlert", name=name)
        assert (await caller("SendMessage", name=name, text="a secret")).text == "a secret"
        assert list((await people.rina("ListMessages", name=name)).messages) == []
        for rpc, more in (("AddNote", {}), ("RecordContact", {"means": "CALL", "result": "REACHED"})):
            assert (await refusal_of(people.rina(rpc, name=name, text="a secret", **more))).reason == "ALERT_CLOSED"

    async def test_where_the_number_was_goes_too(self, people: People) -> None:
        """Or their next text would be located by it."""
        gateway = SmsGateway(people)
        name, caller = await people.raise_alert(people.rina, channel="VOICE", caller={"callbackPhone": PHONE})
        assert await gateway.send_aml(write_aml()) == name
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        await caller("EraseAlert", name=name)
        later = await gateway.send("SOS")
        assert not (await people.sari("GetAlert", name=later)).HasField("location")

    async def test_what_is_open_goes_with_its_end_and_nobody_can_tell(self, people: People) -> None:
        await set_pins(people)
        replies: dict[str, list[str]] = {}
        for pin in (PIN, DURESS):
            name, caller = await people.raise_alert(people.dewi, note="my secret", location={"point": MONAS})
            await caller("SendMessage", name=name, text="another secret")
            await people.rina("AddNote", name=name, text="a third one", audience="CALLER")
            await cancel(people.dewi, name, pin)
            said = [await caller("EraseAlert", name=name), await caller("GetAlert", name=name)]
            again = {"name": name, "text": "a fourth", "requestId": new_id()}
            said += [await caller("SendMessage", **again), await caller("SendMessage", **again), await people.dewi("ExportMyAlerts")]
            said += [await caller("ListMessages", name=name), await caller("ListAlertEvents", name=name)]
            track = {"locations": [{"point": MONAS, "fixTime": "2026-03-01T12:00:00Z"}]}
            said.append(await caller("TrackAlert", name=name, **track))
            replies[pin] = [look(each) for each in said]
            assert (await refusal_of(people.dewi("GetAlert", name=name))).reason == "ALERT_NOT_FOUND"
        assert replies[PIN] == replies[DURESS]
        seen_still = await people.rina("GetAlert", name=name)
        assert seen_still.note == "my secret"
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        assert (await people.rina("GetAlert", name=name)).note == ""

    async def test_everything_of_an_account_is_exported_and_erased(self, people: People) -> None:
        names = [(await people.raise_alert(people.dewi, note=f"note {number}"))[0] for number in range(3)]
        await people.raise_alert(people.dewi, silent=True)
        await people.raise_alert(people.adi)
        page = await people.dewi("ExportMyAlerts", pageSize=2)
        rest = await people.dewi("ExportMyAlerts", pageSize=2, pageToken=page.next_page_token)
        found = [*page.alerts, *rest.alerts]
        assert [(each.alert.name, each.alert.note) for each in found] == [(name, f"note {n}") for n, name in enumerate(names)]
        assert [each.type for each in found[0].events] == ["AlertRaised", "AlertRouted"]
        await people.dewi("EraseMyAlerts")
        assert await people.dewi.list_names() == []
        assert len(await people.adi.list_names()) == 1

    async def test_silent_ones_are_erased_too_and_the_account_cannot_tell_whether_there_are_any(self, people: People) -> None:
        (name, caller), still_open = [await people.raise_alert(people.dewi, silent=True, note="my secret") for _ in range(2)]
        await people.sari("AcknowledgeAlert", name=name)
        await people.sari("ResolveAlert", name=name, outcome="HELPED")
        replies, took = list[str](), list[float]()
        for party in (people.dewi, people.adi):
            began = time.perf_counter()
            replies.append(look(await party("EraseMyAlerts")))
            took.append(time.perf_counter() - began)
        assert replies == ["{}"] * 2
        assert min(took) >= 0.25
        assert (await people.sari("GetAlert", name=name, reason="the court asks")).note == ""
        for each, party in ((name, caller), still_open):
            assert (await party("GetAlert", name=each)).note == ""
        assert (await people.sari("GetAlert", name=still_open[0])).note == "my secret"

    @pytest.mark.parametrize(("pin", "expected"), [(PIN, ("CANCELLED", "VERIFIED")), (DURESS, ("RAISED", "DURESS"))])
    async def test_the_pins_outlast_it(self, people: People, pin: str, expected: tuple[str, str]) -> None:
        await set_pins(people)
        await people.dewi("EraseMyAlerts")
        name, caller = await people.raise_alert(people.dewi)
        await cancel(caller, name, pin)
        assert await seen(people, name) == expected
