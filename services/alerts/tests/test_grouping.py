"""What new alerts are found to be, many at a time: those that nobody has touched are not loaded, and it comes to the same."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from moments import START, after, change, keep, make_alert
from sqlalchemy.orm import Session

from alerts import grouping
from alerts.grouping import Grouper
from alerts.model.alerts import Alert
from alerts.model.enums import Grouping
from alerts.model.incidents import Doubt
from alerts.model.tables import log
from alerts.operations.grouping import assess_alerts
from alerts.routing import Router
from alerts.settings import Settings
from alerts.store import alerts as store
from alerts.store.incidents import find_first_waiting
from chassis.database import open_database
from chassis.errors import ServiceUnavailable

LOCATION = {"point": {"latitude": -6.1754, "longitude": 106.8272}}
Told = list[tuple[str, str]]


async def assess(settings: Settings, alerts: Sequence[Alert], touched: Alert, *, doubtful: bool) -> tuple[list[Alert], Told]:
    """The alerts after they were looked at, one of them changed before that, and what the log says of each."""
    router = Router("127.0.0.1:1", settings.snapshot_file, settings.default_agency)
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        await keep(database, *alerts)
        await change(database, touched, lambda alert: alert.touch(after(seconds=1), shown=True))
        assert await database.write(partial(assess_alerts, limit=100, hear=lambda _: doubtful, router=router)) == len(alerts)

        def read(session: Session) -> tuple[list[Alert], Told]:
            return list(store.find_alerts(session, [each.name for each in alerts])), [
                (event.resource, event.type) for event in log.after(session, 0, 100) if event.resource.startswith("alerts/")
            ]

        return await database.read(read)


async def test_what_is_found_is_the_same_whether_or_not_an_alert_was_touched(settings: Settings) -> None:
    made = [make_alert(kind="FIRE", location=LOCATION, now=after(seconds=number)) for number in range(3)]
    found, told = await assess(settings, made, made[1], doubtful=True)
    assert [each.doubts for each in found] == [[Doubt.SAME_WORDS]] * 3
    assert [each.grouping for each in found] == [Grouping.DONE] * 3
    assert [each.merged_into for each in found] == ["", made[0].name, made[0].name]
    assert len({each.incident for each in found}) == 1
    assert all(each.update_time > START and each.revision > 2 for each in found)
    assert sorted(told) == sorted((each.name, event) for each in made for event in ("AlertAssessed", "AlertMerged"))


async def test_of_what_is_no_news_only_the_history_is_kept(settings: Settings) -> None:
    made = [make_alert(kind="OTHER", now=after(seconds=number)) for number in range(3)]
    found, told = await assess(settings, made, made[1], doubtful=False)
    assert [(each.doubts, each.history) for each in found] == [([], {"alerts": 2, "pranks": 0, "false_alarms": 0})] * 3
    assert [each.revision for each in found] == [1, 2, 1]
    assert [each.update_time for each in found] == [made[0].update_time, after(seconds=1, microseconds=1), made[2].update_time]
    assert told == []


@pytest.mark.parametrize(
    ("held", "too_many", "sizes"),
    [
        (60.0, 1000, [100, 100, 100]),
        # With no time at all for any it takes the least that makes sense.
        (0.0, 1000, [100, *[10] * 14]),
        # Half of what was too many; what was fast enough is doubled again.
        (60.0, 60, [100, 50] * 5),
    ],
)
async def test_it_takes_as_many_at_once_as_there_is_time_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, held: float, too_many: int, sizes: list[int]
) -> None:
    taken = list[int]()

    def assess_some(session: Session, limit: int, *further: Any) -> int:
        taken.append(limit)
        if limit > too_many:
            raise ServiceUnavailable(retry_seconds=1.0)
        return assess_alerts(session, limit, *further)

    monkeypatch.setattr(grouping, "assess_alerts", assess_some)
    monkeypatch.setattr(grouping, "_HELD_SECONDS", held)
    router = Router("127.0.0.1:1", settings.snapshot_file, settings.default_agency)
    async with open_database(settings.database_url.get_secret_value(), log.before_commit, lambda: None) as database:
        await keep(database, *(make_alert(kind="OTHER", now=after(seconds=number)) for number in range(240)))
        running = asyncio.create_task(Grouper(database, router).run())
        async with asyncio.timeout(30):
            while await database.read(find_first_waiting):
                await asyncio.sleep(0.05)
        running.cancel()
    assert taken == sizes
