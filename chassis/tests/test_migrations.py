"""Migrations: a schema is wholly there or not at all, one job at a time, and nobody serves on an old one."""

import asyncio
import contextlib
import sqlite3
import subprocess
import textwrap
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from chassis import migrations
from chassis.database.sqlite import lock_file
from chassis.migrations import CommandError
from chassis.testing import free_port, python, run_process, wait_until

FIRST = """
    op.create_table("things", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.String(), nullable=False))
"""
SECOND = """
    with op.batch_alter_table("things") as batch:
        batch.add_column(sa.Column("note", sa.String(), nullable=True))
"""
TEMPLATE = """\
import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {before!r}


def upgrade() -> None:
"""
MAKO = (
    TEMPLATE.format(revision=0, before=1).replace("= 0", "= ${repr(up_revision)}").replace("= 1", "= ${repr(down_revision)}")
    + "    ${upgrades}\n"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's migrations, with no revision yet."""
    folder = tmp_path / "tiny" / "migrations"
    (folder / "versions").mkdir(parents=True)
    (folder / "env.py").write_text("from chassis.migrations import run_environment\n\nrun_environment()\n")
    (folder / "script.py.mako").write_text(MAKO)
    return folder


def add_revision(folder: Path, number: int, upgrade: str) -> None:
    before = f"{number - 1:04}" if number > 1 else None
    source = TEMPLATE.format(revision=f"{number:04}", before=before) + textwrap.indent(textwrap.dedent(upgrade), "    ")
    (folder / "versions" / f"{number:04}.py").write_text(source)


def make_metadata(*, note: bool = False) -> MetaData:
    metadata = MetaData()
    Table(
        "things",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String, nullable=False),
        *([Column("note", String)] if note else []),
    )
    return metadata


def find_tables(url: str) -> set[str]:
    """Of both migrations and Alembic."""
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    async def find() -> set[str]:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        await connection.close()
        return {row["tablename"] for row in rows}

    return asyncio.run(find())


def test_migrating_brings_an_empty_database_up_to_date_and_is_repeatable(database_url: str, folder: Path) -> None:
    add_revision(folder, 1, FIRST)
    migrations.migrate(database_url, folder, make_metadata())
    migrations.migrate(database_url, folder, make_metadata())
    assert find_tables(database_url) == {"things", "alembic_version"}
    migrations.require_schema(database_url, folder)
    migrations.check_models(database_url, folder, make_metadata())
    add_revision(folder, 2, SECOND)
    migrations.migrate(database_url, folder, make_metadata(note=True))
    migrations.check_models(database_url, folder, make_metadata(note=True))


def test_a_model_that_the_migrations_do_not_make_is_noticed(database_url: str, folder: Path) -> None:
    add_revision(folder, 1, FIRST)
    migrations.migrate(database_url, folder, make_metadata())
    with pytest.raises(CommandError, match="New upgrade operations detected"):
        migrations.check_models(database_url, folder, make_metadata(note=True))


def test_an_empty_or_old_schema_is_refused_and_a_newer_one_serves(database_url: str, folder: Path) -> None:
    add_revision(folder, 1, FIRST)
    with pytest.raises(SystemExit, match="the schema is empty, the code wants 0001: run the migrations first"):
        migrations.require_schema(database_url, folder)
    migrations.migrate(database_url, folder, make_metadata())
    add_revision(folder, 2, SECOND)
    with pytest.raises(SystemExit, match="the schema is 0001, the code wants 0002"):
        migrations.require_schema(database_url, folder)
    migrations.migrate(database_url, folder, make_metadata(note=True))
    # The code of the release before knows nothing of the second revision.
    (folder / "versions" / "0002.py").unlink()
    migrations.require_schema(database_url, folder)


def test_a_failing_migration_leaves_nothing(database_url: str, folder: Path) -> None:
    add_revision(folder, 1, FIRST)
    add_revision(folder, 2, SECOND + "    raise RuntimeError('half-way')\n")
    with pytest.raises(RuntimeError, match="half-way"):
        migrations.migrate(database_url, folder, make_metadata())
    assert not find_tables(database_url) & {"things", "alembic_version"}
    add_revision(folder, 2, SECOND)
    migrations.migrate(database_url, folder, make_metadata(note=True))
    migrations.check_models(database_url, folder, make_metadata(note=True))


def job(url: str, folder: Path) -> list[str]:
    return python(
        "-c", f"from chassis import migrations; from pathlib import Path; from sqlalchemy import MetaData; "
        f"migrations.migrate({url!r}, Path({str(folder)!r}), MetaData())"
    )  # fmt: skip


def test_a_migration_that_is_killed_half_way_leaves_nothing_and_can_be_repeated(database_url: str, folder: Path) -> None:
    half_way = folder / "half-way"
    add_revision(folder, 1, FIRST + f"    __import__('pathlib').Path({str(half_way)!r}).touch()\n    __import__('time').sleep(60)\n")
    with run_process(job(database_url, folder), {}, folder / "log") as process:
        wait_until(half_way.exists, 20, "the table has been made")
        process.kill()
        process.wait()
    assert not find_tables(database_url) & {"things", "alembic_version"}
    add_revision(folder, 1, FIRST)
    migrations.migrate(database_url, folder, make_metadata())
    migrations.check_models(database_url, folder, make_metadata())


@pytest.mark.parametrize("locked", [True, False])
def test_two_jobs_at_once_migrate_once(postgres_url: str, folder: Path, locked: bool) -> None:  # noqa: FBT001
    """Without the lock, the mutant, the second one finds the first one's table."""
    if not locked:
        mutant = "from chassis import migrations\nfrom sqlalchemy import text\n\nmigrations._LOCK = text('SELECT 1')\n"
        (folder / "env.py").write_text(f"{mutant}migrations.run_environment()\n")
    begun = folder / "begun"
    add_revision(
        folder,
        1,
        f"""
        import time, pathlib
        with pathlib.Path({str(begun)!r}).open("a") as file:
            file.write("x")
        end = time.monotonic() + 1.5
        while time.monotonic() < end and len(pathlib.Path({str(begun)!r}).read_text()) < 2:
            time.sleep(0.02)
        {FIRST.strip()}
        """,
    )
    with ExitStack() as stack:
        jobs: list[subprocess.Popen[bytes]] = [
            stack.enter_context(run_process(job(postgres_url, folder), {}, folder / f"log{number}")) for number in range(2)
        ]
        codes = sorted(process.wait(30) for process in jobs)
    assert codes == ([0, 0] if locked else [0, 1])
    assert begun.read_text() == "x"


def test_the_commands_are_migrate_and_revision(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path / 'test.db'}"
    with pytest.raises(SystemExit, match="elsewhere: the commands are `migrate`, `revision MESSAGE`, or none, to serve"):
        migrations.run_command(["elsewhere"], url, folder, make_metadata())
    assert migrations.run_command(["revision", "things"], url, folder, make_metadata())
    assert migrations.run_command(["migrate"], url, folder, make_metadata())
    assert "tiny: the schema is up to date" in capsys.readouterr().err
    [revision] = (folder / "versions").glob("*.py")
    assert "op.create_table('things'" in revision.read_text()
    migrations.check_models(url, folder, make_metadata())
    assert not migrations.run_command([], url, folder, make_metadata())
    with pytest.raises(SystemExit, match="the schema is empty"):
        migrations.run_command([], f"sqlite:///{tmp_path / 'other.db'}", folder, make_metadata())


def test_a_migration_beside_a_running_service_is_refused(tmp_path: Path, folder: Path) -> None:
    lock = lock_file(tmp_path / "test.db")
    with pytest.raises(SystemExit, match="is in use by another process"):
        migrations.migrate(f"sqlite:///{tmp_path / 'test.db'}", folder, make_metadata())
    lock.close()


def test_a_database_that_cannot_be_opened_is_named_without_its_password(folder: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"canary " * 1000)
    for url, named in (
        (f"sqlite:///{damaged}", f"sqlite:///{damaged} cannot be opened: file is not a database"),
        (
            f"postgresql+asyncpg://user:canary@127.0.0.1:{free_port()}/name",
            "user:\\*\\*\\*@127.0.0.1:[0-9]+/name cannot be opened: .*refused|Connect",
        ),
    ):
        with pytest.raises(SystemExit, match=named) as ended:
            migrations.migrate(url, folder, make_metadata())
        assert "canary" not in str(ended.value)
