"""What a write promises: alone in its failure, once in its effect, on disk before the answer, whoever has given up on it."""

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session
from tiny_service import NIGHTLY, Thing, add_thing, find_names, having_tables, log, open_things, read_log

from chassis.database import Database
from chassis.database.postgres import PostgresDatabase
from chassis.database.sqlite import SqliteDatabase

GROUP = 16


def violate_constraint(session: Session) -> None:
    add_thing(session, "bad")
    add_thing(session, "bad")


def raise_exception(session: Session) -> None:
    add_thing(session, "bad")
    raise ValueError


def raise_stop_iteration(session: Session) -> None:
    add_thing(session, "bad")
    next(iter(()))


def raise_generator_exit(session: Session) -> None:
    add_thing(session, "bad")
    raise GeneratorExit


def fail_to_flush(session: Session) -> None:
    add_thing(session, "bad")
    session.add(Thing(name="bad"))


def fail_before_commit(session: Session) -> None:
    add_thing(session, "bad")
    log.append(session, "Unserializable", "bad", 1, attribute=object())


def break_deferred_reference(session: Session) -> None:
    add_thing(session, "bad")
    session.add(Thing(name="orphan", parent="nobody"))


def roll_everything_back(session: Session) -> None:
    add_thing(session, "bad")
    session.execute(text("INSERT OR ROLLBACK INTO things (name, note) VALUES ('bad', '')"))


def ask_for_a_missing_table(session: Session) -> None:
    session.execute(text("SELECT * FROM nowhere"))


# What fails, and how the error's name ends: at COMMIT it is the driver's own.
KINDS: list[tuple[Callable[[Session], None], str]] = [
    (violate_constraint, "IntegrityError"),
    (raise_exception, "ValueError"),
    (raise_stop_iteration, "RuntimeError"),
    (raise_generator_exit, "GeneratorExit"),
    (fail_to_flush, "IntegrityError"),
    (fail_before_commit, "TypeError"),
    (break_deferred_reference, "Error"),
]


class WithoutSavepoints(SqliteDatabase):
    """Mutant: the operations of a group share one transaction."""

    def _attempt(self, session: Any, driver: Any, write: Any) -> None:
        try:
            write.value = write.operation(session)
            session.flush()
            log.before_commit(session)
        except Exception as error:  # noqa: BLE001
            write.error = error


async def write_group(database: Database, bad: Callable[[Session], None], place: int) -> list[Any]:
    """What became of sixteen writes that wait together while the writer is busy; the bad one stands at `place`."""
    begun, free = threading.Event(), threading.Event()

    def occupy(_: Session) -> None:
        begun.set()
        free.wait(10)

    busy = asyncio.create_task(database.write(occupy))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    good = [lambda session, name=f"{number:02}": add_thing(session, name) for number in range(GROUP - 1)]
    waiting = [asyncio.create_task(database.write(each)) for each in [*good[:place], bad, *good[place:]]]
    while database.pending <= GROUP:
        await asyncio.sleep(0)
    free.set()
    outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)
    await busy
    return outcomes


@pytest.mark.parametrize("place", [0, 7, GROUP - 1])
@pytest.mark.parametrize(("bad", "error"), [*KINDS, (roll_everything_back, "IntegrityError")])
async def test_a_failing_operation_fails_alone_in_its_group(tmp_path: Path, bad: Callable[[Session], None], error: str, place: int) -> None:
    async with open_things(f"sqlite:///{tmp_path / 'test.db'}") as database:
        outcomes = await write_group(database, bad, place)
        expected = [f"{number:02}" for number in range(GROUP - 1)]
        assert type(outcomes.pop(place)).__name__.endswith(error)
        assert outcomes == expected
        assert await database.read(find_names) == expected
        assert sorted(await database.read(read_log)) == expected


async def test_without_savepoints_a_failed_operation_leaves_rows(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    path.touch()
    mutant = WithoutSavepoints(path, log.before_commit, lambda: None)
    async with having_tables(mutant) as database:
        outcomes = await write_group(database, raise_exception, 7)
        assert isinstance(outcomes[7], ValueError)
        assert "bad" in await database.read(find_names)


async def test_a_group_is_one_commit(tmp_path: Path) -> None:
    commits: list[None] = []
    async with open_things(f"sqlite:///{tmp_path / 'test.db'}", committed=lambda: commits.append(None)) as database:
        before = len(commits)
        await write_group(database, raise_exception, 7)
        # The one that kept the writer busy, and the sixteen.
        assert len(commits) - before == 2


@pytest.mark.parametrize(("bad", "error"), KINDS)
async def test_a_failing_operation_leaves_nothing(database_url: str, bad: Callable[[Session], None], error: str) -> None:
    async with open_things(database_url) as database:
        with pytest.raises(BaseException) as raised:  # noqa: PT011  # the name says which
            await asyncio.wait_for(database.write(bad), 10)
        assert type(raised.value).__name__.endswith(error)
        assert await database.write(lambda session: add_thing(session, "good")) == "good"
        assert await database.read(find_names) == ["good"]
        assert await database.read(read_log) == ["good"]


async def test_a_mistake_of_ours_is_not_called_an_outage(database_url: str) -> None:
    async with open_things(database_url) as database:
        for run in (database.write, database.read):
            with pytest.raises(Exception, match="nowhere") as raised:
                await run(ask_for_a_missing_table)
            assert type(raised.value).__name__ in {"OperationalError", "ProgrammingError"}


async def test_cancelled_writes_commit_exactly_once_and_leave_no_connection_behind(database_url: str) -> None:
    random.seed(7)
    begun: list[str] = []
    cancelled = 0

    async def write(database: Database, name: str) -> None:
        begun.append(name)
        await database.write(lambda session: add_thing(session, name))

    async with open_things(database_url) as database:
        for batch in range(20 if not NIGHTLY else 100):
            calls = [asyncio.create_task(write(database, f"{batch:03}-{number:02}")) for number in range(50)]
            for call in calls:
                asyncio.get_running_loop().call_later(random.uniform(0, 0.02), call.cancel)
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            cancelled += sum(isinstance(each, asyncio.CancelledError) for each in outcomes)
            # As admission does: what was given up still has to be done.
            while database.pending > 100:
                await asyncio.sleep(0.001)
        assert cancelled > len(begun) / 10, "the run proves nothing unless many were cancelled midway"
        async with asyncio.timeout(10):
            while database.pending:
                await asyncio.sleep(0.01)
        assert await database.read(find_names) == sorted(begun)
        assert sorted(await database.read(read_log)) == sorted(begun)
        if isinstance(database, PostgresDatabase):
            assert database._idle.full()


async def test_closing_finishes_a_write_whose_caller_has_gone(database_url: str) -> None:
    async with open_things(database_url) as database:
        call = asyncio.create_task(database.write(lambda session: add_thing(session, "abandoned")))
        await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
    async with open_things(database_url) as database:
        assert await database.read(find_names) == ["abandoned"]


async def test_pending_counts_what_has_not_ended_whether_or_not_anybody_waits(database_url: str) -> None:
    async with open_things(database_url) as database:
        calls = [asyncio.create_task(database.write(lambda session, name=str(number): add_thing(session, name))) for number in range(20)]
        await asyncio.sleep(0)
        for call in calls[:10]:
            call.cancel()
        assert database.pending >= 10
        await asyncio.gather(*calls, return_exceptions=True)
        async with asyncio.timeout(10):
            while database.pending:
                await asyncio.sleep(0.01)


async def test_whoever_has_their_answer_is_not_pending(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(lambda session: add_thing(session, "first"))
        assert database.pending == 0
        assert await database.read(find_names) == ["first"]
        assert database.pending == 0
        with pytest.raises(ZeroDivisionError):
            await database.write(lambda _: 1 / 0)
        assert database.pending == 0


async def test_a_write_is_announced_after_it_can_be_read(database_url: str) -> None:
    rung = asyncio.Event()
    async with open_things(database_url, committed=rung.set) as database:
        rung.clear()
        write = asyncio.create_task(database.write(lambda session: add_thing(session, "first")))
        await asyncio.wait_for(rung.wait(), 5)
        assert await database.read(read_log) == ["first"]
        await write
