"""What PostgreSQL's locks have come to, and others who hold them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

# On SQLite one writes after the other, whatever is locked.
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


async def connect(url: str) -> asyncpg.Connection:
    """Somebody else at the service's database."""
    return await asyncpg.connect(url.replace("+asyncpg", ""))


async def count_deadlocks(url: str) -> int:
    connection = await connect(url)
    try:
        return await connection.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    finally:
        await connection.close()


async def wait_for_locks(connection: asyncpg.Connection, number: int) -> None:
    """Until so many wait for one."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while await connection.fetchval(question) < number:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def let_go_together(url: str, table: str, number: int) -> AsyncIterator[None]:
    """So many who want to lock or write rows of a table, and were begun within it, go on at one moment."""
    holder, looking = await connect(url), await connect(url)
    try:
        async with holder.transaction():
            await holder.execute(f"LOCK TABLE {table} IN EXCLUSIVE MODE")
            yield
            await wait_for_locks(looking, number)
    finally:
        for each in (holder, looking):
            await each.close()
