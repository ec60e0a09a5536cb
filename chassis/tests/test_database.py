"""What a database promises beside its writes: snapshots, one opener, the right settings, and bounded waiting when it is away."""

import asyncio
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from tiny_service import add_thing, find_names, having_tables, log, open_things

from chassis.database import Database, open_database
from chassis.database.postgres import PostgresDatabase
from chassis.database.sqlite import SqliteDatabase, create_sqlite_engine, lock_file
from chassis.errors import ServiceUnavailable
from chassis.testing import Postgres, python


class ReadsWithoutSnapshot(SqliteDatabase):
    """Mutant: each statement of a read sees what is newest."""

    def __init__(self, path: Path) -> None:
        path.touch()
        super().__init__(path, log.before_commit, lambda: None)
        self._reader.dispose()
        self._reader = create_sqlite_engine(path, "SELECT 1")


class ReadsCommitted(PostgresDatabase):
    """Mutant: each statement of a read sees what is newest."""

    def __init__(self, url: str) -> None:
        super().__init__(make_url(url), log.before_commit, lambda: None)

    async def _read(self, operation: Callable[[Session], Any], seconds: float, *, apart: bool) -> Any:
        del apart
        return await self._transact(operation, None, seconds)


class CountsReads(PostgresDatabase):
    """Mutant: whoever is answered by anything is thought to be able to write."""

    async def _work(self, work: Any, future: Any, *, wrote: bool, in_turn: bool) -> None:
        del wrote
        await super()._work(work, future, wrote=True, in_turn=in_turn)


async def count_twice(database: Database, other: Callable[[str], Any]) -> tuple[int, int]:
    """How many things one read finds before and after `other` adds one from elsewhere."""

    def read(session: Session) -> tuple[int, int]:
        before = len(find_names(session))
        elsewhere = threading.Thread(target=lambda: asyncio.run(other("late")))
        elsewhere.start()
        elsewhere.join()
        return before, len(find_names(session))

    return await database.read(read)


def writing_elsewhere(url: str) -> Callable[[str], Any]:
    """Adds a thing past the database under test."""

    async def write(name: str) -> None:
        if url.startswith("sqlite"):
            with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
                connection.execute("INSERT INTO things (name, note) VALUES (?, '')", [name])
            connection.close()
        else:
            database = PostgresDatabase(make_url(url), log.before_commit, lambda: None)
            await database.write(lambda session: add_thing(session, name))
            await database.close()

    return write


async def test_a_read_sees_one_snapshot(database_url: str) -> None:
    async with open_things(database_url) as database:
        assert await count_twice(database, writing_elsewhere(database_url)) == (0, 0)
        assert await database.read(find_names) == ["late"]


async def test_the_snapshot_test_notices_a_read_without_one(database_url: str) -> None:
    mutant = (
        ReadsCommitted(database_url) if "postgres" in database_url else ReadsWithoutSnapshot(Path(make_url(database_url).database or ""))
    )
    async with having_tables(mutant) as database:
        assert await count_twice(database, writing_elsewhere(database_url)) == (0, 1)


async def test_a_second_process_may_not_open_the_file(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    script = f"from pathlib import Path; from chassis.database.sqlite import lock_file; lock_file(Path({str(path)!r}))"
    async with open_things(f"sqlite:///{path}"):
        second = await asyncio.to_thread(subprocess.run, python("-c", script), capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"{path} is in use by another process" in second.stderr
    third = await asyncio.to_thread(subprocess.run, python("-c", script), capture_output=True, text=True, check=False)
    assert (third.returncode, third.stderr) == (0, "")


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=f"{tmp_path}/file cannot be written to"):
        lock_file(tmp_path / "file" / "test.db")


def test_a_file_with_a_wrong_setting_is_refused(tmp_path: Path) -> None:
    # As on a file system without shared memory, where SQLite goes on without WAL and says nothing.
    (tmp_path / "test.db").touch()
    engine = create_sqlite_engine(tmp_path / "test.db", vfs="unix-dotfile")
    with pytest.raises(RuntimeError, match="PRAGMA journal_mode = delete, not wal"):
        engine.connect()
    engine.dispose()


async def test_a_file_that_goes_away_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    # A connection is opened when it is first needed, which may be long after the service began.
    path, elsewhere = tmp_path / "100% #1.db", tmp_path / "elsewhere.db"
    path.touch()
    async with open_database(f"sqlite:///{path}", log.before_commit, lambda: None) as database:
        path.rename(elsewhere)
        with pytest.raises(ServiceUnavailable):
            await database.write(find_names)
        with pytest.raises(ServiceUnavailable):
            await database.read(find_names)
        assert not path.exists()
        elsewhere.rename(path)
        assert await database.write(lambda session: session.scalar(text("SELECT 1"))) == 1


async def test_writer_and_reader_have_the_durable_settings(tmp_path: Path) -> None:
    def read_settings(session: Session) -> list[Any]:
        return [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("journal_mode", "synchronous", "foreign_keys")]

    async with open_things(f"sqlite:///{tmp_path / 'test.db'}") as database:
        assert await database.write(read_settings) == ["wal", 2, 1]
        assert await database.read(read_settings) == ["wal", 2, 1]
    # What SQLite does by itself: the check above can fail.
    engine = create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with Session(engine) as session:
        assert read_settings(session) != ["wal", 2, 1]
    engine.dispose()


async def test_a_closed_database_refuses_at_once(database_url: str) -> None:
    async with open_things(database_url) as database:
        pass
    for run in (database.write, database.read):
        with pytest.raises(ServiceUnavailable):
            await asyncio.wait_for(run(find_names), 1)


@asynccontextmanager
async def unavailable_within(seconds: float) -> Any:
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable) as raised:
        yield
    assert time.monotonic() - began < seconds
    assert raised.value.retry_seconds


async def write_until_accepted(database: Database, name: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await database.write(lambda session: add_thing(session, name))
            except ServiceUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def test_a_stopped_postgres_refuses_within_a_second_and_serves_again_when_it_is_back(
    own_postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_things(own_postgres.url) as database:
        await asyncio.gather(*[database.write(lambda session, name=f"before {n}": add_thing(session, name)) for n in range(8)])
        await asyncio.to_thread(own_postgres.stop)
        for _ in range(3):
            async with unavailable_within(1.0):
                await database.write(lambda session: add_thing(session, "during"))
            async with unavailable_within(1.0):
                await database.read(find_names)
        await asyncio.to_thread(own_postgres.start)
        await write_until_accepted(database, "after")
        assert await database.read(find_names) == ["after", *(f"before {n}" for n in range(8))]
    assert caplog.text.count("the database does not answer (") == caplog.text.count("the database answers again") == 1


async def test_a_paused_postgres_is_told_of_within_a_second_to_who_calls_for_help_and_in_time_to_others(own_postgres: Postgres) -> None:
    async with open_things(own_postgres.url) as database:
        await asyncio.gather(*[database.write(lambda session, name=f"before {n}": add_thing(session, name)) for n in range(8)])
        own_postgres.pause()
        try:
            for _ in range(3):
                async with unavailable_within(1.0):
                    await database.write(lambda session: add_thing(session, "urgent"), urgent=True)
            # The limit of a command, 5 s, and what is left of it.
            async with unavailable_within(6.0):
                await database.write(lambda session: add_thing(session, "during"))
            async with unavailable_within(1.0):
                await database.write(lambda session: add_thing(session, "during, later"))
        finally:
            own_postgres.resume()
        await write_until_accepted(database, "after")
        assert "after" in await database.read(find_names)


async def test_of_two_writes_that_wait_for_each_other_one_gives_way_and_the_database_is_not_said_to_be_away(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    lock = text("SELECT pg_advisory_xact_lock(7, :number)")
    held = text("SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database WHERE datname = current_database() AND classid = 7")

    def take_both(session: Session, first: int, second: int) -> int:
        session.execute(lock, {"number": first})
        while session.execute(held).scalar_one() < 2:
            pass
        session.execute(lock, {"number": second})
        return first

    async with open_things(postgres_url) as database:
        writes = [database.write(partial(take_both, first=first, second=3 - first)) for first in (1, 2)]
        ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(end) for end in ends if not isinstance(end, int)] == [ServiceUnavailable]
    assert "does not answer" not in caplog.text
    assert caplog.text.count("an operation gave way to another one (DeadlockDetectedError)") == 1


async def test_an_urgent_write_waits_for_its_turn_while_others_are_answered(own_postgres: Postgres) -> None:
    async with open_things(own_postgres.url) as database:
        sleep = text("SELECT pg_sleep(0.5)")
        slow = [asyncio.create_task(database.write(lambda session: session.execute(sleep), urgent=True)) for _ in range(32)]
        await asyncio.sleep(0)
        began = time.monotonic()
        assert await database.write(lambda session: add_thing(session, "urgent"), urgent=True) == "urgent"
        assert time.monotonic() - began > 1.5, "it proves nothing unless it had to wait"
        await asyncio.gather(*slow)


async def test_an_urgent_write_is_not_kept_waiting_by_all_others_that_wait_for_one_lock(postgres_url: str) -> None:
    lock = text("SELECT pg_advisory_xact_lock(7)")
    async with open_things(postgres_url) as database:
        held = asyncio.create_task(database.write(lambda session: (session.execute(lock), session.execute(text("SELECT pg_sleep(2)")))))
        await asyncio.sleep(0.1)
        waiting = [asyncio.create_task(database.write(lambda session: session.execute(lock))) for _ in range(20)]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        assert await database.write(lambda session: add_thing(session, "urgent"), urgent=True) == "urgent"
        assert time.monotonic() - began < 0.7
        assert not held.done()
        await asyncio.gather(held, *waiting)


async def wait_for_a_commit_that_hangs(database: Database) -> float:
    """How long an urgent write waits for it while the same server answers reads, as it does without its standby."""

    async def read_all_the_while() -> None:
        while True:
            await database.read(find_names)
            await asyncio.sleep(0.1)

    async def write(name: str, seconds: float) -> None:
        def add(session: Session) -> None:
            add_thing(session, name)
            session.execute(text(f"SELECT pg_sleep({seconds})"))

        await database.write(add, urgent=True)

    await write("first", 0)
    reading = asyncio.create_task(read_all_the_while())
    began = time.monotonic()
    with suppress(ServiceUnavailable):
        await write("second", 2)
    reading.cancel()
    return time.monotonic() - began


async def test_an_urgent_write_is_not_kept_waiting_by_reads_that_are_answered(postgres_url: str) -> None:
    async with open_things(postgres_url) as database:
        assert await wait_for_a_commit_that_hangs(database) < 1.0


async def test_mutant_reads_that_are_answered_would_keep_it_waiting(postgres_url: str) -> None:
    async with having_tables(CountsReads(make_url(postgres_url), log.before_commit, lambda: None)) as database:
        assert await wait_for_a_commit_that_hangs(database) > 1.0


async def test_a_process_that_was_held_up_itself_does_not_blame_its_database(database_url: str) -> None:
    async with open_things(database_url) as database:
        write = asyncio.create_task(database.write(lambda session: add_thing(session, "urgent"), urgent=True))
        await asyncio.sleep(0)
        # As a machine that is suspended: time passes, and nothing runs.
        time.sleep(1.5)
        assert await write == "urgent"


async def test_a_write_to_a_locked_file_is_refused_within_a_second(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "test.db"
    async with open_things(f"sqlite:///{path}") as database:
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                async with unavailable_within(1.0):
                    await database.write(lambda session: add_thing(session, "during"), urgent=True)
            other.execute("ROLLBACK")
        other.close()
        await database.write(lambda session: add_thing(session, "after"))
        assert await database.read(find_names) == ["after"]
    assert caplog.text.count("the database does not answer (SQLITE_BUSY)") == caplog.text.count("the database answers again") == 1


async def test_a_damaged_file_is_an_outage_and_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    async with open_things(f"sqlite:///{path}") as database:
        await database.write(lambda session: [add_thing(session, f"{number:05}", "x" * 500) for number in range(200)])
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * (path.stat().st_size - 4096))
    async with open_database(f"sqlite:///{path}", log.before_commit, lambda: None) as database:
        for run in (database.write, database.read):
            with pytest.raises(ServiceUnavailable):
                await run(find_names)


async def test_a_read_cannot_write(database_url: str) -> None:
    async with open_things(database_url) as database:
        with pytest.raises((DBAPIError, ServiceUnavailable)):
            await database.read(lambda session: add_thing(session, "by a read"))
        assert await database.read(find_names) == []
