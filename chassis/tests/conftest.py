import asyncio
import selectors
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from chassis.testing import create_database, execute

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
    """One for all tests of this folder."""
    return create_database(postgres_server)


@pytest.fixture
def postgres_url(chassis_database: str) -> str:
    """Empty: a new schema takes a tenth of a new database's time."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    execute(chassis_database, others, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return chassis_database
