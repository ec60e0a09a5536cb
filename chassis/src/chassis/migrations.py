"""Brings a service's database to its newest schema. Replicas never migrate: a job does, before they start."""

import asyncio
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import URL, Connection, MetaData, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.database.sqlite import create_sqlite_engine, lock_file

# Two jobs at once, or one beside a busy service, wait for each other and for nothing else for ever.
_POSTGRES_SETTINGS = {"lock_timeout": "10000"}
_LOCK = text("SELECT pg_advisory_xact_lock(358444844866)")


def run_command(arguments: list[str], url: str, folder: Path, metadata: MetaData) -> bool:
    """`migrate` or `revision MESSAGE`; False where the service shall serve, and its database has the schema for it."""
    match arguments:
        case ["migrate"]:
            migrate(url, folder, metadata)
            sys.stderr.write(f"{folder.parent.name}: the schema is up to date\n")
        case ["revision", message]:
            make_revision(url, folder, metadata, message)
        case []:
            require_schema(url, folder)
            return False
        case _:
            message = f"{' '.join(arguments)}: the commands are `migrate`, `revision MESSAGE`, or none, to serve"
            raise SystemExit(message)
    return True


def migrate(url: str, folder: Path, metadata: MetaData) -> None:
    """Upgrades to the newest revision in `folder`; does nothing where the schema has it."""
    _run(url, lambda connection: _command(connection, folder, metadata, lambda config: alembic.command.upgrade(config, "head")))


def make_revision(url: str, folder: Path, metadata: MetaData, message: str) -> None:
    """Writes a new revision with what `metadata` has and the database has not, for its author to read and correct."""
    _run(
        url,
        lambda connection: _command(
            connection, folder, metadata, lambda config: alembic.command.revision(config, message, autogenerate=True)
        ),
    )


def check_models(url: str, folder: Path, metadata: MetaData) -> None:
    """Raises CommandError where the database's schema is not what `metadata` says."""
    _run(url, lambda connection: _command(connection, folder, metadata, alembic.command.check))


def require_schema(url: str, folder: Path) -> None:
    """Ends the process where the schema is older than the code; a newer one serves old code, too."""
    known = [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]
    found: list[str | None] = []
    _run(url, lambda connection: found.append(MigrationContext.configure(connection).get_current_revision()))
    if found[0] is None or found[0] in known[1:]:
        message = f"the schema is {found[0] or 'empty'}, the code wants {known[0]}: run the migrations first"
        raise SystemExit(message)


def run_environment() -> None:
    """The whole of a service's `migrations/env.py`."""
    connection: Connection = context.config.attributes["connection"]
    postgres = connection.dialect.name == "postgresql"
    context.configure(
        connection=connection,
        target_metadata=context.config.attributes["metadata"],
        transactional_ddl=True,
        compare_type=True,
        render_as_batch=not postgres,
    )
    with context.begin_transaction():
        if postgres:
            connection.execute(_LOCK)
        context.run_migrations()


def _command(connection: Connection, folder: Path, metadata: MetaData, command: Any) -> None:  # noqa: ANN401  # Alembic's commands
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes |= {"connection": connection, "metadata": metadata}
    command(config)


class _Unopened(Exception):
    """The text says which database, and why."""


def _run(url: str, work: Any) -> None:  # noqa: ANN401
    parsed = make_url(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            _run_on_sqlite(parsed, work)
        else:
            asyncio.run(_run_on_postgres(parsed, work))
    except _Unopened as error:
        raise SystemExit(str(error)) from None


def _run_on_sqlite(url: URL, work: Any) -> None:  # noqa: ANN401
    path = Path(url.database or "")
    lock = lock_file(path)
    engine = create_sqlite_engine(path)
    try:
        with _naming(url):
            if not path.exists():
                path.touch()
            connection = engine.connect()
        with connection:
            work(connection)
    finally:
        engine.dispose()
        lock.close()


async def _run_on_postgres(url: URL, work: Any) -> None:  # noqa: ANN401
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args={"server_settings": _POSTGRES_SETTINGS})
    with _naming(url):
        connection = await engine.connect()
    try:
        await connection.run_sync(work)
    finally:
        await connection.close()


@contextmanager
def _naming(url: URL) -> Generator[None, None, None]:
    try:
        yield
    except (OSError, SQLAlchemyError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        message = f"{url.render_as_string(hide_password=True)} cannot be opened: {cause}"
        raise _Unopened(message) from None


__all__ = ["CommandError", "check_models", "make_revision", "migrate", "require_schema", "run_command", "run_environment"]
