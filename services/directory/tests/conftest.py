"""The directory on a real port and a real database, in the process of the tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr

from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, free_port
from directory.__main__ import serve
from directory.commands import migrate_database
from directory.settings import Settings
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

SHARED = Path(__file__).parents[4] / "shared" / "data" / "jakarta"

Run = Callable[[Settings], AbstractAsyncContextManager[DirectoryServiceStub]]


@pytest.fixture(scope="session")
def kelurahan() -> Path:
    """The 267 polygons of Jakarta's villages, which lie beside the repository."""
    path = SHARED / "kelurahan.geojson"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the repository")
    return path


@pytest.fixture
def unmigrated(database_url: str, tmp_path: Path, issuer: Issuer) -> Settings:
    platform = Platform(data=tmp_path / "data", issuer=ISSUER, audience=AUDIENCE, jwks_url=issuer.jwks_url)
    platform.data.mkdir()
    return Settings(platform=platform, listen=f"127.0.0.1:{free_port()}", database_url=SecretStr(database_url))


@pytest.fixture
def settings(unmigrated: Settings) -> Settings:
    migrate_database(unmigrated.database_url.get_secret_value())
    return unmigrated


@pytest.fixture
def run() -> Run:
    """Runs the service and gives a client of it."""

    @asynccontextmanager
    async def run(settings: Settings) -> AsyncIterator[DirectoryServiceStub]:
        serving = asyncio.create_task(serve(settings))
        # The limit is that of any client that reads a snapshot.
        options = [("grpc.max_receive_message_length", 256 * 1024 * 1024)]
        async with grpc.aio.insecure_channel(settings.listen, options) as channel:
            ready = asyncio.ensure_future(channel.channel_ready())
            await asyncio.wait({ready, serving}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            assert ready.done(), "not serving within 10 s"
            yield DirectoryServiceStub(channel)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    return run


@pytest.fixture
async def stub(settings: Settings, run: Run) -> AsyncIterator[DirectoryServiceStub]:
    async with run(settings) as stub:
        yield stub


@pytest.fixture
def admin(issuer: Issuer) -> tuple[tuple[str, str]]:
    return (("authorization", f"Bearer {issuer.sign('indra', 'citizen', 'admin')}"),)
