"""One platform for all tests that leave it as it is; those that break parts run their own."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from contract.rpcs import Services
from harness import RunningPlatform, run_platform
from security.tokens import Signer


@pytest.fixture(scope="session")
def platform() -> Iterator[RunningPlatform]:
    # All tests come from one address, and those of a suite from one account.
    with run_platform({"GATEWAY_SUBJECT_LIMIT": "1000000", "GATEWAY_ADDRESS_LIMIT": "1000000"}) as running:
        yield running


@pytest.fixture(scope="session")
def services(platform: RunningPlatform) -> Iterator[Services]:
    with closing(Services(platform)) as services:
        yield services


@pytest.fixture(scope="session")
def signer(platform: RunningPlatform) -> Signer:
    return Signer(platform)
