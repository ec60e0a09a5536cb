"""What a migration changes of the rows that there are, and how they are kept, on both engines."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from locking import on_postgres
from moments import RINA, START, make_alert
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from alerts.model import Model
from alerts.model.alerts import Alert
from alerts.model.incidents import Doubt
from alerts.model.tables import log
from alerts.operations.incidents import form_incident
from chassis import migrations
from chassis.database import open_database
from contract.test_migrations import cut_after, schema_of
from siaga.alerts.v1 import alert_pb2

FOLDER = schema_of("alerts").folder
FOUND = {"alerts": 5, "pranks": 1, "false_alarms": 0}


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Without a table."""
    return f"sqlite:///{tmp_path / 'test.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def write(url: str, operation: Callable[[Session], Any]) -> Any:
    async def do() -> Any:
        async with open_database(url, log.before_commit, lambda: None) as database:
            return await database.write(operation)

    return asyncio.run(do())


def make_doubtful(*, erased: bool) -> Alert:
    alert = make_alert()
    alert.doubts, alert.history = [Doubt.MANY_OF_ONE_CALLER], FOUND
    alert.acknowledge("rina", RINA, START)
    alert.resolve(alert_pb2.Alert.HELPED, RINA, START)
    alert.erase_time = START if erased else None
    return alert


def test_what_was_found_of_a_caller_goes_with_what_they_had_erased_before(database_url: str, tmp_path: Path) -> None:
    migrations.migrate(database_url, cut_after(FOLDER, "0013", tmp_path / "migrations"), Model.metadata)
    write(database_url, lambda session: session.add_all(make_doubtful(erased=each) for each in (True, False)))
    migrations.migrate(database_url, FOLDER, Model.metadata)
    kept = write(database_url, lambda session: session.execute(select(Alert.doubts, Alert.history).order_by(Alert.name)).all())
    assert kept == [([], None), ([Doubt.MANY_OF_ONE_CALLER], FOUND)]


def test_what_is_under_way_for_one_that_leads_on_is_due_to_its_heir(database_url: str, tmp_path: Path) -> None:
    migrations.migrate(database_url, cut_after(FOLDER, "0015", tmp_path / "migrations"), Model.metadata)
    lead, other, heir = (make_alert() for _ in range(3))

    def make(session: Session) -> None:
        session.add_all([lead, other, heir])
        incident = form_incident(session, "incidents/one", lead, START)
        incident.heir, lead.incident = heir.name, incident.name
        # One that it has left.
        form_incident(session, "incidents/two", lead, START).heir = "alerts/another"
        session.flush()
        columns = "alert, number, unit, agency, kind, crew, status, reason, dispatch_time, roll_step, missed_roll_calls, past"
        for alert, number, past in ((lead, 0, False), (lead, 1, True), (other, 0, False), (other, 1, True)):
            values = f"'{alert.name}', {number}, 'units/1', '', 1, '[]', 1, '', '2026-03-01', 0, 0, {past}"
            session.execute(text(f"INSERT INTO assignments ({columns}) VALUES ({values})"))

    write(database_url, make)
    migrations.migrate(database_url, FOLDER, Model.metadata)
    kept = write(database_url, lambda session: session.execute(text("SELECT alert, number, heir FROM assignments")).all())
    assert {(alert, number): due for alert, number, due in kept} == {
        (lead.name, 0): heir.name,
        (lead.name, 1): "",
        (other.name, 0): None,
        (other.name, 1): "",
    }


@on_postgres
def test_the_vectors_of_the_statistics_are_kept_as_they_are(database_url: str) -> None:
    migrations.migrate(database_url, FOLDER, Model.metadata)
    question = text(
        "SELECT DISTINCT attstorage FROM pg_attribute WHERE attrelid = 'statistics_sums'::regclass AND atttypid = 'bytea'::regtype"
    )
    assert write(database_url, lambda session: session.execute(question).scalars().all()) == [b"e"]
