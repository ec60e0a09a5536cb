"""A text that calls for help is taken as an SOS by the app is, and keeps nobody's from being taken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from locking import connect, on_postgres, wait_for_locks
from people import People
from texting import OTHER_PHONE, SmsGateway

# As many as may wait for a lock beside those who call for help.
WAITING = 6


@asynccontextmanager
async def held(url: str, alert: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody has the alert; tells a connection by which one sees who waits for it."""
    holding, looking = await connect(url), await connect(url)
    try:
        async with holding.transaction():
            await holding.execute("SELECT FROM alerts WHERE name = $1 FOR UPDATE", alert)
            yield looking
    finally:
        for each in (holding, looking):
            await each.close()


@on_postgres
async def test_one_is_taken_while_all_else_waits_for_one_alert(people: People, database_url: str) -> None:
    name, _ = await people.raise_alert()
    async with held(database_url, name) as looking:
        waiting = [asyncio.create_task(people.rina("AcknowledgeAlert", name=name)) for _ in range(2 * WAITING)]
        await wait_for_locks(looking, WAITING)
        async with asyncio.timeout(1):
            assert await SmsGateway(people).send("tolong, rumah kami kebakaran")
        assert not any(each.done() for each in waiting)
    await asyncio.gather(*waiting)


@on_postgres
async def test_those_of_one_number_that_wait_for_its_alert_keep_no_sos_waiting(people: People, database_url: str) -> None:
    sms = SmsGateway(people)
    name = await sms.send("SOS kebakaran")
    async with held(database_url, name) as looking:
        waiting = [asyncio.create_task(sms.send("SOS tolong")) for _ in range(2 * WAITING)]
        await wait_for_locks(looking, WAITING)
        async with asyncio.timeout(1):
            await people.raise_alert()
            assert await sms.send("SOS", OTHER_PHONE) != name
        assert not any(each.done() for each in waiting)
    assert set(await asyncio.gather(*waiting)) == {name}
