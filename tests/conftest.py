"""One platform for all tests that leave it as it is; those that break parts run their own."""

from collections.abc import Iterator

import pytest

from harness import RunningPlatform, run_platform


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    with run_platform() as running:
        yield running
