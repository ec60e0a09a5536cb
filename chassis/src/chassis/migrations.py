"""Brings a service's database to its newest schema. Replicas never migrate: a job does, before they start."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import alembic.command
from alembic import context
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, MetaData, make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from chassis.database.sqlite import create_sqlite_engine, lock_file

# Two jobs at once, or one beside a busy service, wait for each other and for nothing else for ever.
_POSTGRES_SETTINGS = {"lock_timeout": "10000"}
_LOCK = text("SELECT pg_advisory_xact_lock(358444844866)")


def run_command(arguments: list[str], url: str, folder: Path, metadata: MetaData) -> bool:
    """`migrate` or `revision MESSAGE`; False where it is neither, which is not this module's to say."""
    match arguments:
        case ["migrate"]:
            migrate(url, folder, metadata)
            sys.stderr.write(f"{folder.parent.name}: the schema is up to date\n")
        case ["revision", message]:
            make_revision(url, folder, metadata, message)
        case _:
            return False
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


def _run(url: str, work: Any) -> None:  # noqa: ANN401
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        lock = lock_file(path)
        engine = create_sqlite_engine(path)
        try:
            with engine.connect() as connection:
                work(connection)
        finally:
            engine.dispose()
            lock.close()
        return

    async def run() -> None:
        engine = create_async_engine(parsed, poolclass=NullPool, hide_parameters=True, connect_args={"server_settings": _POSTGRES_SETTINGS})
        async with engine.connect() as connection:
            await connection.run_sync(work)
        await engine.dispose()

    asyncio.run(run())


__all__ = ["CommandError", "check_models", "make_revision", "migrate", "require_schema", "run_command", "run_environment"]
