"""Persons and calls for the tests of the contract."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from chassis.testing import create_database
from contract.over_json import Gateway, Way
from contract.rpcs import Services
from harness import RunningPlatform, run_platform
from security.tokens import Signer


@pytest.fixture(scope="session")
def dispatcher(signer: Signer) -> str:
    return signer.sign("contract-dispatcher", "dispatcher", agency="agencies/jakarta-112")


@pytest.fixture(scope="session")
def supervisor(signer: Signer) -> str:
    return signer.sign("contract-supervisor", "supervisor", agency="agencies/jakarta-112")


@pytest.fixture(scope="session")
def admin(signer: Signer) -> str:
    return signer.sign("contract-admin", "admin")


@pytest.fixture(scope="session")
def insider(signer: Signer) -> str:
    """Of every role, where it does not matter which one an RPC wants."""
    return signer.sign("contract-insider", "dispatcher", "supervisor", "admin", "adapter", "service", agency="agencies/jakarta-112")


@pytest.fixture(scope="session")
def citizen(signer: Signer) -> str:
    return signer.sign("contract-citizen")


@pytest.fixture(scope="session", params=["grpc", "json"])
def way(request: pytest.FixtureRequest, services: Services, platform: RunningPlatform) -> Iterator[Way]:
    """Over gRPC straight at the services, and as JSON through the gateway."""
    if request.param == "grpc":
        yield services
    else:
        with closing(Gateway(platform)) as gateway:
            yield gateway


@pytest.fixture(scope="session")
def spare_platform(postgres_server: str) -> Iterator[RunningPlatform]:
    """One for what is rough: on PostgreSQL, two replicas of alerts, hardly any limits."""
    urls = {f"{service.upper()}_DATABASE_URL": create_database(postgres_server) for service in ("alerts", "directory")}
    with run_platform({**urls, "GATEWAY_SUBJECT_LIMIT": "1000000", "GATEWAY_ADDRESS_LIMIT": "1000000"}, replicas=2) as running:
        yield running
