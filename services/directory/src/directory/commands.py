"""The commands beside serving: migrations, and the imports and exports that call the running service."""

# ruff: noqa: T201  # A person at a keyboard reads it.

import argparse
import asyncio
import os
from pathlib import Path

from chassis import migrations
from chassis.database import open_database
from directory.builtin import read_jakarta
from directory.model import Model
from directory.operations.entries import seed_directory
from directory.settings import Settings
from directory.transfer import export_file, import_file
from siaga.directory.v1 import directory_admin_service_pb2 as pb

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_FORMATS = {word.lower().replace("_", "-"): value for word, value in pb.FileFormat.items() if value}


def run_command(settings: Settings) -> bool:
    """Does what the arguments of the process name; False where they name nothing, and the service shall serve."""
    parser = argparse.ArgumentParser(prog="python -m directory", description="Serves the directory, unless a command is given.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="bring the database to its newest schema; put Jakarta into an empty one")
    commands.add_parser("revision", help="write a migration for what the model has and the database has not").add_argument("message")
    sending = commands.add_parser("import", help="replace what an area holds by what a file has, through the running service")
    sending.add_argument("file", type=Path, help="boundaries of areas or facilities; docs/another-city.md shows each form")
    sending.add_argument("--format", choices=_FORMATS, help="its form, where it does not show from the file")
    sending.add_argument("--dry-run", action="store_true", help="only say what would change")
    fetching = commands.add_parser("export", help="fetch what an area holds as a file that can be imported")
    fetching.add_argument("--format", choices=_FORMATS, required=True, help="its form")
    fetching.add_argument("--output", type=Path, help="where to write it, by default to the standard output")
    for each in (sending, fetching):
        each.add_argument("--scope", required=True, help="the area, with all within it, such as areas/31")
        each.add_argument("--source", default="", help="which import brings the facilities, such as osm")
        each.add_argument("--server", default=settings.listen, help="where the service listens, by default %(default)s")
        each.add_argument("--token", default=os.environ.get("SIAGA_TOKEN", ""), help="an administrator's, by default SIAGA_TOKEN")
    arguments = parser.parse_args()
    match arguments.command:
        case "migrate":
            migrate_database(settings.database_url.get_secret_value())
        case "revision":
            migrations.make_revision(settings.database_url.get_secret_value(), MIGRATIONS, Model.metadata, arguments.message)
        case "import":
            form = _FORMATS.get(arguments.format, pb.FILE_FORMAT_UNSPECIFIED)
            head = pb.ImportDirectoryRequest.Head(scope=arguments.scope, format=form, source=arguments.source, dry_run=arguments.dry_run)
            import_file(arguments.server, arguments.token, arguments.file, head)
        case "export":
            request = pb.ExportDirectoryRequest(scope=arguments.scope, format=_FORMATS[arguments.format], source=arguments.source)
            export_file(arguments.server, arguments.token, request, arguments.output)
        case _:
            return False
    return True


def migrate_database(url: str) -> None:
    """Bring the schema to its newest, and put Jakarta into a database that has had nothing."""
    migrations.migrate(url, MIGRATIONS, Model.metadata)

    async def seed() -> bool:
        async with open_database(url, lambda _: None, lambda: None) as database:
            return await database.write(lambda session: seed_directory(session, read_jakarta()))

    print("directory: Jakarta was put into the empty database" if asyncio.run(seed()) else "directory: the schema is up to date")
