"""The directory answers whatever becomes of its database, also from a cold start."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import grpc
import pytest
from administering import Metadata, cut_file, import_file, refuse
from pydantic import SecretStr

from chassis import migrations
from chassis.errors import ServiceUnavailable
from chassis.testing import Postgres, free_port
from directory import current, store
from directory.commands import MIGRATIONS, migrate_database
from directory.kept import KeptCopy
from directory.model import Model, keys
from directory.servicer.directory import DirectoryServicer
from directory.settings import Settings
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_admin_service_pb2 import CreateFacilityRequest

GAMBIR = {"latitude": -6.1745, "longitude": 106.8227}
SECONDS = 8.0

Run = Callable[[Settings], AbstractAsyncContextManager[Any]]
sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


async def resolve(stub: Any) -> pb.ResolveLocationResponse:
    return await stub.ResolveLocation(pb.ResolveLocationRequest(point=GAMBIR))


async def wait_for_stale(stub: Any, stale: bool, seconds: float = SECONDS) -> None:  # noqa: FBT001
    async with asyncio.timeout(seconds):
        while (await resolve(stub)).stale is not stale:
            await asyncio.sleep(0.05)


async def read_file(path: Path) -> bytes:
    return await asyncio.to_thread(path.read_bytes)


@pytest.fixture
def looking_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(current, "_CHECK_SECONDS", 0.05)


def at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url), "listen": f"127.0.0.1:{free_port()}"})


async def assert_answers_from_the_program(settings: Settings, run: Run) -> None:
    """As every cold start without a database or a copy of it must."""
    began = time.monotonic()
    async with run(settings) as stub:
        assert time.monotonic() - began < 5
        reply = await resolve(stub)
        assert (reply.stale, reply.HasField("load_time")) == (True, False)
        assert [area.level for area in reply.areas] == [4, 3, 2, 1]
        assert len(reply.responsibilities) == 6
        contacts = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR))
        assert (contacts.stale, contacts.contacts[0].name) == (True, "hotlines/112")
        assert len((await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot.areas) == 318


async def test_a_database_that_was_never_migrated_is_not_needed(unmigrated: Settings, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    await assert_answers_from_the_program(unmigrated, run)
    assert "answers come from what came with the program: " in caplog.text
    assert "`python -m directory migrate` makes" in caplog.text


async def test_a_database_with_nothing_in_it_is_not_needed(unmigrated: Settings, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.to_thread(migrations.migrate, unmigrated.database_url.get_secret_value(), MIGRATIONS, Model.metadata)
    await assert_answers_from_the_program(unmigrated, run)
    assert "it is empty, `python -m directory migrate` puts Jakarta into it" in caplog.text


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
@pytest.mark.usefixtures("looking_often")
async def test_a_database_that_is_migrated_later_is_taken_up_then(unmigrated: Settings, run: Run) -> None:
    async with run(unmigrated) as stub:
        assert (await resolve(stub)).stale
        await asyncio.to_thread(migrate_database, unmigrated.database_url.get_secret_value())
        await wait_for_stale(stub, stale=False)


@sqlite_only
async def test_a_file_that_is_missing_is_not_needed_and_not_made(
    unmigrated: Settings, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await assert_answers_from_the_program(unmigrated, run)
    assert not (tmp_path / "test.db").exists()
    assert "its file is not there" in caplog.text


@sqlite_only
@pytest.mark.parametrize(("content", "problem"), [(b"", "its tables are missing"), (b"no database at all " * 500, "its file is damaged")])
async def test_a_file_that_cannot_be_read_is_not_needed(
    unmigrated: Settings, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes, problem: str
) -> None:
    await asyncio.to_thread((tmp_path / "test.db").write_bytes, content)
    await assert_answers_from_the_program(unmigrated, run)
    assert problem in caplog.text


@sqlite_only
@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
async def test_a_server_that_refuses_or_never_answers_is_not_needed(
    unmigrated: Settings, run: Run, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    await assert_answers_from_the_program(at(unmigrated, f"postgresql+asyncpg://siaga@{host}:{free_port()}/directory"), run)
    assert "it does not answer, and is asked again" in caplog.text


async def check_polygons_after_a_cold_start(settings: Settings, run: Run, admin: Metadata, polygons: Path, database: Path) -> None:
    async with run(settings) as stub:
        await import_file(stub, admin, await read_file(polygons))
        before = await stub.GetSnapshot(pb.GetSnapshotRequest())
    database.unlink()
    async with run(at(settings, settings.database_url.get_secret_value())) as stub:
        reply = await resolve(stub)
        assert (reply.stale, reply.match) == (True, pb.ResolveLocationResponse.BOUNDARY)
        assert abs(reply.load_time.ToSeconds() - time.time()) < 60
        assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == before


@sqlite_only
async def test_a_cold_start_still_has_the_polygons_of_the_last_import(
    settings: Settings, run: Run, admin: Metadata, kelurahan: Path, tmp_path: Path
) -> None:
    await check_polygons_after_a_cold_start(settings, run, admin, kelurahan, tmp_path / "test.db")


@sqlite_only
async def test_mutant_without_a_copy_on_disk_a_cold_start_would_not(
    settings: Settings, run: Run, admin: Metadata, kelurahan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KeptCopy, "keep", lambda *_: None)
    with pytest.raises(AssertionError):
        await check_polygons_after_a_cold_start(settings, run, admin, kelurahan, tmp_path / "test.db")


@sqlite_only
@pytest.mark.parametrize("cut", [0, 1000, -1])
async def test_a_damaged_copy_is_not_believed(
    settings: Settings, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: int
) -> None:
    async with run(settings):
        pass
    kept = settings.platform.data / "directory.snapshot"
    content = await asyncio.to_thread(kept.read_bytes)
    await asyncio.to_thread(kept.write_bytes, content[:cut])
    path, aside = tmp_path / "test.db", tmp_path / "aside.db"
    path.rename(aside)
    await assert_answers_from_the_program(at(settings, settings.database_url.get_secret_value()), run)
    assert f"{kept} cannot be read (it is damaged)" in caplog.text
    aside.rename(path)
    async with run(at(settings, settings.database_url.get_secret_value())) as stub:
        assert not (await resolve(stub)).stale
    assert await asyncio.to_thread(kept.read_bytes) == content


HOSPITAL = {
    "display_name": "RS Uji",
    "categories": ["HOSPITAL"],
    "point": GAMBIR,
    "numbers": [{"number": "0213441008", "use": "CALL"}],
}


@sqlite_only
@pytest.mark.parametrize("damage", [None, b"", b"nonsense\n\x0a\xff"])
async def test_a_cold_start_has_the_facilities_too_and_the_rest_without_them(
    settings: Settings, run: Run, admin: Metadata, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes | None
) -> None:
    async with run(settings) as stub:
        await stub.CreateFacility(CreateFacilityRequest(facility_id="rs", facility=HOSPITAL), metadata=admin)
        snapshot = await stub.GetSnapshot(pb.GetSnapshotRequest())
    (tmp_path / "test.db").unlink()
    kept = settings.platform.data / "facilities.snapshot"
    if damage is not None:
        await asyncio.to_thread(kept.write_bytes, damage)
    async with run(at(settings, settings.database_url.get_secret_value())) as stub:
        found = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR, categories=["HOSPITAL"]))
        assert [contact.name for contact in found.contacts] == ([] if damage is not None else ["facilities/rs"])
        assert (found.stale, found.HasField("load_time")) == (True, True)
        assert await stub.GetSnapshot(pb.GetSnapshotRequest()) == snapshot
    assert (f"{kept} cannot be read (it is damaged)" in caplog.text) == (damage is not None)


@sqlite_only
async def test_a_copy_that_can_be_neither_read_nor_written_is_not_needed(
    settings: Settings, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    kept = settings.platform.data / "directory.snapshot"
    (kept / "in its place").mkdir(parents=True)
    async with run(settings) as stub:
        assert not (await resolve(stub)).stale
    assert f"{kept} cannot be read (Is a directory)" in caplog.text
    assert f"{kept} cannot be written (Is a directory)" in caplog.text
    assert {path.name for path in settings.platform.data.iterdir()} == {"directory.snapshot", "facilities.snapshot", "jwks.json"}


@sqlite_only
async def test_a_data_folder_that_cannot_be_written_is_not_needed(settings: Settings, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    settings.platform.data.write_text("a file")
    async with run(settings) as stub:
        assert not (await resolve(stub)).stale
    assert f"{settings.platform.data / 'directory.snapshot'} cannot be written (File exists)" in caplog.text


@sqlite_only
async def test_a_first_start_has_nothing_to_say(settings: Settings, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with run(settings) as stub:
        assert not (await resolve(stub)).stale
    assert {record.name for record in caplog.records if record.name.startswith("directory")} == set()
    assert f"serving on {settings.listen}" in caplog.text


async def check_loss_and_return(settings: Settings, run: Run, path: Path, seconds: float = SECONDS) -> None:
    aside = path.with_name("aside.db")
    async with run(settings) as stub:
        fresh = await resolve(stub)
        assert not fresh.stale
        path.rename(aside)
        await wait_for_stale(stub, stale=True, seconds=seconds)
        assert (await resolve(stub)).load_time == fresh.load_time
        assert not path.exists()
        aside.rename(path)
        await wait_for_stale(stub, stale=False)


@sqlite_only
@pytest.mark.usefixtures("looking_often")
async def test_a_file_that_goes_away_is_noticed_and_so_is_its_return(
    settings: Settings, run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await check_loss_and_return(settings, run, tmp_path / "test.db")
    lost, back = [record.message for record in caplog.records if record.name == "directory.current"]
    assert lost.startswith("the database cannot be used, answers come from what was loaded at ")
    assert back == "the database is read again"


@sqlite_only
@pytest.mark.usefixtures("looking_often")
async def test_mutant_an_open_connection_alone_would_not_notice(
    settings: Settings, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edition = store.read_edition_of_file(tmp_path / "test.db")
    monkeypatch.setattr(store, "read_edition_of_file", lambda _: edition)
    with pytest.raises(TimeoutError):
        await check_loss_and_return(settings, run, tmp_path / "test.db", seconds=1)


@sqlite_only
async def test_a_file_that_is_spoilt_is_noticed(settings: Settings, run: Run, admin: Metadata, tmp_path: Path) -> None:
    async with run(settings) as stub:
        assert not (await resolve(stub)).stale
        await asyncio.to_thread((tmp_path / "test.db").write_bytes, b"spoilt " * 5000)
        await wait_for_stale(stub, stale=True)
        assert (await refuse(stub.ImportDirectory(cut_file(b""), metadata=admin))).code == grpc.StatusCode.UNAVAILABLE


@sqlite_only
async def test_old_request_ids_that_cannot_be_swept_end_nothing(settings: Settings, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    swept, loop = asyncio.Event(), asyncio.get_running_loop()

    def fail(_: object) -> None:
        loop.call_soon_threadsafe(swept.set)
        raise ServiceUnavailable

    monkeypatch.setattr(current, "_CHECK_SECONDS", 0.05)
    async with run(settings) as stub:
        monkeypatch.setattr(keys, "sweep", fail)
        monkeypatch.setattr(current, "_SWEEP_SECONDS", 0.0)
        await asyncio.wait_for(swept.wait(), 5)
        assert not (await resolve(stub)).stale


@sqlite_only
async def test_another_file_in_its_place_is_not_taken_for_it(settings: Settings, run: Run, tmp_path: Path) -> None:
    path, other = tmp_path / "test.db", tmp_path / "other.db"
    await asyncio.to_thread(migrate_database, f"sqlite:///{other}")
    async with run(settings) as stub:
        other.rename(path)
        await wait_for_stale(stub, stale=True)


async def check_outage(settings: Settings, run: Run, admin: Metadata, polygons: Path, own_postgres: Postgres) -> None:
    await asyncio.to_thread(migrate_database, own_postgres.url)
    async with run(at(settings, own_postgres.url)) as stub:
        fresh = await resolve(stub)
        assert not fresh.stale
        await asyncio.to_thread(own_postgres.stop)
        await wait_for_stale(stub, stale=True)
        seconds: list[float] = []

        async def ask() -> None:
            for number in range(1250):
                began = time.perf_counter()
                if number % 2:
                    reply = await resolve(stub)
                    assert len(reply.areas) == 4
                else:
                    reply = await stub.SearchNearby(pb.SearchNearbyRequest(point=GAMBIR))
                    assert reply.contacts[0].name == "hotlines/112"
                seconds.append(time.perf_counter() - began)
                assert (reply.stale, reply.load_time) == (True, fresh.load_time)

        await asyncio.gather(*(ask() for _ in range(8)))
        assert len(seconds) == 10_000
        assert sorted(seconds)[9900] < 0.05
        file = await read_file(polygons)
        assert (await refuse(stub.ImportDirectory(cut_file(file), metadata=admin))).code == grpc.StatusCode.UNAVAILABLE
        await asyncio.to_thread(own_postgres.start)
        await wait_for_stale(stub, stale=False)
        assert (await import_file(stub, admin, file)).counts == {"changed": 267}


@pytest.mark.alone
@sqlite_only
async def test_a_server_that_stops_costs_no_answer_and_is_taken_up_again(
    unmigrated: Settings, run: Run, admin: Metadata, kelurahan: Path, own_postgres: Postgres
) -> None:
    await check_outage(unmigrated, run, admin, kelurahan, own_postgres)


@sqlite_only
async def test_mutant_answers_that_ask_the_database_would_be_lost(
    unmigrated: Settings,
    run: Run,
    admin: Metadata,
    kelurahan: Path,
    own_postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = DirectoryServicer.ResolveLocation

    async def ask_first(self: DirectoryServicer, request: pb.ResolveLocationRequest, context: object) -> bytes:
        await self._current._database.read(store.find_edition)
        return await answer(self, request, context)

    monkeypatch.setattr(DirectoryServicer, "ResolveLocation", ask_first)
    with pytest.raises(grpc.RpcError) as lost:
        await check_outage(unmigrated, run, admin, kelurahan, own_postgres)
    assert lost.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_another_replica_takes_up_an_import_within_seconds(settings: Settings, run: Run, admin: Metadata, kelurahan: Path) -> None:
    async with run(settings) as one, run(at(settings, settings.database_url.get_secret_value())) as other:
        await import_file(one, admin, await read_file(kelurahan))
        mine = await one.GetSnapshot(pb.GetSnapshotRequest())

        async def agree() -> bool:
            return (await other.GetSnapshot(pb.GetSnapshotRequest())).etag == mine.etag

        async with asyncio.timeout(SECONDS):
            while not await agree():
                await asyncio.sleep(0.05)
        assert (await resolve(other)).match == pb.ResolveLocationResponse.BOUNDARY
