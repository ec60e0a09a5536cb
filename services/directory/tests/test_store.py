"""Questions and statements on both databases, migrated."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.clock import now
from chassis.database import Database, open_database
from chassis.migrations import check_models
from directory import store
from directory.builtin import read_jakarta
from directory.commands import MIGRATIONS
from directory.errors import AreaNotFound, InvalidImport
from directory.files.reading import AreaRecord, Fault, Reading
from directory.model import Area, Model, Shape, log
from directory.operations.entries import seed_directory
from directory.operations.imports import Order, import_areas

SHAPE = Shape(b"a boundary", -6.17, 106.82)
GAMBIR = AreaRecord(1, "areas/31.71.01.1001", "Gambir", "areas/31.71.01", SHAPE)


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    async with open_database(migrated_url, log.before_commit, lambda: None) as database:
        yield database


def order_import(scope: str = "areas/31") -> Order:
    return Order(scope, "", dry_run=False, actor="indra", now=now(), report=lambda _: None)


async def import_features(database: Database, *features: AreaRecord, scope: str = "areas/31") -> tuple[int, int, int, int]:
    """How many were added, changed, removed, and left as they are."""
    done = await database.write(lambda session: import_areas(session, order_import(scope), Reading(list(features), [])))
    added = sum(each.action == "CREATED" for each in done.changes)
    return added, len(done.changes) - added - done.removed, done.removed, done.unchanged


def test_the_models_are_the_schema(migrated_url: str) -> None:
    check_models(migrated_url, MIGRATIONS, Model.metadata)


async def test_a_migrated_database_has_what_came_with_the_program(database: Database) -> None:
    contents = await database.read(store.read_contents)
    assert await database.read(store.find_edition)
    levels = [area.level for area in contents.areas]
    assert [levels.count(level) for level in (1, 2, 3, 4)] == [1, 6, 44, 267]
    assert [area.name for area in contents.areas] == [area.name for area in read_jakarta().areas]
    assert [len(rows) for rows in contents[1:]] == [7, 8, 6, 0]
    assert {entry.assured_by for entry in (*contents.agencies, *contents.hotlines)} == {"unconfirmed"}
    assert {entry.assured_time for entry in (*contents.agencies, *contents.hotlines)} == {None}


async def test_a_database_with_a_directory_is_not_seeded_again(database: Database) -> None:
    edition = await database.read(store.find_edition)
    assert not await database.write(lambda session: seed_directory(session, read_jakarta()))
    assert await database.read(store.find_edition) == edition


async def test_areas_within_a_scope_are_those_below_it_and_itself(database: Database) -> None:
    found = await database.read(lambda session: store.find_areas_within(session, "areas/31.71.01"))
    assert len(found) == 7
    assert await database.read(lambda session: store.find_areas_within(session, "areas/31.7")) == []


async def test_an_import_draws_changes_forgets_and_adds(database: Database) -> None:
    assert await import_features(database, GAMBIR) == (0, 1, 0, 0)
    assert await import_features(database, GAMBIR) == (0, 0, 0, 1)
    added = GAMBIR._replace(name="areas/31.71.01.1099", display_name="Baru")
    assert await import_features(database, GAMBIR, added) == (1, 0, 0, 1)
    assert await import_features(database, added) == (0, 0, 1, 1)
    area = await database.read(lambda session: store.find_entry(session, Area, added.name))
    assert area
    assert (area.level, area.parent, area.time_zone, area.emergency_number) == (4, "areas/31.71.01", "Asia/Jakarta", "112")
    forgotten = await database.read(lambda session: store.find_entry(session, Area, GAMBIR.name))
    assert forgotten
    assert forgotten.boundary is None


async def test_only_an_import_that_changes_something_makes_a_new_edition(database: Database) -> None:
    editions = [await database.read(store.find_edition)]
    for _ in range(2):
        await import_features(database, GAMBIR)
        editions.append(await database.read(store.find_edition))
    assert editions[0] != editions[1] == editions[2]


async def test_nothing_outside_the_scope_changes(database: Database) -> None:
    await import_features(database, GAMBIR)
    other = AreaRecord(1, "areas/31.72.01.1001", "Penjaringan", "areas/31.72.01", SHAPE)
    assert await import_features(database, other, scope="areas/31.72") == (0, 1, 0, 0)
    gambir = await database.read(lambda session: store.find_entry(session, Area, GAMBIR.name))
    assert gambir
    assert gambir.boundary == SHAPE.boundary


async def test_a_parent_may_stand_behind_its_child(database: Database) -> None:
    district = AreaRecord(2, "areas/31.71.77", "Kecamatan Baru", "areas/31.71", SHAPE)
    village = AreaRecord(1, "areas/31.71.77.1001", "Kelurahan Baru", "areas/31.71.77", SHAPE)
    assert await import_features(database, village, district) == (2, 0, 0, 0)


async def test_the_scope_itself_may_be_drawn(database: Database) -> None:
    regency = AreaRecord(1, "areas/31.71", "Kota Administrasi Jakarta Pusat", "areas/31", SHAPE)
    assert await import_features(database, regency, scope="areas/31.71") == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("feature", "fault"),
    [
        (GAMBIR._replace(name="areas/31.72.01.1001", parent="areas/31.72.01"), "lies outside areas/31.71"),
        (GAMBIR._replace(parent="areas/31.71.02"), "its parent is areas/31.71.01, not areas/31.71.02"),
        (GAMBIR._replace(name="areas/31.71.01.1099", parent="areas/31.71.99"), "is not within areas/31.71"),
        (GAMBIR._replace(name="areas/31.71.02.1099"), "does not begin with that of areas/31.71.01"),
        (GAMBIR._replace(name="areas/31.71.01.1001.1", parent="areas/31.71.01.1001"), "is a village"),
        (GAMBIR._replace(shape=SHAPE._replace(latitude=60.0)), "swapped?"),
    ],
)
async def test_a_feature_out_of_place_is_refused_and_nothing_changes(database: Database, feature: AreaRecord, fault: str) -> None:
    edition = await database.read(store.find_edition)
    good = GAMBIR._replace(name="areas/31.71.01.1002", display_name="Cideng")
    with pytest.raises(InvalidImport) as refused:
        await import_features(database, good, feature._replace(line=7), scope="areas/31.71")
    [(line, text)] = refused.value.fields
    assert line == "line 7"
    assert fault in text
    assert refused.value.metadata == {"badLines": "1"}
    contents = await database.read(store.read_contents)
    assert await database.read(store.find_edition) == edition
    assert {area.boundary for area in contents.areas} == {None}


async def test_a_code_that_stands_twice_is_refused(database: Database) -> None:
    with pytest.raises(InvalidImport) as refused:
        await import_features(database, GAMBIR, GAMBIR._replace(line=9))
    assert refused.value.fields == [("line 9", "31.71.01.1001: stands already in line 1")]


async def test_a_hundred_faults_are_named_at_most_and_all_are_counted(database: Database) -> None:
    faults = [Fault(line, "is wrong") for line in range(1, 251)]
    with pytest.raises(InvalidImport) as refused:
        await database.write(lambda session: import_areas(session, order_import(), Reading([], faults)))
    assert [line for line, _ in refused.value.fields] == [f"line {number}" for number in range(1, 101)]
    assert refused.value.metadata == {"badLines": "250"}


async def test_long_faults_are_cut_so_that_any_client_can_read_the_error(database: Database) -> None:
    faults = [Fault(line, "é" * 500) for line in range(1, 251)]
    with pytest.raises(InvalidImport) as refused:
        await database.write(lambda session: import_areas(session, order_import(), Reading([], faults)))
    assert 1 < len(refused.value.to_status().SerializeToString()) < 8000


async def test_an_unknown_scope_is_refused(database: Database) -> None:
    with pytest.raises(AreaNotFound):
        await import_features(database, GAMBIR, scope="areas/32")


async def test_imports_at_once_wait_for_each_other(database: Database) -> None:
    added = [GAMBIR._replace(name=f"areas/31.71.01.2{number:03}", display_name=str(number)) for number in range(8)]
    done = await asyncio.gather(*(import_features(database, each) for each in added))
    # Each sees what the one before left: it adds its own and takes the other's boundary away.
    assert sorted(done) == [(1, 0, 0, 0), *[(1, 0, 1, 0)] * 7]


def test_the_edition_is_read_from_the_file_itself(migrated_file: Path) -> None:
    assert store.read_edition_of_file(migrated_file)
