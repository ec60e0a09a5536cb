"""Wires the directory: `python -m directory [migrate | revision MESSAGE | import FILE | export]`; without a command it serves."""

import asyncio

from chassis import telemetry
from chassis.database import open_database
from chassis.server import Server, Servicer, run_service
from chassis.settings import read_settings
from directory.commands import run_command
from directory.current import CurrentDirectory
from directory.following import Following
from directory.model import log
from directory.servicer.admin import DirectoryAdminServicer
from directory.servicer.directory import DirectoryServicer
from directory.settings import Settings
from directory.wire import Writer
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb2
from siaga.directory.v1 import directory_service_pb2 as directory_pb2
from siaga.directory.v1.directory_admin_service_pb2_grpc import add_DirectoryAdminServiceServicer_to_server
from siaga.directory.v1.directory_service_pb2_grpc import add_DirectoryServiceServicer_to_server


async def serve(settings: Settings) -> None:
    url, data, writer = settings.database_url.get_secret_value(), settings.platform.data, Writer(settings.country)
    async with open_database(url, log.before_commit, lambda: None) as database:
        current = CurrentDirectory(database, url, data, writer, settings.secret_file)
        # A database that hangs keeps nobody waiting for an answer.
        loading = asyncio.create_task(current.refresh())
        await asyncio.wait({loading}, timeout=3)
        following = Following(current)
        answers = DirectoryServicer(current, following, settings)
        admin = DirectoryAdminServicer(current, writer, settings)
        servicers = [
            Servicer(directory_pb2.DESCRIPTOR.services_by_name["DirectoryService"], add_DirectoryServiceServicer_to_server, answers),
            Servicer(admin_pb2.DESCRIPTOR.services_by_name["DirectoryAdminService"], add_DirectoryAdminServiceServicer_to_server, admin),
        ]
        await Server(settings.listen, settings.platform, database, servicers, [current.run], following.stop).run()


def main() -> None:
    settings = read_settings(Settings)
    if not run_command(settings):
        end_telemetry = telemetry.start("directory", settings.platform)
        run_service(serve(settings))
        end_telemetry()


if __name__ == "__main__":
    main()
