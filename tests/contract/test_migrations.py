"""Every service's schema, on both engines: what the models say, reached from nothing and from every earlier revision."""

import importlib
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

from chassis import migrations
from contract.rpcs import SERVICES


class Schema(NamedTuple):
    folder: Path
    metadata: MetaData


def schema_of(service: str) -> Schema:
    folder = Path(__file__).parents[2] / "services" / service / "migrations"
    return Schema(folder, importlib.import_module(f"{service}.model").Model.metadata)


def revisions_of(service: str) -> list[str]:
    """The oldest first."""
    return [script.revision for script in ScriptDirectory(str(schema_of(service).folder)).walk_revisions()][::-1]


def cut_after(folder: Path, revision: str, to: Path) -> Path:
    """A copy of the migrations as they were when `revision` was the newest."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("__pycache__"))
    scripts = ScriptDirectory(str(to))
    kept = {each.revision for each in scripts.iterate_revisions(revision, "base")}
    for script in list(scripts.walk_revisions()):
        if script.revision not in kept:
            Path(script.path).unlink()
    return to


@pytest.mark.parametrize("service", SERVICES)
def test_the_schema_is_what_the_models_say(service: str, database_url: str) -> None:
    folder, metadata = schema_of(service)
    migrations.migrate(database_url, folder, metadata)
    migrations.check_models(database_url, folder, metadata)
    migrations.require_schema(database_url, folder)


@pytest.mark.parametrize("service", SERVICES)
def test_a_schema_that_is_not_what_the_models_say_is_found_out(service: str, database_url: str) -> None:
    folder, metadata = schema_of(service)
    migrations.migrate(database_url, folder, metadata)
    less = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables[:-1]:
        table.to_metadata(less)
    with pytest.raises(migrations.CommandError):
        migrations.check_models(database_url, folder, less)


@pytest.mark.parametrize(("service", "revision"), [(service, revision) for service in SERVICES for revision in revisions_of(service)])
def test_every_earlier_schema_upgrades(service: str, revision: str, database_url: str, tmp_path: Path) -> None:
    folder, metadata = schema_of(service)
    earlier = cut_after(folder, revision, tmp_path / "migrations")
    migrations.migrate(database_url, earlier, metadata)
    if revision != revisions_of(service)[-1]:
        with pytest.raises(SystemExit):
            migrations.require_schema(database_url, folder)
    for _ in range(2):
        # The second time there is nothing to do.
        migrations.migrate(database_url, folder, metadata)
    migrations.check_models(database_url, folder, metadata)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_refuses_to_start_on_an_empty_database(service: str, database_url: str) -> None:
    with pytest.raises(SystemExit, match="run the migrations first"):
        migrations.require_schema(database_url, schema_of(service).folder)
