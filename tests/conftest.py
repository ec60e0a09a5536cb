"""One platform for all tests that leave it as it is; those that break parts run their own."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from contract.rpcs import Services
from harness import RunningPlatform, run_platform
from security.tokens import Signer


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    with run_platform() as running:
        yield running


@pytest.fixture(scope="session")
def services(platform: RunningPlatform) -> Iterator[Services]:
    with closing(Services(platform)) as services:
        yield services


@pytest.fixture(scope="session")
def signer(platform: RunningPlatform) -> Signer:
    return Signer(platform)
