"""A database with alerts, and the same alerts counted."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from moments import ROOM, make_alert
from recount import Wanted, find_zone
from sqlalchemy import delete
from sqlalchemy.orm import Session

from alerts.model import Model
from alerts.model.alerts import Alert
from alerts.model.histograms import Numbers, Sums, sum_by_hour, sum_groups
from alerts.model.statistics import EVERY_KIND
from alerts.model.tables import log
from alerts.operations.statistics import count_some, is_behind
from alerts.store import alerts as alert_store
from alerts.store import statistics as store
from alerts.store.statistics import Period, Question
from chassis.database import Database, open_database

# Midnight in Jakarta at the end of a month.
MIDNIGHT = datetime(2026, 1, 31, 17, tzinfo=UTC)


class World:
    """Makes alerts, changes them, has them counted, and asks for the sums."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: list[str] = []

    async def raise_alert(self, area: str, kind: int, minutes: float, agency: str = ROOM, *, drill: bool = False) -> str:
        alert = make_alert(area=area, agency=agency, now=MIDNIGHT + timedelta(minutes=minutes), kind=kind, drill=drill)
        self.names.append(alert.name)

        def operation(session: Session) -> None:
            session.add(alert)
            log.append(session, "AlertRaised", alert.name, 1)

        await self.database.write(operation)
        return alert.name

    async def change(self, name: str, act: Callable[[Alert], object]) -> None:
        def operation(session: Session) -> None:
            alert = alert_store.find_alert(session, name, for_update=True)
            assert alert
            act(alert)
            log.append(session, "AlertChanged", alert.name, 1)

        await self.database.write(operation)

    async def count(self, zone_of: Callable[[str], Any] = find_zone) -> None:
        """Until there is nothing to do."""
        while await self.database.read(is_behind):
            await self.database.write(partial(count_some, find_zone=zone_of))

    async def find_all(self) -> Sequence[Alert]:
        return await self.database.read(lambda session: alert_store.find_alerts(session, self.names))

    async def ask(self, wanted: Wanted, *, by_hours: bool = False) -> Sums:
        areas = [wanted.area] if wanted.area else ["areas/31", "areas/73", "areas/91", ""]
        kinds = [EVERY_KIND if wanted.kind is None else wanted.kind]
        period = Period(date.fromisoformat(wanted.first).toordinal(), date.fromisoformat(wanted.last).toordinal())
        question = Question(areas, kinds, wanted.agency, period, by_days=False, by_hours=by_hours)

        def read(session: Session) -> Numbers:
            counting = store.find_current(session)
            assert counting
            vectors = [each.vector for each in store.find_sums(session, counting.number, question)]
            return sum_by_hour(vectors) if by_hours else sum_groups(vectors, [0] * len(vectors), 1)

        return Sums(await self.database.read(read))


@asynccontextmanager
async def open_world(url: str) -> AsyncIterator[World]:
    async with open_database(url, log.before_commit, lambda: None) as database:
        yield World(database)


async def clear(world: World) -> None:
    def operation(session: Session) -> None:
        for table in reversed(Model.metadata.sorted_tables):
            session.execute(delete(table))

    await world.database.write(operation)
