"""Wires the directory: `python -m directory` serves it."""

import asyncio

from chassis import telemetry
from chassis.database import open_database
from chassis.migrations import make_revision
from chassis.server import Server, Servicer

from directory.commands import MIGRATIONS, import_file, migrate_database, read_arguments
from directory.current import CurrentDirectory
from directory.model import Model
from directory.servicer import DirectoryServicer
from directory.settings import Settings
from siaga.directory.v1 import directory_service_pb2, directory_service_pb2_grpc


async def serve(settings: Settings) -> None:
    url = settings.database_url.get_secret_value()
    async with open_database(url, lambda _: None, lambda: None) as database:
        current = CurrentDirectory(database, url, settings.platform.data / "directory.snapshot")
        await current.refresh()
        methods = DirectoryServicer(current, settings.platform.dial)
        add = directory_service_pb2_grpc.add_DirectoryServiceServicer_to_server
        servicer = Servicer(directory_service_pb2.DESCRIPTOR.services_by_name["DirectoryService"], add, methods)
        await Server(settings.listen, settings.platform, database, [servicer], [current.run]).run()


def main() -> None:
    settings = Settings()
    arguments = read_arguments(settings.listen)
    match arguments.command:
        case "migrate":
            migrate_database(settings)
        case "revision":
            make_revision(settings.database_url.get_secret_value(), MIGRATIONS, Model.metadata, arguments.message)
        case "import":
            import_file(arguments.file, arguments.scope, arguments.server, arguments.token)
        case _:
            end = telemetry.start("directory", settings.platform)
            asyncio.run(serve(settings))
            end()


if __name__ == "__main__":
    main()
