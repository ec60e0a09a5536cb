import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from alerts.__main__ import MIGRATIONS, serve
from alerts.model import Model
from alerts.settings import Settings
from chassis import migrations
from chassis.settings import Platform
from chassis.testing import AUDIENCE, ISSUER, Issuer, free_port
from pydantic import SecretStr


@pytest.fixture
def settings(database_url: str, tmp_path: Path, issuer: Issuer) -> Settings:
    migrations.migrate(database_url, MIGRATIONS, Model.metadata)
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
    serving = asyncio.create_task(serve(settings))
    async with grpc.aio.insecure_channel(settings.listen) as channel:
        await asyncio.wait_for(channel.channel_ready(), 10)
        yield channel
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
