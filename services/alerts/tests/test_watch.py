"""Watches: what is open, then every change, each once, for as long as the reader may see it."""

import asyncio
import os
import signal
from datetime import timedelta

import grpc
from people import (
    MONAS,
    ROOM,
    Party,
    People,
    Watching,
    new_alert_token,
    new_id,
    open_channel,
    read_refusal,
    refusal_of,
    run_service,
    start_service,
)
from sqlalchemy import update

from alerts.model import Model
from alerts.settings import Settings
from chassis.clock import now
from chassis.database import open_database
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import WatchAlertsResponse

SLOTS = 20
DISPATCHERS, ALERTS = 50, 20


def state(alert: alert_pb2.Alert) -> str:
    return alert_pb2.Alert.State.Name(alert.state)


def summary(message: WatchAlertsResponse) -> tuple[str, str]:
    """What a message says, without what the alert had become by then."""
    content = message.WhichOneof("content") or ""
    return (message.event.type, message.event.alert.name) if content == "event" else (content, message.left.name)


async def begin(party: Party, rpc: str = "WatchAlerts", **fields: str | bool) -> Watching:
    """A watch from now on."""
    return await party.watch(rpc, cursor="now", **fields).begin()


class TestAnAgencysWatch:
    async def test_it_begins_with_what_is_open_and_goes_on_with_what_happens(self, people: People) -> None:
        older, _ = await people.raise_alert(kind="FIRE")
        newer, caller = await people.raise_alert(kind="CRIME")
        closed, _ = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=closed)
        await people.rina("ResolveAlert", name=closed, outcome="HELPED")
        watching = people.budi.watch("WatchAlerts")
        assert {each.name for each in await watching.read_snapshot()} == {older, newer}

        fresh, _ = await people.raise_alert()
        assert [summary(await watching.read()) for _ in range(2)] == [("AlertRaised", fresh), ("AlertRouted", fresh)]
        for rpc, kind, said in (
            ("ConfirmReceipt", "AlertDelivered", {}),
            ("AcknowledgeAlert", "AlertAcknowledged", {}),
            ("ReleaseAlert", "AlertReleased", {}),
            ("AddNote", "NoteAdded", {"text": "a note"}),
        ):
            await people.rina(rpc, name=newer, **said)
            message = await watching.read()
            assert summary(message) == (kind, newer)
            assert message.event.HasField("create_time")
        own = caller.watch("WatchAlert", name=newer)
        await own.read_snapshot()
        await caller("TrackAlert", name=newer, locations=[{"point": MONAS}])
        for each in (watching, own):
            kind, alert = await each.read_event()
            assert (kind, alert.location.point.latitude) == ("AlertTracked", MONAS["latitude"])

    async def test_what_is_closed_leaves_it(self, people: People) -> None:
        name, _ = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        watching = await begin(people.budi)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        kind, alert = await watching.read_event()
        assert (kind, state(alert)) == ("AlertResolved", "RESOLVED")
        assert summary(await watching.read()) == ("left", name)

    async def test_from_now_it_tells_only_what_happens(self, people: People) -> None:
        before, _ = await people.raise_alert()
        watching = await begin(people.rina)
        after, _ = await people.raise_alert()
        assert summary(await watching.read()) == ("AlertRaised", after)
        assert before != after

    async def test_drills_are_in_it_when_asked_for(self, people: People) -> None:
        drill, _ = await people.raise_alert(people.rina, drill=True)
        without, including = people.rina.watch("WatchAlerts"), people.rina.watch("WatchAlerts", includeDrills=True)
        assert await without.read_snapshot() == []
        assert [each.name for each in await including.read_snapshot()] == [drill]
        await people.rina("AcknowledgeAlert", name=drill)
        real, _ = await people.raise_alert()
        assert summary(await including.read()) == ("AlertAcknowledged", drill)
        assert summary(await without.read()) == ("AlertRaised", real)

    async def test_citizens_and_nobody_may_not(self, people: People) -> None:
        for party, refusal in (
            (people.dewi, ("PERMISSION_DENIED", "ACCESS_DENIED")),
            (people.nobody, ("UNAUTHENTICATED", "INVALID_TOKEN")),
        ):
            assert (await refusal_of(party.watch("WatchAlerts").read()))[:2] == refusal

    async def test_a_restricted_alert_is_redacted_until_its_watcher_holds_it(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here")
        watches = {who: people.__dict__[who].watch("WatchAlerts") for who in ("rina", "budi", "sari")}
        opened = {who: (await each.read_snapshot())[0] for who, each in watches.items()}
        assert {who: alert.note for who, alert in opened.items()} == {"rina": "", "budi": "", "sari": "he is here"}
        assert (opened["rina"].restricted, opened["rina"].kind) == (True, 0)
        for rpc, party, shown in (
            ("AcknowledgeAlert", people.rina, {"rina": "he is here", "budi": "", "sari": "he is here"}),
            ("ReleaseAlert", people.rina, {"rina": "", "budi": "", "sari": "he is here"}),
            ("AcknowledgeAlert", people.budi, {"rina": "", "budi": "he is here", "sari": "he is here"}),
        ):
            await party(rpc, name=name)
            assert {who: (await each.read_event())[1].note for who, each in watches.items()} == shown

    async def test_of_one_restricted_alert_it_opens_with_the_claim_and_closes_with_its_end(self, people: People) -> None:
        name, _ = await people.raise_alert(kind="VIOLENCE", note="he is here")
        watching = people.rina.watch("WatchAlert", name=name)
        assert [each.note for each in await watching.read_snapshot()] == [""]
        for rpc, shown in (("AcknowledgeAlert", "he is here"), ("ReleaseAlert", ""), ("AcknowledgeAlert", "he is here")):
            await people.rina(rpc, name=name)
            assert (await watching.read_event())[1].note == shown

    async def test_whoever_comes_back_after_its_end_is_not_told_that_it_was_called_off(self, people: People) -> None:
        name, caller = await people.raise_alert(kind="VIOLENCE")
        watching = people.budi.watch("WatchAlert", name=name)
        await watching.read_snapshot()
        watching.call.cancel()
        await people.rina("AcknowledgeAlert", name=name)
        await caller("CancelAlert", name=name)
        await people.rina("ReleaseAlert", name=name)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        resumed = people.budi.watch("WatchAlert", name=name, cursor=watching.cursor)
        for kind in ("AlertAcknowledged", "AlertReleased", "AlertAcknowledged", "AlertResolved"):
            assert (await resumed.read_event())[0] == kind
        assert await resumed.read_end() == "ALERT_CLOSED"


class TestACallersWatch:
    async def test_it_shows_every_hop_and_ends_with_the_alert(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi)
        watches = [caller.watch("WatchAlert", name=name), people.dewi.watch("WatchAlert", name=name)]
        for each in watches:
            assert [state(alert) for alert in await each.read_snapshot()] == ["RAISED"]
        for rpc, said, kind, shown in (
            ("ConfirmReceipt", {}, "AlertDelivered", "RAISED"),
            ("AcknowledgeAlert", {}, "AlertAcknowledged", "ACKNOWLEDGED"),
            ("AddNote", {"text": "we come", "audience": "CALLER"}, "NoteAdded", "ACKNOWLEDGED"),
            ("ResolveAlert", {"outcome": "HELPED"}, "AlertResolved", "RESOLVED"),
        ):
            await people.rina("AddNote", name=name, text="for us alone")
            await people.rina(rpc, name=name, **said)
            for each in watches:
                told, alert = await each.read_event()
                assert (told, state(alert), len(alert.responses)) == (kind, shown, 0)
        for each in watches:
            assert await each.read_end() == "ALERT_CLOSED"

    async def test_of_a_silent_alert_it_tells_nothing_of_what_the_agency_does(self, people: People) -> None:
        name, caller = await people.raise_alert(people.dewi, silent=True)
        watching = caller.watch("WatchAlert", name=name)
        assert [state(each) for each in await watching.read_snapshot()] == ["RAISED"]
        await people.rina("ConfirmReceipt", name=name)
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=name, text="stay calm", audience="CALLER")
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        await caller("CancelAlert", name=name)
        assert (await watching.read_event())[0] == "AlertCancelled"
        refused = await refusal_of(people.dewi.watch("WatchAlert", name=name).read())
        assert refused[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")

    async def test_to_everybody_else_there_is_no_such_alert(self, people: People) -> None:
        name, _ = await people.raise_alert(people.dewi)
        for party in (people.nobody, people.adi, people.citra, people.nobody.holding(new_alert_token())):
            for asked in (name, f"alerts/{new_id()}"):
                assert (await refusal_of(party.watch("WatchAlert", name=asked).read()))[:2] == ("NOT_FOUND", "ALERT_NOT_FOUND")

    async def test_a_closed_alert_is_shown_once_and_that_is_all(self, people: People) -> None:
        name, caller = await people.raise_alert()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        for party in (caller, people.rina):
            watching = party.watch("WatchAlert", name=name)
            assert [state(each) for each in await watching.read_snapshot()] == ["RESOLVED"]
            assert await watching.read_end() == "ALERT_CLOSED"

    async def test_who_comes_back_after_the_end_is_told_how_it_ended(self, people: People) -> None:
        name, caller = await people.raise_alert()
        watching = caller.watch("WatchAlert", name=name)
        await watching.read_snapshot()
        watching.call.cancel()
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        resumed = caller.watch("WatchAlert", name=name, cursor=watching.cursor)
        for kind in ("AlertAcknowledged", "AlertResolved"):
            told, alert = await resumed.read_event()
            assert (told, state(alert)) == (kind, "RESOLVED")
        assert await resumed.read_end() == "ALERT_CLOSED"

    async def test_of_hops_in_one_moment_none_is_left_out(self, people: People) -> None:
        name, caller = await people.raise_alert()
        watches = [await begin(party, "WatchAlert", name=name) for party in (caller, people.rina)]
        for rpc, said in (("ConfirmReceipt", {}), ("AcknowledgeAlert", {}), ("ResolveAlert", {"outcome": "HELPED"})):
            await people.rina(rpc, name=name, **said)
        for each in watches:
            told = [(await each.read_event())[0] for _ in range(3)]
            assert told == ["AlertDelivered", "AlertAcknowledged", "AlertResolved"]
            assert await each.read_end() == "ALERT_CLOSED"


class TestResuming:
    async def test_at_every_cursor_exactly_the_rest_follows(self, people: People) -> None:
        watching = people.rina.watch("WatchAlerts")
        assert await watching.read_snapshot() == []
        start = watching.cursor
        names = [(await people.raise_alert())[0] for _ in range(3)]
        for name in names:
            await people.rina("AcknowledgeAlert", name=name)
        await people.rina("AddNote", name=names[0], text="the last")
        told: list[tuple[str, str]] = []
        cursors = [start]
        while not told or told[-1] != ("NoteAdded", names[0]):
            told.append(summary(await watching.read()))
            cursors.append(watching.cursor)
        assert len(told) == len(set(told)) == 3 * 3 + 1
        for position, cursor in enumerate(cursors):
            resumed = await people.rina.watch("WatchAlerts", cursor=cursor).begin()
            assert [summary(await resumed.read()) for _ in told[position:]] == told[position:]
            resumed.call.cancel()

    async def test_who_resumes_between_the_end_and_what_it_means_is_told_that_it_left(self, people: People) -> None:
        name, _ = await people.raise_alert()
        watching = await begin(people.rina, "WatchAlerts")
        await people.rina("AcknowledgeAlert", name=name)
        await people.rina("ResolveAlert", name=name, outcome="HELPED")
        while (message := await watching.read()).event.type != "AlertResolved":
            pass
        resumed = people.rina.watch("WatchAlerts", cursor=message.cursor)
        assert (await resumed.read()).left.name == name

    async def test_a_watch_goes_on_across_a_restart_of_the_service(self, settings: Settings, issuer: Issuer) -> None:
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            watching = people.rina.watch("WatchAlerts")
            await watching.read_snapshot()
            first, _ = await people.raise_alert()
            await watching.read()
            missed, _ = await people.raise_alert()
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            resumed = await people.rina.watch("WatchAlerts", cursor=watching.cursor).begin()
            later, _ = await people.raise_alert()
            told = [summary(await resumed.read()) for _ in range(5)]
        assert told == [("AlertRouted", first), *((kind, name) for name in (missed, later) for kind in ("AlertRaised", "AlertRouted"))]

    async def test_before_the_snapshot_is_complete_it_begins_anew(self, people: People) -> None:
        names = {(await people.raise_alert())[0] for _ in range(2)}
        watching = people.rina.watch("WatchAlerts")
        await watching.read()
        resumed = people.rina.watch("WatchAlerts", cursor=watching.cursor)
        assert {each.name for each in await resumed.read_snapshot()} == names

    async def test_a_cursor_of_another_watch_is_refused(self, people: People) -> None:
        name, caller = await people.raise_alert()
        of_agency, of_caller = people.rina.watch("WatchAlerts"), caller.watch("WatchAlert", name=name)
        await of_agency.read_snapshot()
        await of_caller.read_snapshot()
        for refused in (
            people.citra.watch("WatchAlerts", cursor=of_agency.cursor),
            people.rina.watch("WatchAlerts", cursor=of_agency.cursor, includeDrills=True),
            people.rina.watch("WatchAlerts", cursor=of_caller.cursor),
            people.rina.watch("WatchAlert", name=name, cursor=of_caller.cursor),
            people.rina.watch("WatchAlerts", cursor="nonsense"),
        ):
            assert (await refusal_of(refused.read()))[:2] == ("INVALID_ARGUMENT", "INVALID_CURSOR")

    async def test_a_cursor_is_too_old_when_more_was_missed_than_is_kept(self, settings: Settings, issuer: Issuer) -> None:
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            watching = people.rina.watch("WatchAlerts")
            await watching.read_snapshot()
            name, _ = await people.raise_alert()
            await watching.read()
            missed_one = watching.cursor
            await watching.read()
        async with open_database(settings.database_url.get_secret_value(), lambda _: None, lambda: None) as database:
            aged = update(Model.metadata.tables["events"]).values(create_time=now() - timedelta(days=7, seconds=1))
            await database.write(lambda session: session.execute(aged))
        async with run_service(settings) as channel:
            people = People(channel, issuer)
            refused = await refusal_of(people.rina.watch("WatchAlerts", cursor=missed_one).read())
            assert refused[:2] == ("OUT_OF_RANGE", "CURSOR_EXPIRED")
            resumed = await people.rina.watch("WatchAlerts", cursor=watching.cursor).begin()
            await people.rina("AcknowledgeAlert", name=name)
            assert summary(await resumed.read()) == ("AlertAcknowledged", name)


class TestTheEndOfAWatch:
    async def test_an_expired_token_ends_it_and_a_new_one_goes_on(self, people: People) -> None:
        short = people.sign_in("rina", "dispatcher", agency=ROOM, lifetime=2)
        watching = await begin(short)
        assert await watching.read_end() == "TOKEN_EXPIRED"
        name, _ = await people.raise_alert()
        resumed = people.rina.watch("WatchAlerts", cursor=watching.cursor)
        assert summary(await resumed.read()) == ("AlertRaised", name)

    async def test_a_stopping_service_says_so(self, settings: Settings, issuer: Issuer) -> None:
        serving = await start_service(settings)
        async with open_channel(settings) as channel:
            people = People(channel, issuer)
            name, caller = await people.raise_alert()
            watches = [await begin(people.rina), caller.watch("WatchAlert", name=name)]
            await watches[1].read_snapshot()
            os.kill(os.getpid(), signal.SIGTERM)
            for each in watches:
                assert await each.read_end() == "SERVICE_STOPPING"
        await asyncio.wait_for(serving, 5)


async def test_watchers_take_nobodys_place_who_raises_or_answers_an_sos(people: People) -> None:
    name, caller = await people.raise_alert()
    watches = [await begin(people.rina) for _ in range(SLOTS - 1)]
    watches.append(await begin(caller, "WatchAlert", name=name))
    for refused in (people.sari.watch("WatchAlerts"), caller.watch("WatchAlert", name=name)):
        refusal = await refusal_of(refused.read())
        assert refusal[:2] == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert refusal.retry_seconds
    fresh, _ = await people.raise_alert()
    assert state(await people.rina("AcknowledgeAlert", name=fresh)) == "ACKNOWLEDGED"
    for each in watches[:-1]:
        assert summary(await each.read()) == ("AlertRaised", fresh)
    # A place that is given up is free again.
    watches[0].call.cancel()
    async with asyncio.timeout(5):
        while True:
            try:
                await begin(people.sari)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise


async def test_of_many_who_take_an_alert_at_once_one_has_it_and_all_others_are_told_who(people: People) -> None:
    room = [people.sign_in(f"dispatcher-{number}", "dispatcher", agency=ROOM) for number in range(DISPATCHERS)]
    for _ in range(ALERTS):
        name, _ = await people.raise_alert()

        async def take(party: Party, name: str = name) -> str:
            try:
                return (await party("AcknowledgeAlert", name=name, requestId=new_id())).responses[0].operator
            except grpc.aio.AioRpcError as error:
                refusal = read_refusal(error)
                assert refusal[:2] == ("ABORTED", "ALREADY_ACKNOWLEDGED")
                assert refusal.metadata["agency"] == ROOM
                return f"not {refusal.metadata['operator']}"

        answers = await asyncio.gather(*(take(each) for each in room))
        winners = [each for each in answers if not each.startswith("not ")]
        assert len(winners) == 1
        assert answers.count(f"not {winners[0]}") == DISPATCHERS - 1
        timeline = (await people.sari("ListAlertEvents", name=name)).events
        assert [each.actor for each in timeline if each.type == "AlertAcknowledged"] == winners
