"""The questions about webhooks and what is swept of them, on both engines."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moments import ROOM, START, after, make_alert
from people import MONAS
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.deliveries import About, Attempt, Delivery, DeliveryState, Result, make_delivery
from alerts.model.enums import CancelClaim
from alerts.model.tables import keys, log
from alerts.model.webhooks import Webhook, WebhookSecret, WebhookState
from alerts.operations import callers
from alerts.operations import deliveries as operations
from alerts.settings import Settings
from alerts.store import alerts as alert_store
from alerts.store import webhooks as store
from chassis.clock import new_uuid, now
from chassis.database import Database, open_database
from chassis.events import Event

NAME = "webhooks/00000000-0000-7000-8000-000000000001"
OTHER = "webhooks/00000000-0000-7000-8000-000000000002"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        await database.write(lambda session: keys.unlock(session, b"s" * 32))
        yield database


def make_webhook(name: str = NAME, **columns: Any) -> Webhook:
    usual = {"agency": ROOM, "url": "https://hooks.test/", "events": [], "include_drills": False, "description": "", "position": 0}
    usual |= {"state": WebhookState.ENABLED, "create_time": START, "update_time": START}
    return Webhook(name=name, **usual | columns)


async def keep(database: Database, *rows: Any) -> None:
    def operation(session: Session) -> None:
        for row in rows:
            session.add(row)
            session.flush()

    await database.write(operation)


async def keep_webhook(database: Database, name: str = NAME, **columns: Any) -> None:
    await keep(database, make_webhook(name, **columns), WebhookSecret.make(new_uuid(), name))


def make(id: str = "", webhook: str = NAME, event: int = 1, time: datetime = START, alert: str = "alerts/1") -> Delivery:  # noqa: A002
    return make_delivery(id or new_uuid(), webhook, Event(event, "AlertRaised", alert, 1, "", time, {"area": "areas/31"}, ""), time)


def old_id(time: datetime) -> str:
    """As if it had been made then."""
    return f"{store.first_id(time)}-7{new_uuid()[15:]}"


async def count(database: Database, kind: type[Any]) -> int:
    return await database.read(lambda session: session.scalars(select(func.count()).select_from(kind)).one())


async def raise_alert(database: Database, **request: Any) -> Alert:
    alert = make_alert(**request)

    def operation(session: Session) -> None:
        session.add(alert)
        events.alert_raised(session, alert, "")

    await database.write(operation)
    return alert


async def read(database: Database) -> operations.Reading | None:
    """None where nothing has happened."""
    reading = await database.read(lambda session: operations.read_log(session, now()))
    return reading if reading.reached > reading.begun else None


async def queue(database: Database, reading: operations.Reading) -> bool:
    return await database.write(lambda session: operations.queue_events(session, reading))


async def advance(database: Database, sender: str = "one", time: datetime = START, **attempts: Attempt) -> operations.Round | None:
    told = {each: (attempt, 1.0) for each, attempt in attempts.items()}
    return await database.write(lambda session: operations.advance_webhook(session, NAME, sender, told, time))


class TestReadingTheLog:
    async def test_each_webhook_gets_a_row_for_each_of_its_events(self, database: Database) -> None:
        await keep_webhook(database)
        await keep_webhook(database, OTHER, agency="agencies/bandung-112")
        alerts = [await raise_alert(database) for _ in range(3)]
        reading = await read(database)
        assert reading
        assert [(each.webhook, each.subject) for each in reading.deliveries] == [(NAME, alert.name) for alert in alerts]
        assert [each.id for each in reading.deliveries] == sorted(each.id for each in reading.deliveries)
        assert await queue(database, reading)
        assert await count(database, Delivery) == 3
        assert await read(database) is None

    async def test_what_two_have_read_one_keeps(self, database: Database) -> None:
        await keep_webhook(database)
        await raise_alert(database)
        one, two = await read(database), await read(database)
        assert one and two
        assert await queue(database, one)
        assert not await queue(database, two)
        assert await count(database, Delivery) == 1

    async def test_of_what_was_erased_meanwhile_nothing_personal_stays(self, database: Database) -> None:
        await keep_webhook(database)
        alert = await raise_alert(database, location={"point": MONAS})
        before = await read(database)
        assert before and "cell" in before.deliveries[0].data

        def erase(session: Session) -> None:
            gone = alert_store.find_alert(session, alert.name, for_update=True)
            assert gone and gone.cancel(START, CancelClaim.VERIFIED) and gone.erase(START)
            events.alert_erased(session, gone)
            callers.erase_content(session, gone)

        await database.write(erase)
        await queue(database, before)
        # Nor is it told as long as it stands there.
        due = await advance(database, time=now())
        assert due and [about for _, about in due.deliveries] == [None]
        after = await read(database)
        assert after
        await queue(database, after)
        told = await database.read(lambda session: {each.type: each.data for each in session.scalars(select(Delivery))})
        assert told["AlertRaised"].keys() == before.deliveries[0].data.keys() - {"cell"}

    async def test_a_second_row_for_an_event_is_impossible(self, database: Database) -> None:
        """Even where the cursor were moved without a look at where it stands: the mutant of the test above."""
        await keep_webhook(database)
        await raise_alert(database)
        one, two = await read(database), await read(database)
        assert one and two
        await queue(database, one)
        with pytest.raises(Exception, match=r"(?i)unique"):
            await database.write(lambda session: store.add_deliveries(session, two.deliveries))

    async def test_a_cursor_moves_with_its_deliveries_or_not_at_all(self, database: Database) -> None:
        await keep_webhook(database)
        await raise_alert(database)
        reading = await read(database)
        assert reading

        def die(session: Session) -> None:
            operations.queue_events(session, reading)
            raise RuntimeError("the power is gone")

        with pytest.raises(RuntimeError):
            await database.write(die)
        assert await count(database, Delivery) == 0
        assert await queue(database, reading)
        assert await count(database, Delivery) == 1

    async def test_without_a_webhook_the_cursor_stays_until_it_is_far_behind(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await raise_alert(database)
        # The log of a database that other tests had before does not begin at 0; the cursor does.
        monkeypatch.setattr("alerts.operations.deliveries._IDLE_EVENTS", await database.read(log.position) + 1)
        assert await read(database) is None
        await raise_alert(database)
        reading = await read(database)
        assert reading
        assert (reading.begun, list(reading.deliveries)) == (0, [])
        await queue(database, reading)
        assert await read(database) is None

    async def test_a_new_webhook_costs_no_look_at_the_past(self, database: Database) -> None:
        for _ in range(3):
            await raise_alert(database)
        position = await database.read(log.position)
        await keep_webhook(database, position=position)
        assert await read(database) is None
        alert = await raise_alert(database)
        reading = await read(database)
        assert reading
        assert [each.subject for each in reading.deliveries] == [alert.name]

    async def test_what_is_no_alerts_event_is_passed_by(self, database: Database) -> None:
        await keep_webhook(database)
        await database.write(lambda session: log.append(session, "SomethingElse", "others/1", 1))
        reading = await read(database)
        assert reading
        assert (list(reading.deliveries), reading.reached) == ([], await database.read(log.position))


class TestSending:
    async def test_a_round_is_what_is_due_the_longest_first(self, database: Database) -> None:
        alert = await raise_alert(database)
        await keep_webhook(database)
        rows = [make(event=number, time=after(seconds=-number), alert=alert.name) for number in range(1, 11)]
        await keep(database, *rows, make(event=99, time=after(seconds=1)))
        due = await advance(database)
        assert due
        assert [delivery.event for delivery, _ in due.deliveries] == [10, 9, 8, 7, 6, 5, 4, 3]
        assert {about for _, about in due.deliveries} == {About(drill=False, restricted=False)}
        assert [len(each.key) for each in due.secrets] == [32]
        assert await advance(database, "two") is None

    async def test_what_came_of_it_is_recorded_and_the_rest_taken(self, database: Database) -> None:
        await keep_webhook(database)
        one, two = make(event=1), make(event=2)
        await keep(database, one, two)
        await advance(database)
        failed = Attempt(START, Result.STATUS, 500, 0.5)
        assert await advance(database, time=after(seconds=1), **{one.id: Attempt(START, Result.TAKEN, 200, 0.1), two.id: failed}) is None
        states = await database.read(lambda session: [store.find_delivery(session, each.id) for each in (one, two)])
        assert [each.state if each else 0 for each in states] == [DeliveryState.DELIVERED, DeliveryState.PENDING]
        due = await advance(database, "two", after(seconds=4))
        assert due
        assert [delivery.id for delivery, _ in due.deliveries] == [two.id]

    async def test_one_that_fails_is_probed_with_one_and_on_success_the_others_hurry(self, database: Database) -> None:
        await keep_webhook(database, failures=5)
        rows = [make(event=number) for number in range(1, 5)]
        for row in rows[2:]:
            row.due_time = after(hours=1)
        await keep(database, *rows)
        due = await advance(database)
        assert due
        assert len(due.deliveries) == 1
        due = await advance(database, time=after(seconds=1), **{due.deliveries[0][0].id: Attempt(START, Result.TAKEN, 200, 0.1)})
        assert due
        assert len(due.deliveries) == 3

    async def test_of_several_that_end_together_the_last_tells_whether_it_takes_anything(self, database: Database) -> None:
        await keep_webhook(database, failures=4)
        rows = [make(event=number) for number in range(1, 3)]
        await keep(database, *rows)
        failed, taken = Attempt(START, Result.TIMED_OUT, 0, 10.0), Attempt(START, Result.TAKEN, 200, 0.1)
        await advance(database, **{rows[0].id: failed, rows[1].id: taken})
        webhook = await database.read(lambda session: store.find_webhook(session, NAME))
        assert webhook
        assert webhook.failures == 1

    async def test_a_disabled_removed_or_spared_one_has_no_round(self, database: Database) -> None:
        for columns in ({"state": WebhookState.DISABLED}, {"delete_time": START}, {"blocked_until": after(seconds=1)}):
            name = f"webhooks/{new_uuid()}"
            await keep_webhook(database, name, **columns)
            await keep(database, make(webhook=name))
            assert await database.write(lambda session, name=name: operations.advance_webhook(session, name, "one", {}, START)) is None
        assert await database.read(lambda session: store.find_due_webhooks(session, "one", START)) == []

    async def test_only_those_with_something_due_are_found(self, database: Database) -> None:
        await keep_webhook(database)
        await keep_webhook(database, OTHER, sender="two", sender_until=after(seconds=10))
        await keep(database, make(), make(webhook=OTHER))

        async def find(sender: str, time: datetime) -> list[str]:
            return sorted(await database.read(lambda session: store.find_due_webhooks(session, sender, time)))

        assert await find("one", after(seconds=-1)) == []
        assert await find("one", START) == [NAME]
        assert await find("two", START) == [NAME, OTHER]
        assert await find("one", after(seconds=10)) == [NAME, OTHER]
        assert await find("one", after(hours=24)) == []

    async def test_whoever_ends_gives_its_webhooks_back(self, database: Database) -> None:
        await keep_webhook(database)
        await keep(database, make())
        assert await advance(database)
        await database.write(lambda session: operations.release_webhooks(session, "one"))
        assert await advance(database, "two")


class TestSweeping:
    async def sweep(self, database: Database, time: datetime) -> None:
        while await database.write(lambda session: operations.sweep(session, time)):
            pass

    async def test_what_nobody_could_try_within_a_day_is_given_up(self, database: Database) -> None:
        await keep_webhook(database)
        fresh = now()
        row = make(time=fresh)
        await keep(database, row)
        await self.sweep(database, fresh + timedelta(hours=23))
        assert (await self.find(database, row.id)).state == DeliveryState.PENDING
        await self.sweep(database, fresh + timedelta(hours=24))
        kept = await self.find(database, row.id)
        assert (kept.state, kept.due_time) == (DeliveryState.GIVEN_UP, None)

    async def test_what_is_queued_anew_while_it_is_waited_for_is_not_given_up(self, database: Database) -> None:
        await keep_webhook(database)
        row, begun = make(time=now()), threading.Event()
        await keep(database, row)
        late = row.give_up_time

        def queue(session: Session) -> None:
            found = store.find_deliveries(session, [row.id])[row.id]
            begun.set()
            if session.connection().dialect.name == "postgresql":
                session.execute(select(func.pg_sleep(0.5)))
            found.queue(late)

        queueing = asyncio.create_task(database.write(queue))
        await asyncio.to_thread(begun.wait)
        await self.sweep(database, late)
        await queueing
        kept = await self.find(database, row.id)
        assert (kept.state, kept.due_time) == (DeliveryState.PENDING, late)

    async def find(self, database: Database, id: str) -> Delivery:  # noqa: A002
        found = await database.read(lambda session: store.find_delivery(session, id))
        assert found
        return found

    async def test_the_log_is_kept_for_thirty_days(self, database: Database) -> None:
        await keep_webhook(database)
        time = now()
        old = [make(old_id(time - timedelta(days=30, minutes=number)), event=number) for number in range(1, 4)]
        young = make(old_id(time - timedelta(days=29, hours=23)), event=9)
        await keep(database, *old, young)
        await self.sweep(database, time)
        assert await count(database, Delivery) == 1
        await self.find(database, young.id)

    async def test_a_removed_webhook_goes_with_all_it_had(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("alerts.operations.deliveries._SWEPT_AT_ONCE", 2)
        await keep(database, make_webhook(delete_time=START))
        await keep_webhook(database, OTHER)
        time = now()
        await keep(database, *(make(event=number, time=time) for number in range(1, 6)), make(webhook=OTHER, time=time))
        await self.sweep(database, time)
        assert await count(database, Webhook) == 1
        assert await count(database, Delivery) == 1


async def test_redelivery_since_a_time_goes_on_where_it_ended(database: Database) -> None:
    await keep_webhook(database)
    rows = [make(old_id(after(seconds=number)), event=number, time=after(seconds=number)) for number in range(1, 8)]
    await keep(database, *rows)

    def ask(session: Session) -> list[int]:
        found = store.lock_deliveries_since(session, NAME, after(seconds=3), [], 3)
        return [each.event or 0 for each in found]

    assert await database.write(ask) == [3, 4, 5]


async def test_a_sealed_secret_opens_in_its_own_row_alone(database: Database) -> None:
    await keep_webhook(database)
    await keep_webhook(database, OTHER)
    one, other = await database.read(lambda session: [store.find_secrets(session, name, START)[0] for name in (NAME, OTHER)])
    assert len({one.key, other.key}) == 2
    one.sealed = other.sealed
    with pytest.raises(ValueError, match="not sealed for this place"):
        _ = one.key


@pytest.mark.parametrize(
    "question",
    [
        "SELECT name FROM webhooks WHERE EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook = name AND due_time <= '2026-01-01')",
        "SELECT * FROM webhook_deliveries WHERE webhook = 'x' AND due_time <= '2026-01-01' ORDER BY due_time, id LIMIT 8",
        "SELECT * FROM webhook_deliveries WHERE webhook = 'x' AND id < 'y' ORDER BY id DESC LIMIT 51",
        "SELECT id FROM webhook_deliveries WHERE id < 'y' ORDER BY id LIMIT 500",
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_question_about_many_deliveries_goes_by_an_index(database: Database, question: str) -> None:
    plan = await database.read(lambda session: session.execute(text(f"EXPLAIN QUERY PLAN {question}")).all())
    assert not any("SCAN webhook_deliveries" in row[3] and "INDEX" not in row[3] for row in plan)
    assert not any("TEMP B-TREE" in row[3] for row in plan)
