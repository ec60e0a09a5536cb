"""Watches of public warnings: what is in force, then every change, each once, and the end of each by its time."""

import asyncio
from datetime import UTC
from typing import Any

import pytest
from people import ROOM, People, refusal_of, run_service
from sqlalchemy import delete, select
from warned import CITY, EAST, FAR, WEST, Readers, WarningWatch, in_hours, info, make_snapshot

from alerts.model import Model
from alerts.operations import clocks
from alerts.settings import Settings
from alerts.store import warnings as store
from chassis.clock import now
from chassis.database import open_database
from chassis.testing import Issuer

# Half of the places that the tests' service has.
PLACES = 10
SOON = 3.0


async def begin(readers: Readers, **fields: Any) -> WarningWatch:
    """A watch from now on, of somebody without a token."""
    return await readers.nobody.watch(cursor="now", **fields).begin()


async def update(readers: Readers, name: str, **values: Any) -> None:
    await readers.sari("UpdateWarning", warning={"name": name, "info": values})


class TestAWatch:
    async def test_it_begins_with_what_is_in_force_and_goes_on_with_what_happens(self, readers: Readers) -> None:
        old = (await readers.sari.issue()).name
        ended = (await readers.sari.issue()).name
        await readers.sari("CancelWarning", name=ended)
        await readers.sari.issue(info=info(area={"areas": [CITY]}))
        watching = readers.nobody.watch()
        assert await watching.read_snapshot() == [old]
        new = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", new)
        await update(readers, old, contact="112")
        assert await watching.read() == ("WarningUpdated", old)
        await readers.sari("CancelWarning", name=new)
        assert [await watching.read() for _ in range(2)] == [("WarningCancelled", new), ("left", new)]

    async def test_it_shows_what_everybody_may_read(self, readers: Readers) -> None:
        watching = readers.sari.watch()
        await watching.read_snapshot()
        issued = await readers.sari.issue()
        message = await watching.read_message()
        assert message.event.warning == await readers.nobody("GetWarning", name=issued.name)
        assert message.event.HasField("create_time")

    async def test_exercises_are_for_those_who_ask_for_them(self, readers: Readers) -> None:
        drill = (await readers.sari.issue(status="EXERCISE")).name
        without, including = readers.nobody.watch(), readers.nobody.watch(includeExercises=True)
        assert (await without.read_snapshot(), await including.read_snapshot()) == ([], [drill])
        await update(readers, drill, contact="112")
        real = (await readers.sari.issue()).name
        assert await including.read() == ("WarningUpdated", drill)
        assert await without.read() == ("WarningIssued", real)

    async def test_of_an_area_it_shows_what_reaches_it_and_says_when_it_no_longer_does(self, readers: Readers) -> None:
        watching = await begin(readers, area=WEST)
        here = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", here)
        there = (await readers.sari.issue(info=info(area={"areas": [FAR]}))).name
        # Whoever watches from now on may have had it from a list.
        assert await watching.read() == ("left", there)
        await update(readers, there, area={"areas": [EAST, WEST]})
        assert await watching.read() == ("WarningUpdated", there)
        await update(readers, here, area={"areas": [EAST]})
        assert await watching.read() == ("left", here)
        await update(readers, there, contact="112")
        assert await watching.read() == ("WarningUpdated", there)

    async def test_what_never_reached_the_area_is_not_spoken_of(self, readers: Readers) -> None:
        watching = readers.nobody.watch(area=WEST)
        assert await watching.read_snapshot() == []
        there = (await readers.sari.issue(info=info(area={"areas": [FAR]}))).name
        await readers.sari("CancelWarning", name=there)
        here = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", here)

    async def test_an_agencys_watch_of_alerts_and_one_of_warnings_do_not_see_each_others(self, readers: Readers) -> None:
        """Both follow one log; that neither breaks on what the other shows is the point."""
        people = People(readers.channel, readers.issuer)
        of_alerts = await people.rina.watch("WatchAlerts", cursor="now").begin()
        of_warnings = await begin(readers)
        name = (await readers.sari.issue()).name
        assert await of_warnings.read() == ("WarningIssued", name)
        await people.raise_alert()
        assert [(await of_alerts.read_event())[0] for _ in range(2)] == ["AlertRaised", "AlertRouted"]
        await readers.sari("CancelWarning", name=name)
        assert [await of_warnings.read() for _ in range(2)] == [("WarningCancelled", name), ("left", name)]


class TestResuming:
    async def test_at_every_cursor_exactly_the_rest_follows(self, readers: Readers) -> None:
        watching = readers.nobody.watch()
        await watching.read_snapshot()
        cursors = [watching.cursor]
        names = [(await readers.sari.issue()).name for _ in range(2)]
        await update(readers, names[0], contact="112")
        expected = [*(("WarningIssued", name) for name in names), ("WarningUpdated", names[0])]
        for said in expected:
            assert await watching.read() == said
            cursors.append(watching.cursor)
        for position, cursor in enumerate(cursors):
            resumed = await readers.nobody.watch(cursor=cursor).begin()
            assert [await resumed.read() for _ in expected[position:]] == expected[position:]
        # What has ended meanwhile has left the view whenever it is spoken of, or a list from which it was taken would have it again.
        await readers.sari("CancelWarning", name=names[1])
        resumed = await readers.nobody.watch(cursor=cursors[1]).begin()
        told = [await resumed.read() for _ in range(5)]
        left = ("left", names[1])
        assert told == [("WarningIssued", names[1]), left, ("WarningUpdated", names[0]), ("WarningCancelled", names[1]), left]

    async def test_a_watch_goes_on_across_a_restart_and_hears_of_what_expired_meanwhile(self, settings: Settings, issuer: Issuer) -> None:
        settings.snapshot_file.write_bytes(make_snapshot().SerializeToString())
        async with run_service(settings) as channel:
            readers = Readers(channel, issuer)
            watching = readers.nobody.watch()
            await watching.read_snapshot()
            issued = await readers.sari.issue(info=info(expireTime=in_hours(SOON / 3600)))
            name = issued.name
            await watching.read()
        while now() < issued.info.expire_time.ToDatetime(UTC):
            await asyncio.sleep(0.05)
        async with run_service(settings) as channel:
            readers = Readers(channel, issuer)
            assert await readers.nobody.watch().read_snapshot() == []
            resumed = await readers.nobody.watch(cursor=watching.cursor).begin()
            assert [await resumed.read() for _ in range(2)] == [("WarningExpired", name), ("left", name)]

    async def test_a_cursor_of_another_question_is_refused(self, readers: Readers) -> None:
        people = People(readers.channel, readers.issuer)
        watching = readers.nobody.watch()
        await watching.read_snapshot()
        for fields in ({"area": WEST}, {"includeExercises": True}):
            refused = await refusal_of(readers.nobody.watch(cursor=watching.cursor, **fields).read())
            assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_CURSOR")
        refused = await refusal_of(people.rina.watch("WatchAlerts", cursor=watching.cursor).read())
        assert refused[:2] == ("INVALID_ARGUMENT", "INVALID_CURSOR")
        # Whoever watches the same goes on from it.
        assert await readers.dewi.watch(cursor=watching.cursor).begin()


class TestExpiry:
    async def test_it_is_told_once_and_at_its_time(self, readers: Readers) -> None:
        first, second = [(await readers.sari.issue(info=info(expireTime=in_hours(SOON / 3600)))).name for _ in range(2)]
        watching = readers.nobody.watch()
        assert await watching.read_snapshot() == [first, second]
        told = {await watching.read() for _ in range(4)}
        assert told == {(kind, name) for kind in ("WarningExpired", "left") for name in (first, second)}
        third = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", third)

    async def test_a_later_time_takes_the_place_of_the_earlier_one_and_a_cancel_of_both(self, readers: Readers) -> None:
        longer, cancelled, short = [(await readers.sari.issue(info=info(expireTime=in_hours(SOON / 3600)))).name for _ in range(3)]
        await update(readers, longer, expireTime=in_hours(1))
        await readers.sari("CancelWarning", name=cancelled)
        watching = await begin(readers)
        assert [await watching.read() for _ in range(2)] == [("WarningExpired", short), ("left", short)]
        new = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", new)
        assert sorted(await readers.nobody.list_names()) == [longer, new]

    async def test_what_was_never_sent_expires_in_silence(self, readers: Readers) -> None:
        pending = (await readers.sari.issue(info=info(area={"areas": [CITY]}, expireTime=in_hours(SOON / 3600)))).name
        short = (await readers.sari.issue(info=info(expireTime=in_hours((SOON + 1) / 3600)))).name
        watching = await begin(readers)
        assert await watching.read() == ("WarningExpired", short)
        assert await readers.sari.list_names(state=["EXPIRED"]) == [short]
        assert await readers.sari.list_names(state=["PENDING", "EXPIRED"]) == [short, pending]
        assert await readers.nobody.list_names(state=["EXPIRED"]) == [short]

    async def test_the_timer_is_what_tells_and_the_question_is_what_decides(
        self, readers: Readers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The mutant: a timer that tells nothing. Nobody is shown the warning any longer, and no watch hears of its end."""
        monkeypatch.setattr(clocks.events, "warning_expired", lambda *_: None)
        short = (await readers.sari.issue(info=info(expireTime=in_hours(SOON / 3600)))).name
        watching = readers.nobody.watch()
        assert await watching.read_snapshot() == [short]
        while await readers.nobody.list_names():
            await asyncio.sleep(0.05)
        new = (await readers.sari.issue()).name
        assert await watching.read() == ("WarningIssued", new)


async def test_what_expired_is_out_of_force_whether_or_not_a_timer_ran(settings: Settings, issuer: Issuer) -> None:
    settings.snapshot_file.write_bytes(make_snapshot().SerializeToString())
    async with run_service(settings) as channel:
        readers = Readers(channel, issuer)
        name = (await readers.sari.issue(info=info(expireTime=in_hours(SOON / 3600)))).name
    async with open_database(settings.database_url.get_secret_value(), lambda _: None, lambda: None) as database:
        timers = Model.metadata.tables["timers"]
        assert [row.kind for row in await database.read(lambda session: session.execute(select(timers)).all())] == ["expire"]
        await database.write(lambda session: session.execute(delete(timers)))
        warning = await database.read(lambda session: store.find_warning(session, name))
        assert warning is not None
        for time, in_force in ((warning.create_time, 1), (warning.expire_time, 0)):
            found = await database.read(lambda session, time=time: store.find_warnings_in_force(session, None, time, exercises=False))
            assert len(found) == in_force


async def test_watches_of_warnings_take_half_of_the_places_and_leave_the_rest_to_those_who_answer(readers: Readers) -> None:
    people = People(readers.channel, readers.issuer)
    watches = [await begin(readers) for _ in range(PLACES)]
    refused = await refusal_of(readers.nobody.watch().read())
    assert (refused[:2], bool(refused.retry_seconds)) == (("RESOURCE_EXHAUSTED", "OVERLOADED"), True)
    assert await people.rina.watch("WatchAlerts", cursor="now").begin()
    watches.pop().call.cancel()
    async with asyncio.timeout(5):
        while True:
            watching = readers.nobody.watch(cursor="now")
            try:
                await watching.begin()
                break
            except Exception:  # noqa: BLE001  # until the place is free
                pass


async def test_a_bad_token_is_refused_and_none_is_needed(readers: Readers) -> None:
    expired = readers.sign_in("sari", "supervisor", agency=ROOM, lifetime=-60)
    assert (await refusal_of(expired.watch().read()))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")
    short = readers.sign_in("dewi", "citizen", lifetime=2)
    watching = short.watch(cursor="now")
    await watching.begin()
    message = await watching.read_message()
    assert message.end.reason == message.end.TOKEN_EXPIRED
