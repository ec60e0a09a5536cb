import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from alerts import counting
from alerts.__main__ import MIGRATIONS
from alerts.model import Model
from alerts.settings import Settings
from chassis import migrations
from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, create_database, execute, free_port

# What the tests of this folder share stands beside them in modules.
sys.path.append(str(Path(__file__).parent))

from cities import write_snapshot
from city import make_city
from officials import Officials
from people import People, run_service
from responders import Responders
from warned import Readers, make_snapshot


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """One for all tests, because a database of its own for each costs more than the tests."""
    url = create_database(postgres_server)
    migrations.migrate(url, MIGRATIONS, Model.metadata)
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied for each test, because migrations cost as much as a test."""
    path = tmp_path_factory.mktemp("migrated") / "alerts.db"
    migrations.migrate(f"sqlite:///{path}", MIGRATIONS, Model.metadata)
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without a row, once on each engine."""
    if request.param == "sqlite":
        path = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "test.db")
        return f"sqlite:///{path}"
    url = request.getfixturevalue("migrated_postgres")
    tables = [table.name for table in reversed(Model.metadata.sorted_tables)]
    execute(url, *(f"DELETE FROM {name}" for name in tables))
    return url


@pytest.fixture
def settings(database_url: str, tmp_path: Path, issuer: Issuer) -> Settings:
    platform = Platform(
        data=tmp_path, issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.jwks_url, redis_url=SecretStr(f"redis://127.0.0.1:{free_port()}")
    )
    return Settings(
        platform=platform,
        listen=f"127.0.0.1:{free_port()}",
        database_url=SecretStr(database_url),
        secret_file=tmp_path / "secret",
        directory=f"127.0.0.1:{free_port()}",
        snapshot_file=tmp_path / "directory",
        max_watches=20,
    )


@pytest.fixture
async def channel(settings: Settings) -> AsyncIterator[grpc.aio.Channel]:
    """To the service, which runs in this process on a real port and a real database."""
    async with run_service(settings) as channel:
        yield channel


@pytest.fixture
async def people(channel: grpc.aio.Channel, issuer: Issuer) -> People:
    people = People(channel, issuer)
    # An SOS never waits for the issuer's keys: until the service has them, its caller is nobody.
    await people.dewi("ListAlerts")
    return people


@pytest.fixture
async def readers(settings: Settings, issuer: Issuer) -> AsyncIterator[Readers]:
    """Of warnings, whose service knows the areas of a directory."""
    settings.snapshot_file.write_bytes(make_snapshot().SerializeToString())
    async with run_service(settings) as channel:
        yield Readers(channel, issuer)


@pytest.fixture
async def responders(settings: Settings, issuer: Issuer) -> AsyncIterator[Responders]:
    """With a directory that knows their agencies."""
    write_snapshot(settings.snapshot_file)
    async with run_service(settings) as channel:
        responders = Responders(channel, issuer)
        await responders.dewi("ListAlerts")
        yield responders


@pytest.fixture
def city_snapshot(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service knows areas, and counts at once."""
    settings.snapshot_file.write_bytes(make_city().SerializeToString())
    monkeypatch.setattr(counting, "_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(counting, "_POLL_SECONDS", 0.05)


@pytest.fixture
async def officials(city_snapshot: None, people: People) -> Officials:  # noqa: ARG001  # before the service starts
    officials = Officials(people)
    await officials.wait()
    return officials
