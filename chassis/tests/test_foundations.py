"""The small parts: identifiers and times, prepared statements, secrets, and the parts that the tests stand on."""

import asyncio
import stat
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.orm import Session
from tiny_service import open_things

from chassis.clock import UtcTime, new_uuid, now
from chassis.settings import read_secret
from chassis.statements import Prepared
from chassis.testing import free_port, is_listening, wait_until

JAKARTA = timezone(timedelta(hours=7))


def test_identifiers_are_uuids_of_version_7_that_say_when() -> None:
    before = now()
    made = [uuid.UUID(new_uuid()) for _ in range(1000)]
    after = now()
    assert len(set(made)) == 1000
    for each in made:
        assert (each.version, each.variant) == (7, uuid.RFC_4122)
        millis = each.int >> 80
        assert int(before.timestamp() * 1000) <= millis <= int(after.timestamp() * 1000)


def test_identifiers_sort_by_the_millisecond_of_their_making() -> None:
    made: list[tuple[int, str]] = []
    while len({millis for millis, _ in made}) < 10:
        name = new_uuid()
        made.append((uuid.UUID(name).int >> 80, name))
    assert [millis for millis, _ in sorted(made, key=lambda each: each[1])] == sorted(millis for millis, _ in made)


def test_identifiers_of_one_millisecond_share_74_random_bits_of_difference() -> None:
    drawn = [uuid.UUID(new_uuid()).int for _ in range(2000)]
    random_bits = [number & ((1 << 62) - 1) | (number >> 64 & 0xFFF) << 62 for number in drawn]
    ones = [sum(bits >> place & 1 for bits in random_bits) for place in range(74)]
    assert all(800 < count < 1200 for count in ones), "each bit is one in about half of them"


@given(moment=st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from([UTC, JAKARTA])))  # noqa: DTZ001
def test_a_time_in_sqlite_is_text_of_one_width_that_sorts_by_time(moment: datetime) -> None:
    dialect = SQLiteDialect_pysqlite()
    text = UtcTime().process_bind_param(moment, dialect)
    later = UtcTime().process_bind_param(moment + timedelta(microseconds=1), dialect)
    assert len(text) == 32
    assert text < later
    assert UtcTime().process_result_value(text, dialect) == moment
    assert UtcTime().process_bind_param(moment, PGDialect_asyncpg()) is moment


metadata = MetaData()
MOMENTS = Table(
    "moments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("word", String, nullable=False),
    Column("moment", UtcTime),
    Column("content", LargeBinary),
)
INSERT = Prepared(insert(MOMENTS), ["word", "moment", "content"])


async def test_a_prepared_statement_does_as_an_ordinary_one(database_url: str) -> None:
    moment = datetime(2026, 11, 23, 7, 30, 0, 1, JAKARTA)
    rows: list[dict[str, Any]] = [
        {"word": "'; DROP TABLE moments; --", "moment": moment, "content": b"\0\xff", "ignored": "other keys are none of its own"},
        {"word": "🚨", "moment": None, "content": None},
    ]

    def write(session: Session) -> list[int]:
        connection = session.connection()
        metadata.create_all(connection)
        touched = [INSERT.execute(connection, rows[0])]
        INSERT.execute_many(connection, rows)
        change = Prepared(update(MOMENTS).where(MOMENTS.c.word == bindparam("old")).values(word=bindparam("new")))
        touched += [change.execute(connection, {"old": "🚨", "new": "changed"}) for _ in range(2)]
        return touched

    def read(session: Session) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in session.execute(select(MOMENTS.c.word, MOMENTS.c.moment, MOMENTS.c.content).order_by(MOMENTS.c.id))]

    async with open_things(database_url) as database:
        assert await database.write(write) == [1, 1, 0]
        first = (rows[0]["word"], moment, b"\0\xff")
        assert await database.read(read) == [first, first, ("changed", None, None)]
        [(_, found, _), *_] = await database.read(read)
        assert found.utcoffset() == timedelta(0)


async def test_a_prepared_statement_that_lacks_a_value_fails(database_url: str) -> None:
    async with open_things(database_url) as database:
        with pytest.raises(KeyError):
            await database.write(lambda session: INSERT.execute(session.connection(), {"word": "alone"}))


def test_a_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret"
    secret = read_secret(path)
    assert len(secret) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_secret(path) == secret
    assert read_secret(tmp_path / "other") != secret


def test_replicas_that_start_at_once_share_one_secret(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    ready = threading.Barrier(16)

    def read() -> bytes:
        ready.wait()
        return read_secret(path)

    for _ in range(20):
        with ThreadPoolExecutor(16) as threads:
            assert len({future.result() for future in [threads.submit(read) for _ in range(16)]}) == 1
        path.unlink()


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_secret_of_another_size_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(SystemExit, match=f"must hold 32 random bytes, not {len(content)}"):
        read_secret(path)
    assert path.read_bytes() == content, "nothing is overwritten"


def test_waiting_says_what_did_not_come() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.05 s: the tide"):
        wait_until(lambda: False, 0.05, "the tide")


async def test_a_free_port_is_free() -> None:
    port = free_port()
    assert not is_listening(port)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
    assert is_listening(port)
    server.close()
    await server.wait_closed()
