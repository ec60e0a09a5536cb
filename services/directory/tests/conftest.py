"""The directory on a real port and a real database, in the process of the tests."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url

from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, create_database, free_port, is_listening
from directory.__main__ import serve
from directory.commands import migrate_database
from directory.settings import Settings
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

sys.path.append(str(Path(__file__).parent))
SHARED = Path(__file__).parents[4] / "shared" / "data" / "jakarta"

Run = Callable[[Settings], AbstractAsyncContextManager["Stub"]]


class Stub(DirectoryServiceStub, DirectoryAdminServiceStub):
    """Both services of the directory."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        DirectoryServiceStub.__init__(self, channel)
        DirectoryAdminServiceStub.__init__(self, channel)


@pytest.fixture(scope="session")
def kelurahan() -> Path:
    """The 267 polygons of Jakarta's villages, which lie beside the repository."""
    path = SHARED / "kelurahan.geojson"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository")
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def empty_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database that was never migrated; of SQLite, the file is not there."""
    if engine == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return create_database(request.getfixturevalue("postgres_server"))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "directory.db"
    migrate_database(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: str) -> str:
    """The name of the database."""
    url = create_database(postgres_server)
    migrate_database(url)
    return make_url(url).database or ""


@pytest.fixture
def migrated_url(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """With Jakarta in it. A copy, because migrating for each test would take longer than most of them."""
    if engine == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        return f"sqlite:///{path}"
    return create_database(request.getfixturevalue("postgres_server"), request.getfixturevalue("migrated_postgres"))


def make_settings(url: str, folder: Path, issuer: Issuer) -> Settings:
    platform = Platform(data=folder / "data", issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.jwks_url)
    return Settings(platform=platform, listen=f"127.0.0.1:{free_port()}", database_url=SecretStr(url))


@pytest.fixture
def unmigrated(empty_url: str, tmp_path: Path, issuer: Issuer) -> Settings:
    return make_settings(empty_url, tmp_path, issuer)


@pytest.fixture
def settings(migrated_url: str, tmp_path: Path, issuer: Issuer) -> Settings:
    return make_settings(migrated_url, tmp_path, issuer)


@pytest.fixture
def run() -> Run:
    """Runs the service and gives a client of it."""

    @asynccontextmanager
    async def run(settings: Settings) -> AsyncIterator[Stub]:
        serving = asyncio.create_task(serve(settings))
        port = int(settings.listen.rpartition(":")[2])
        try:
            async with asyncio.timeout(10):
                # A channel that is refused at its first try waits for a second before the next one.
                while not serving.done() and not is_listening(port):
                    await asyncio.sleep(0.005)
            # The limit is that of any client that reads a snapshot.
            options = [("grpc.max_receive_message_length", 256 * 1024 * 1024)]
            async with grpc.aio.insecure_channel(settings.listen, options) as channel:
                yield Stub(channel)
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving

    return run


@pytest.fixture
async def stub(settings: Settings, run: Run) -> AsyncIterator[Stub]:
    async with run(settings) as stub:
        yield stub


@pytest.fixture
def admin(issuer: Issuer) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {issuer.sign('indra', 'citizen', 'admin')}"),)
