"""The commands beside serving: migrations, and the import that calls the running service."""

# ruff: noqa: T201  # A person at a keyboard reads it.

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
from google.rpc import error_details_pb2, status_pb2

from chassis import migrations
from chassis.database import open_database
from chassis.errors import STATUS_DETAILS
from directory import operations
from directory.builtin import read_jakarta
from directory.model import Model
from directory.settings import Settings
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1 import directory_service_pb2_grpc

MIGRATIONS = Path(__file__).parents[2] / "migrations"
_CHUNK_BYTES = 60_000
_SIGN_IN = """\
an administrator's access token is needed: give it as --token or in SIAGA_TOKEN.
In development:  curl -d '{"person": "admin"}' http://localhost:8080/dev/token   and take its accessToken"""


def run_command(settings: Settings) -> bool:
    """Does what the arguments of the process name; False where they name nothing, and the service shall serve."""
    parser = argparse.ArgumentParser(prog="python -m directory", description="Serves the directory, unless a command is given.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("migrate", help="bring the database to its newest schema; put Jakarta into an empty one")
    commands.add_parser("revision", help="write a migration for what the model has and the database has not").add_argument("message")
    sending = commands.add_parser("import", help="give areas the boundaries of a GeoJSON file, through the running service")
    sending.add_argument("file", type=Path, help="a FeatureCollection whose features have the properties code, name and parent")
    sending.add_argument("--scope", required=True, help="the area within which boundaries are replaced, such as areas/31")
    sending.add_argument("--server", default=settings.listen, help="where the service listens, by default %(default)s")
    sending.add_argument("--token", default=os.environ.get("SIAGA_TOKEN", ""), help="an administrator's, by default SIAGA_TOKEN")
    arguments = parser.parse_args()
    match arguments.command:
        case "migrate":
            migrate_database(settings.database_url.get_secret_value())
        case "revision":
            migrations.make_revision(settings.database_url.get_secret_value(), MIGRATIONS, Model.metadata, arguments.message)
        case "import":
            import_file(arguments.file, arguments.scope, arguments.server, arguments.token)
        case _:
            return False
    return True


def migrate_database(url: str) -> None:
    """Bring the schema to its newest, and put Jakarta into a database that has had nothing."""
    migrations.migrate(url, MIGRATIONS, Model.metadata)

    async def seed() -> bool:
        async with open_database(url, lambda _: None, lambda: None) as database:
            return await database.write(lambda session: operations.seed_directory(session, read_jakarta()))

    print("directory: Jakarta was put into the empty database" if asyncio.run(seed()) else "directory: the schema is up to date")


def import_file(file: Path, scope: str, server: str, token: str) -> None:
    """Send a GeoJSON file to the running service; ends the process with 1 where it is refused."""
    if not token:
        sys.exit(_SIGN_IN)
    if not file.is_file():
        sys.exit(f"{file}: there is no such file")
    # The lines at fault come as error details, which are more than gRPC takes by default.
    with grpc.insecure_channel(server, [("grpc.max_metadata_size", 65536)]) as channel:
        stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)
        try:
            done = stub.ImportDirectory(_send_file(file, scope), metadata=(("authorization", f"Bearer {token}"),))
        except grpc.RpcError as error:
            print(file=sys.stderr)
            sys.exit(_explain(error, file, server))
    print(f"\nadded {done.added}, changed {done.changed}, unchanged {done.unchanged}")


def _send_file(file: Path, scope: str) -> Iterator[pb.ImportDirectoryRequest]:
    yield pb.ImportDirectoryRequest(scope=scope)
    size, sent = file.stat().st_size, 0
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            yield pb.ImportDirectoryRequest(chunk=chunk)
            sent += len(chunk)
            print(f"\rsent {100 * sent // size} %", end="", file=sys.stderr)
    print(", waiting for the service to check it", end="", file=sys.stderr)


def _explain(error: grpc.RpcError, file: Path, server: str) -> str:
    """What went wrong and what to do next."""
    assert isinstance(error, grpc.Call)
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return f"the token is not valid or has expired; {_SIGN_IN}"
    if error.code() == grpc.StatusCode.PERMISSION_DENIED:
        return f"the token is not an administrator's; {_SIGN_IN}"
    details = next((each.value for each in error.trailing_metadata() or () if each.key == STATUS_DETAILS), None)
    if error.code() == grpc.StatusCode.UNAVAILABLE and details is None:
        return f"no directory answers at {server}: start it with `python -m directory`, or say where it is with --server"
    violations, lines = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(details if isinstance(details, bytes) else b"").details:
        _ = detail.Unpack(violations) or detail.Unpack(lines)
    bad = [f"{file}: {each.field}: {each.description}" for each in violations.field_violations]
    more = int(lines.metadata.get("badLines", "0")) - len(bad)
    return "\n".join([*bad, *([f"… and {more} more"] if more > 0 else []), f"nothing was imported: {error.details()}"])
