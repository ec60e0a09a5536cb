"""What is known of a number: an AML message moves its alert whichever comes first, an old position is none, and limits drop no SOS."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from moments import ROOM, START, after
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.model import texts as model
from alerts.model.alerts import Alert
from alerts.model.enums import CancelClaim, Channel, Routing, Source
from alerts.model.tables import keys, log
from alerts.model.texts import Number, NumberAlert, Sighting
from alerts.model.timeline import Message, Position
from alerts.operations import texts as operations
from alerts.operations.alerts import raise_alert
from alerts.operations.texts import Effect, Receipt, Text
from alerts.routing import Route, Router
from alerts.settings import Settings
from alerts.store import alerts as alert_store
from alerts.wire import alerts as alert_wire
from alerts.wire import texts as wire
from chassis.clock import new_uuid
from chassis.database import Database, open_database
from chassis.testing import free_port
from siaga.alerts.v1.alert_pb2 import Alert as AlertMessage
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest

MINE, OTHER = b"a hash", b"another hash"
HERE, THERE = (-6.1754, 106.8272), (-6.9, 107.6)
THERE_ROUTE = Route("areas/32", "agencies/there", Routing.AREA)


class OneArea(Router):
    """Everything near THERE is another city's."""

    def route(self, latitude: float | None, longitude: float | None, avoid: str = "") -> Route:
        return THERE_ROUTE if (latitude, longitude) == THERE else Route("", ROOM, Routing.DEFAULT)


class Numbers:
    """The operations, at hours of a day."""

    def __init__(self, database: Database, router: Router) -> None:
        self.database, self.router = database, router

    async def text(self, content: str, time: datetime, at: tuple[float, float] | None = None, number: bytes = MINE, **more: Any) -> Receipt:
        said: dict[str, Any] = {
            "seen": see(at, time, Source.SMS) if at else None,
            "distress": content.startswith("SOS"),
            "urgent": False,
            "cancel": content == "BATAL",
            "kept": content != "BATAL",
            "key": "",
        }
        text = Text(number=number, content=content, now=time, **(said | more))
        describe = partial(wire.to_columns, note=content, phone="+628", token_hash=new_uuid().encode(), now=time)
        return await self.database.write(partial(operations.receive_text, text=text, router=self.router, describe=describe))

    async def aml(
        self, at: tuple[float, float], time: datetime, fix_time: datetime | None = None, number: bytes = MINE, key: str = ""
    ) -> Receipt:
        seen = see(at, fix_time or time, Source.AML)
        return await self.database.write(partial(operations.receive_aml, number=number, key=key, seen=seen, now=time, router=self.router))

    async def call(
        self, time: datetime, number: bytes = MINE, channel: Channel = Channel.VOICE, at: tuple[float, float] | None = None
    ) -> str:
        """A call that a dispatcher has written down."""
        request = RaiseAlertRequest(channel=AlertMessage.Channel.Name(channel))
        if at:
            request.location.point.latitude, request.location.point.longitude = at
        columns, response = alert_wire.to_columns(
            request, f"alerts/{new_uuid()}", "", "", new_uuid().encode(), Route("", ROOM, Routing.DEFAULT), time
        )
        change = partial(raise_alert, scope="", request_id="", alert=columns, response=response, due_time=time, operator="rina")
        operation = partial(operations.give_number, change=change, number=number, now=time, router=self.router, read=lambda _: number)
        return (await self.database.write(operation)).name

    async def get(self, name: str) -> Alert:
        found = await self.database.read(lambda session: alert_store.find_alert(session, name))
        assert found
        return found

    async def change(self, name: str, **columns: object) -> None:
        def operation(session: Session) -> None:
            found = alert_store.find_alert(session, name, for_update=True)
            for column, value in columns.items():
                setattr(found, column, value)

        await self.database.write(operation)

    async def list_rows(self, table: type[Any]) -> list[Any]:
        return list(await self.database.read(lambda session: session.scalars(select(table)).all()))

    async def list_events(self, name: str) -> list[str]:
        return [each.type for each in await self.database.read(lambda session: log.timeline(session, name, 4, 0, 100))]


def see(at: tuple[float, float], time: datetime, source: Source) -> Sighting:
    return Sighting(*at, 20.0 if source is Source.AML else None, time, source)


def whereabouts(alert: Alert) -> tuple[float | None, float | None, int]:
    return alert.latitude, alert.longitude, alert.location_source


@pytest.fixture
async def numbers(settings: Settings, tmp_path: Path) -> AsyncIterator[Numbers]:
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        await database.write(lambda session: keys.unlock(session, b"k" * 32))
        yield Numbers(database, OneArea(f"127.0.0.1:{free_port()}", tmp_path / "none", ROOM))


class TestAml:
    async def test_after_the_text_it_moves_the_alert(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        assert await numbers.aml(HERE, after(seconds=20)) == Receipt(Effect.TRACKED, raised.alert)
        alert = await numbers.get(raised.alert)
        assert whereabouts(alert) == (*HERE, Source.AML)
        assert (alert.accuracy_meters, alert.fix_time) == (20.0, after(seconds=20))
        assert (await numbers.list_events(raised.alert))[-1] == "AlertTracked"

    async def test_before_the_text_it_is_where_the_alert_is_raised_and_routed(self, numbers: Numbers) -> None:
        assert await numbers.aml(THERE, START) == Receipt(Effect.KEPT)
        raised = await numbers.text("SOS", after(hours=23))
        alert = await numbers.get(raised.alert)
        assert whereabouts(alert) == (*THERE, Source.AML)
        # How old it is stands beside it.
        assert (alert.fix_time, alert.accuracy_meters) == (START, 20.0)
        assert (alert.routing, alert.area, alert.agency) == (Routing.AREA, "areas/32", "agencies/there")

    async def test_a_position_in_the_text_routes_before_one_that_was_known(self, numbers: Numbers) -> None:
        await numbers.aml(THERE, START)
        raised = await numbers.text("SOS", after(minutes=1), HERE)
        alert = await numbers.get(raised.alert)
        assert (whereabouts(alert), alert.agency) == ((*HERE, Source.SMS), ROOM)

    async def test_a_newer_one_than_the_texts_is_the_live_one_and_both_are_kept(self, numbers: Numbers) -> None:
        await numbers.aml(THERE, START, after(seconds=30))
        raised = await numbers.text("SOS", after(seconds=10), HERE)
        alert = await numbers.get(raised.alert)
        assert (whereabouts(alert), alert.agency) == ((*THERE, Source.AML), ROOM)
        assert [(each.latitude, each.longitude) for each in await numbers.list_rows(Position)] == [HERE]

    async def test_an_older_one_than_the_texts_never_moves_it_back(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", after(minutes=1), HERE)
        assert (await numbers.aml(THERE, after(minutes=2), START)).effect is Effect.TRACKED
        assert whereabouts(await numbers.get(raised.alert)) == (*HERE, Source.SMS)
        assert [(each.latitude, each.longitude) for each in await numbers.list_rows(Position)] == [THERE]

    async def test_a_day_later_it_is_none(self, numbers: Numbers) -> None:
        await numbers.aml(THERE, START)
        raised = await numbers.text("SOS", after(hours=24))
        alert = await numbers.get(raised.alert)
        assert (whereabouts(alert), alert.routing) == ((None, None, 0), Routing.DEFAULT)

    async def test_one_that_is_a_day_old_when_it_comes_is_none(self, numbers: Numbers) -> None:
        await numbers.aml(THERE, START, START - timedelta(days=2))
        assert (await numbers.get((await numbers.text("SOS", START)).alert)).latitude is None

    async def test_a_text_of_an_old_position_is_raised_there(self, numbers: Numbers) -> None:
        seen = see(HERE, START - timedelta(days=3), Source.SMS)
        raised = await numbers.text("SOS", START, seen=seen)
        assert whereabouts(await numbers.get(raised.alert)) == (*HERE, Source.SMS)

    async def test_after_the_call_it_moves_its_alert(self, numbers: Numbers) -> None:
        call = await numbers.call(START)
        assert await numbers.aml(HERE, after(minutes=29)) == Receipt(Effect.TRACKED, call)
        assert whereabouts(await numbers.get(call)) == (*HERE, Source.AML)

    async def test_before_the_call_it_moves_its_alert_once_that_is_written_down(self, numbers: Numbers) -> None:
        await numbers.aml(HERE, START)
        call = await numbers.call(after(minutes=29))
        assert whereabouts(await numbers.get(call)) == (*HERE, Source.AML)
        assert await numbers.list_events(call) == ["AlertRaised", "AlertRouted", "AlertTracked"]

    async def test_half_an_hour_before_the_call_it_belongs_to_another_one(self, numbers: Numbers) -> None:
        await numbers.aml(HERE, START)
        assert (await numbers.get(await numbers.call(after(minutes=30)))).latitude is None

    async def test_half_an_hour_after_the_call_it_is_kept_until_the_number_is_heard_of(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        assert await numbers.aml(HERE, after(minutes=31)) == Receipt(Effect.KEPT)
        assert (await numbers.get(raised.alert)).latitude is None
        assert await numbers.text("masih di sini", after(minutes=40)) == Receipt(Effect.ADDED, raised.alert)
        assert whereabouts(await numbers.get(raised.alert)) == (*HERE, Source.AML)

    async def test_a_call_and_a_text_of_one_handset_are_both_moved(self, numbers: Numbers) -> None:
        call, raised = await numbers.call(START), await numbers.text("SOS", after(seconds=5))
        assert await numbers.aml(HERE, after(seconds=20)) == Receipt(Effect.TRACKED, raised.alert)
        for name in (call, raised.alert):
            assert whereabouts(await numbers.get(name)) == (*HERE, Source.AML)

    async def test_one_of_another_handset_moves_nothing(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        assert await numbers.aml(HERE, after(seconds=5), number=OTHER) == Receipt(Effect.KEPT)
        assert (await numbers.get(raised.alert)).latitude is None
        other = await numbers.text("SOS", after(seconds=10), number=OTHER)
        assert whereabouts(await numbers.get(other.alert)) == (*HERE, Source.AML)

    async def test_it_moves_a_cancelled_alert_for_two_hours_and_no_closed_one(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        await numbers.text("BATAL", after(seconds=5))
        assert (await numbers.aml(HERE, after(minutes=5))).effect is Effect.TRACKED
        await numbers.change(raised.alert, close_time=after(minutes=6))
        assert (await numbers.aml(THERE, after(minutes=7))).effect is Effect.KEPT

    async def test_the_same_message_again_changes_nothing(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        first = await numbers.aml(HERE, after(seconds=5), key="aml 1")
        again = await numbers.aml(THERE, after(seconds=6), key="aml 1")
        assert (first, again) == (Receipt(Effect.TRACKED, raised.alert), Receipt(Effect.REPEATED, raised.alert))
        assert (await numbers.list_events(raised.alert)).count("AlertTracked") == 1


class TestSeveralAlerts:
    async def test_a_text_belongs_to_the_sms_before_the_call(self, numbers: Numbers) -> None:
        call, raised = await numbers.call(START), await numbers.text("SOS", after(seconds=5))
        await numbers.call(after(seconds=10))
        assert (await numbers.text("di sini", after(minutes=1))).alert == raised.alert
        await numbers.change(raised.alert, close_time=after(minutes=2))
        assert (await numbers.text("di sini", after(minutes=3))).alert != call

    async def test_a_text_that_comes_two_hours_after_the_cancel_is_passed_over(self, numbers: Numbers) -> None:
        raised = await numbers.text("SOS", START)
        assert await numbers.text("BATAL", after(minutes=1)) == Receipt(Effect.CANCELLED, raised.alert)
        assert (await numbers.get(raised.alert)).cancel_claim == CancelClaim.UNVERIFIED
        assert (await numbers.text("di sini", after(hours=2))).effect is Effect.ADDED
        assert (await numbers.text("di sini", after(hours=3))).effect is Effect.PASSED_OVER

    async def test_a_call_whose_number_was_corrected_hears_the_new_one_alone(self, numbers: Numbers) -> None:
        call = await numbers.call(START)

        def correct(session: Session) -> Alert:
            found = alert_store.find_alert(session, call, for_update=True)
            assert found
            return found

        await numbers.aml(THERE, after(seconds=5), number=OTHER)
        give = partial(
            operations.give_number, change=correct, number=OTHER, now=after(seconds=10), router=numbers.router, read=lambda _: OTHER
        )
        assert whereabouts(await numbers.database.write(give)) == (*THERE, Source.AML)
        assert (await numbers.text("di sini", after(seconds=20))).effect is Effect.PASSED_OVER
        assert (await numbers.text("di sini", after(seconds=20), number=OTHER)).alert == call


class TestLimits:
    async def raise_and_cancel(self, numbers: Numbers, times: int, begin: datetime = START) -> list[str]:
        found: list[str] = []
        for n in range(times):
            found.append((await numbers.text("SOS", begin + timedelta(minutes=n))).alert)
            await numbers.text("BATAL", begin + timedelta(minutes=n, seconds=30))
        return found

    async def test_above_its_limit_a_number_joins_what_it_has_called_off(self, numbers: Numbers) -> None:
        assert len(set(await self.raise_and_cancel(numbers, 10))) == 10
        joined = await numbers.text("SOS lagi", after(minutes=20))
        assert joined.effect is Effect.ADDED
        assert [each.text for each in await numbers.list_rows(Message)] == ["SOS lagi"]

    async def test_the_limit_is_a_numbers_own_and_ends_with_its_hour(self, numbers: Numbers) -> None:
        await self.raise_and_cancel(numbers, 10)
        assert (await numbers.text("SOS", after(minutes=20), number=OTHER)).effect is Effect.RAISED
        assert (await numbers.text("SOS", after(minutes=59))).effect is Effect.ADDED
        assert (await numbers.text("SOS", after(minutes=60))).effect is Effect.RAISED

    async def test_no_limit_drops_an_sos_that_would_be_the_only_one(self, numbers: Numbers) -> None:
        names = await self.raise_and_cancel(numbers, 10)
        for name in names:
            await numbers.change(name, close_time=after(minutes=15))
        assert (await numbers.text("SOS", after(minutes=20))).effect is Effect.RAISED

    async def test_without_the_limit_every_one_would_raise(self, numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
        """The mutant of the tests above."""
        monkeypatch.setattr(model, "_MAX_RAISED", 10_000)
        await self.raise_and_cancel(numbers, 10)
        assert (await numbers.text("SOS", after(minutes=20))).effect is Effect.RAISED

    async def test_texts_above_a_numbers_limit_are_not_kept_and_go_on_moving_its_alert(
        self, numbers: Numbers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(model, "_MAX_ADDED", 2)
        raised = await numbers.text("SOS", START)
        for n in range(4):
            added = await numbers.text(f"x{n}", after(minutes=n), THERE if n == 3 else None)
            assert added == Receipt(Effect.ADDED if n < 2 else Effect.LIMITED, raised.alert)
        assert whereabouts(await numbers.get(raised.alert)) == (*THERE, Source.SMS)
        # Ten times as many call for help, and another number has a limit of its own.
        assert (await numbers.text("SOS lagi", after(minutes=5))).effect is Effect.ADDED
        assert (await numbers.text("api", after(minutes=6), urgent=True)).effect is Effect.ADDED
        await numbers.text("SOS", after(minutes=7), number=OTHER)
        assert (await numbers.text("x", after(minutes=8), number=OTHER)).effect is Effect.ADDED
        assert await numbers.text("BATAL", after(minutes=9)) == Receipt(Effect.CANCELLED, raised.alert)
        assert (await numbers.text("x", after(minutes=70))).effect is Effect.ADDED
        texts = ["x0", "x1", "SOS lagi", "api", "x", "x"]
        assert sorted(each.text for each in await numbers.list_rows(Message)) == sorted(texts)

    async def test_a_flood_of_distress_ends_as_well(self, numbers: Numbers, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(model, "_MAX_ADDED", 1)
        effects = [(await numbers.text("SOS", after(seconds=n))).effect for n in range(13)]
        assert effects == [Effect.RAISED, *[Effect.ADDED] * 10, *[Effect.LIMITED] * 2]


class TestWhatIsKept:
    async def test_of_a_text_that_is_passed_over_nothing_is_but_the_hash_of_its_id(self, numbers: Numbers) -> None:
        assert await numbers.text("halo", START, HERE, key="text 1") == Receipt(Effect.PASSED_OVER)
        for table in (Number, NumberAlert, Message, Position):
            assert await numbers.list_rows(table) == []
        table = Alert.metadata.tables["request_keys"]
        rows = await numbers.database.read(lambda session: session.execute(select(table.c["key", "resource"])).all())
        # One is the check of the secret.
        assert sorted((len(key), resource) for key, resource in rows) == [(len(b"secret"), ""), (32, "")]
        assert await numbers.text("halo", START, HERE, key="text 1") == Receipt(Effect.REPEATED)

    async def test_of_a_number_that_is_known_a_text_that_is_passed_over_takes_nothing(self, numbers: Numbers) -> None:
        await numbers.aml(THERE, START)
        await numbers.text("halo", after(minutes=1), HERE)
        (row,) = await numbers.list_rows(Number)
        assert (row.latitude, row.longitude) == THERE

    async def test_what_has_expired_is_swept(self, numbers: Numbers) -> None:
        await numbers.aml(HERE, START)
        await numbers.aml(HERE, after(hours=20), number=OTHER)
        raised = await numbers.text("SOS", after(hours=21), number=OTHER)
        await numbers.database.write(partial(operations.sweep, now=after(hours=23, minutes=59)))
        assert len(await numbers.list_rows(Number)) == 2
        await numbers.database.write(partial(operations.sweep, now=after(hours=24)))
        (row,) = await numbers.list_rows(Number)
        assert row.hash == OTHER
        # Its position is older than it was last heard of.
        await numbers.database.write(partial(operations.sweep, now=after(hours=44, minutes=1)))
        assert [(each.latitude, each.fix_time) for each in await numbers.list_rows(Number)] == [(None, None)]
        assert len(await numbers.list_rows(NumberAlert)) == 1
        await numbers.change(raised.alert, close_time=after(hours=44))
        await numbers.database.write(partial(operations.sweep, now=after(hours=44, minutes=2)))
        assert await numbers.list_rows(NumberAlert) == []
