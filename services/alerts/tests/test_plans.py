"""What grows with the years is found by indexes, on both engines: no question goes through all alerts."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from moments import RINA
from sqlalchemy import Connection, event, select
from sqlalchemy.orm import Session

from alerts.__main__ import MIGRATIONS
from alerts.model import Model
from alerts.model.alerts import Alert
from alerts.model.enums import Kind, State
from alerts.model.statistics import EVERY_KIND, count_alert
from alerts.model.tables import log
from alerts.store import alerts as store
from alerts.store import statistics as statistics_store
from alerts.store.alerts import Filters
from alerts.store.incidents import find_candidates
from alerts.store.statistics import Period, Question
from chassis import migrations
from chassis.database import Database, open_database
from chassis.testing import create_database
from load.history import ROOM, fill_database

ALERTS = 6000
NOW = datetime.now(UTC)
AN_HOUR_AGO = NOW - timedelta(hours=1)
EVERYTHING: dict[str, Any] = dict.fromkeys(("created_after", "created_before", "updated_after", "areas"))
EVERYTHING |= {"states": [], "kinds": [], "agency": "", "incident": "", "drills": False}
YEAR = Period(NOW.date().toordinal() - 365, NOW.date().toordinal())
LARGE = ("alerts", "responses", "events", "statistics_sums", "statistics_counted")


def list_alerts(before: str = "", **filters: Any) -> Callable[[Session], object]:
    return lambda session: store.list_alerts_of_agency(session, RINA, Filters(**(EVERYTHING | filters)), before, 51)


def count(*, by_days: bool = False, by_hours: bool = False, areas: int = 1, agency: str = "") -> Callable[[Session], object]:
    within = ["areas/31", "areas/31.71", "areas/31.72", "areas/31.73"][:areas]
    question = Question(within, [EVERY_KIND], agency, YEAR, by_days=by_days, by_hours=by_hours)
    return lambda session: statistics_store.find_sums(session, 1, question)


def add_contributions(session: Session) -> None:
    names = statistics_store.find_alerts_after(session, "", 50)
    assert not statistics_store.find_changed(session, 1, names)
    # Of another count, for which they are new.
    changed = [count_alert(alert, None, UTC) for alert, _ in statistics_store.find_changed(session, 2, names)]
    statistics_store.find_turnouts(session, names)
    statistics_store.find_hours(session, 1, [key for each in changed if each for key in each.find_keys()])


QUESTIONS: dict[str, Callable[[Session], object]] = {
    "the first page": list_alerts(),
    "a later page": list_alerts(before="alerts/ffffffff"),
    "in a state": list_alerts(states=[State.ACKNOWLEDGED]),
    "of a kind": list_alerts(kinds=[Kind.FIRE]),
    "since": list_alerts(created_after=AN_HOUR_AGO),
    "until": list_alerts(created_before=NOW - timedelta(days=360)),
    "changed since": list_alerts(updated_after=AN_HOUR_AGO),
    "of an incident": list_alerts(incident="incidents/none"),
    "what is open": lambda session: store.find_open_alerts(session, ROOM, drills=False),
    "the sums of a year": count(),
    "those by area": count(areas=4),
    "those by hour": count(by_hours=True),
    "those by day": count(by_days=True),
    "those of an agency": count(agency=ROOM),
    "what is to be counted": lambda session: log.after(session, log.position(session) - 50, 100),
    "what was counted": add_contributions,
    "what a new alert may join": lambda session: find_candidates(session, {"888c10711bfffff"}, "alerts/z"),
    "the members of an incident": lambda session: statistics_store.find_members(session, {"incidents/none"}),
}
# Of these there may be many: they are found in their order.
UNSORTED = ("the first page", "a later page", "of a kind", "since", "until")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def history_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('history') / 'test.db'}"
    else:
        url = create_database(request.getfixturevalue("postgres_server"))
    migrations.migrate(url, MIGRATIONS, Model.metadata)
    fill_database(url, NOW, ALERTS)
    return url


@pytest.fixture
async def database(history_url: str) -> Any:
    async with open_database(history_url, log.before_commit, lambda: None) as database:
        yield database


async def explain(database: Database, ask: Callable[[Session], object]) -> list[list[str]]:
    """Each step of the plan of each statement that a question executes."""

    def run(session: Session) -> list[list[str]]:
        asked: list[tuple[str, Any]] = []

        def note(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
            asked.append((statement, parameters))

        connection = session.connection()
        event.listen(connection, "before_cursor_execute", note)
        ask(session)
        event.remove(connection, "before_cursor_execute", note)
        if connection.dialect.name == "postgresql":
            # Tables as small as these it rather goes through.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plans: list[list[str]] = []
        for statement, parameters in asked:
            if connection.dialect.name == "sqlite":
                plans.append([row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)])
            else:
                [row] = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
                plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
                plans.append(list(walk(plan[0]["Plan"])))
        return plans

    return await database.read(run)


def walk(node: dict[str, Any]) -> Iterator[str]:
    """PostgreSQL's steps in SQLite's words where they go through a table, or sort."""
    words = {"Seq Scan": "SCAN", "Sort": "USE TEMP B-TREE FOR ORDER BY"}
    yield f"{words.get(node['Node Type'], node['Node Type'])} {node.get('Relation Name', '')}".strip()
    for each in node.get("Plans", ()):
        yield from walk(each)


def find_slow(plans: list[list[str]], *, unsorted: bool) -> list[str]:
    """`unsorted` is the first statement, which finds what the others complete."""
    # A partial index holds the few that it is for.
    scans = [step for plan in plans for step in plan if re.match(rf"SCAN ({'|'.join(LARGE)})", step) and "ix_alerts_open" not in step]
    return scans + [step for step in plans[0] if unsorted and "ORDER BY" in step]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_question_goes_through_all_alerts(database: Database, question: str) -> None:
    plans = await explain(database, QUESTIONS[question])
    assert plans
    assert find_slow(plans, unsorted=question in UNSORTED) == [], plans


async def test_a_question_that_does_is_found_out(database: Database) -> None:
    plans = await explain(database, lambda session: session.execute(select(Alert.name).where(Alert.note == "x").order_by(Alert.note)).all())
    assert find_slow(plans, unsorted=False)
