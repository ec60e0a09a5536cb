"""Persons and calls for the tests of the contract."""

import asyncio
import uuid
from collections.abc import Iterator

import asyncpg
import pytest

from contract.rpcs import Services
from harness import RunningPlatform, run_platform
from security.tokens import Signer


@pytest.fixture(scope="session")
def services(platform: RunningPlatform) -> Iterator[Services]:
    services = Services(platform)
    yield services
    services.close()


@pytest.fixture(scope="session")
def signer(platform: RunningPlatform) -> Signer:
    return Signer(platform)


@pytest.fixture(scope="session")
def dispatcher(signer: Signer) -> str:
    return signer.sign("contract-dispatcher", "dispatcher", agency="agencies/jakarta-112")


@pytest.fixture(scope="session")
def supervisor(signer: Signer) -> str:
    return signer.sign("contract-supervisor", "supervisor", agency="agencies/jakarta-112")


@pytest.fixture(scope="session")
def citizen(signer: Signer) -> str:
    return signer.sign("contract-citizen")


@pytest.fixture(scope="session")
def spare_platform(postgres_server: str) -> Iterator[RunningPlatform]:
    """One for what is rough: on PostgreSQL, two replicas of alerts, hardly any limits."""
    urls: dict[str, str] = {}

    async def create() -> None:
        connection = await asyncpg.connect(postgres_server.replace("+asyncpg", ""))
        for service in ("alerts", "directory"):
            name = f"contract_{service}_{uuid.uuid4().hex}"
            await connection.execute(f"CREATE DATABASE {name}")
            urls[f"{service.upper()}_DATABASE_URL"] = postgres_server.replace("/postgres?", f"/{name}?")
        await connection.close()

    asyncio.run(create())
    with run_platform({**urls, "GATEWAY_SUBJECT_LIMIT": "1000000", "GATEWAY_ADDRESS_LIMIT": "1000000"}, replicas=2) as running:
        yield running
