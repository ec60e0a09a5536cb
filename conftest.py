"""What every folder of tests stands on: the two databases and an issuer of tokens, each of them real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from chassis.testing import Issuer, Postgres, create_database, execute, run_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One that does not wait for the disk, for whatever cuts nobody's power."""
    with run_postgres() as server:
        execute(server.url, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
        yield server.url


@pytest.fixture(scope="session")
def durable_postgres_server() -> Iterator[str]:
    """One as in production, for the tests of faults."""
    with run_postgres() as server:
        yield server.url


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """For a test that stops or pauses it."""
    with run_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(durable_postgres_server: str) -> str:
    """An empty database of its own."""
    return create_database(durable_postgres_server)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="session")
def metric_reader() -> InMemoryMetricReader:
    """What this process has measured so far; it can be set up once alone."""
    reader = InMemoryMetricReader()
    metrics.set_meter_provider(MeterProvider([reader]))
    return reader
