"""Wires the directory: `python -m directory [migrate | revision MESSAGE | import FILE]`; without a command it serves."""

import asyncio

from chassis import telemetry
from chassis.database import open_database
from chassis.server import Server, Servicer
from chassis.settings import read_settings
from directory.commands import run_command
from directory.current import CurrentDirectory
from directory.servicer import DirectoryServicer
from directory.settings import Settings
from siaga.directory.v1.directory_service_pb2 import DESCRIPTOR
from siaga.directory.v1.directory_service_pb2_grpc import add_DirectoryServiceServicer_to_server


async def serve(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    async with open_database(url, lambda _: None, lambda: None) as database:
        current = CurrentDirectory(database, url, settings.platform.data / "directory.snapshot")
        # A database that hangs keeps nobody waiting for an answer.
        loading = asyncio.create_task(current.refresh())
        await asyncio.wait({loading}, timeout=3)
        service = DESCRIPTOR.services_by_name["DirectoryService"]
        servicer = Servicer(service, add_DirectoryServiceServicer_to_server, DirectoryServicer(current, settings.platform.dial))
        await Server(settings.listen, settings.platform, database, [servicer], [current.run]).run()


def main() -> None:
    settings = read_settings(Settings)
    if not run_command(settings):
        end_telemetry = telemetry.start("directory", settings.platform)
        asyncio.run(serve(settings))
        end_telemetry()


if __name__ == "__main__":
    main()
