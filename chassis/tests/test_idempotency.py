"""Request ids: a repetition is answered with what the first one made, and nothing happens twice."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import MetaData, func, select, update
from sqlalchemy.orm import Session
from tiny_service import NIGHTLY, SECRET, Model, Thing, add_thing, find_names, keys, open_things

from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import RequestIdReused
from chassis.idempotency import RequestKeys
from siaga.alerts.v1.alert_service_pb2 import AddNoteRequest

KEYS = Model.metadata.tables["request_keys"]
CANARY = "the caller's own words"
NOTE_ID = "0193b1a2-0000-7abc-8def-0123456789ab"
REQUEST = AddNoteRequest(name="alerts/0", text=CANARY)


class LooksBeforeItWrites(RequestKeys):
    """Mutant: no unique index stands between two equal requests, only a look at what is there."""

    def claim(self, session: Session, scope: str, request_id: str, request: Message | None, resource: str) -> str | None:
        return session.scalars(select(Thing.name).where(Thing.note == request_id)).first()


def make_thing(session: Session, request_id: str, scope: str = "user", request: Message = REQUEST, own: RequestKeys = keys) -> str:
    """An operation as services write them: the name of the thing that this request id made."""
    name = f"things/{new_uuid()}"
    return own.claim(session, scope, request_id, request, name) or add_thing(session, name, request_id)


async def make(database: Database, request_id: str, **details: Any) -> str:  # as make_thing has them
    return await database.write(partial(make_thing, request_id=request_id, **details))


async def repeat_requests(database: Database, own: RequestKeys) -> int:
    """How many things many concurrent repetitions of each of some requests made; raises where answers to one differ."""
    ids = [new_uuid() for _ in range(100 if NIGHTLY else 20)]
    names: list[str] = []
    # Ten ids at a time: as much as a service lets in.
    for place in range(0, len(ids), 10):
        calls = [make(database, request_id, own=own) for request_id in ids[place : place + 10] for _ in range(50)]
        names += await asyncio.gather(*calls)
    for place in range(0, len(names), 50):
        assert len(set(names[place : place + 50])) == 1
    made = await database.read(find_names)
    assert set(names) == set(made)
    return len(made) - len(ids)


async def test_concurrent_repetitions_have_one_effect_and_one_answer(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        assert await repeat_requests(database, keys) == 0


async def test_without_the_unique_index_repetitions_have_more_effects(postgres_url: str) -> None:
    async with open_things(postgres_url) as database:
        with pytest.raises(AssertionError):
            await repeat_requests(database, LooksBeforeItWrites(MetaData()))


async def test_the_same_id_with_another_body_is_refused_and_changes_nothing(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        request_id = new_uuid()
        name = await make(database, request_id)
        for other in (AddNoteRequest(name="alerts/0", text="other words"), AddNoteRequest(name="alerts/1", text=CANARY)):
            with pytest.raises(RequestIdReused) as refused:
                await make(database, request_id, request=other)
            assert [field for field, _ in refused.value.fields] == ["requestId"]
        assert await database.read(find_names) == [name]
        # UUIDs are the same in either case, in the body, too.
        first, second = (AddNoteRequest(name="alerts/1", text=CANARY, request_id=each) for each in (NOTE_ID, NOTE_ID.upper()))
        noted = await make(database, NOTE_ID, request=first)
        assert await make(database, NOTE_ID.upper(), request=second) == noted


async def test_where_any_body_will_do_another_one_is_a_replay(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        request_id = new_uuid()
        assert await make(database, request_id, request=None) == await make(database, request_id, request=None)


async def test_another_scope_sees_nothing_of_an_id(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        request_id = new_uuid()
        first = await make(database, request_id, scope="user\0anna")
        second = await make(database, request_id, scope="user\0budi", request=AddNoteRequest(text="other words"))
        assert first != second
        assert await database.read(find_names) == sorted([first, second])


async def test_a_failed_operation_leaves_no_key(database_url: str) -> None:
    def fail(session: Session, request_id: str) -> None:
        make_thing(session, request_id)
        message = "after the claim"
        raise ValueError(message)

    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        request_id = new_uuid()
        with pytest.raises(ValueError, match="after the claim"):
            await database.write(partial(fail, request_id=request_id))
        # Not even bound to its body.
        name = await make(database, request_id, request=AddNoteRequest(text="corrected"))
        assert await database.read(find_names) == [name]


async def expire_keys(database: Database, by: timedelta = timedelta(seconds=1)) -> None:
    question = update(KEYS).where(KEYS.c.resource != "").values(expire_time=now() - by)
    await database.write(lambda session: session.execute(question).close())


async def test_an_expired_key_is_taken_again(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        request_id = new_uuid()
        first = await make(database, request_id)
        await expire_keys(database, by=-timedelta(minutes=1))
        assert await make(database, request_id) == first
        await expire_keys(database)
        second = await make(database, request_id, request=AddNoteRequest(text="another request by now"))
        assert second != first
        assert await make(database, request_id, request=AddNoteRequest(text="another request by now")) == second


async def count_keys(database: Database) -> int:
    return await database.read(lambda session: session.execute(select(func.count()).select_from(KEYS)).scalar_one())


async def test_sweeping_removes_what_has_expired_and_nothing_else(database_url: str) -> None:
    async with open_things(database_url) as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        await asyncio.gather(*[make(database, new_uuid()) for _ in range(30)])
        await expire_keys(database)
        kept = new_uuid()
        name = await make(database, kept)
        sweeping = asyncio.create_task(keys.keep_swept(database))
        async with asyncio.timeout(10):
            while await count_keys(database) > 2:
                await asyncio.sleep(0.01)
        sweeping.cancel()
        # The last one's, and the one that tells the secret.
        assert await count_keys(database) == 2
        assert await make(database, kept) == name
        await database.write(partial(keys.unlock, secret=SECRET))


async def test_sweeping_outlives_the_database_being_away(database_url: str) -> None:
    async with open_things(database_url) as database:
        pass
    sweeping = asyncio.create_task(keys.keep_swept(database))
    _, pending = await asyncio.wait([sweeping], timeout=0.1)
    assert pending
    sweeping.cancel()


def test_another_secret_ends_the_start(database_url: str) -> None:
    async def start(secret: bytes) -> None:
        async with open_things(database_url) as database:
            await database.write(partial(RequestKeys(MetaData()).unlock, secret=secret))

    asyncio.run(start(SECRET))
    asyncio.run(start(SECRET))
    with pytest.raises(SystemExit, match="is not the one that this database was written with"):
        asyncio.run(start(b"other" * 6))


async def test_the_rows_hold_neither_the_request_nor_its_id_nor_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    request_id = new_uuid()
    async with open_things(f"sqlite:///{path}") as database:
        await database.write(partial(keys.unlock, secret=SECRET))
        name = await database.write(lambda session: keys.claim(session, "user\0anna", request_id, REQUEST, "things/1"))
        assert name is None
    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for secret in (CANARY.encode(), request_id.encode(), b"anna", REQUEST.SerializeToString(), SECRET):
        assert secret not in content
        assert secret.hex().encode() not in content
    assert b"things/1" in content, "the search finds what is there"
