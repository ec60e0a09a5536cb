"""The commands, as a person at a keyboard has them."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from chassis.testing import Issuer, free_port, python
from directory.__main__ import main
from directory.commands import import_file
from directory.settings import Settings
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub


@pytest.fixture
def engine() -> str:
    return "sqlite"


async def command(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """The exit status, and what went to the output and to the error output."""
    process = await asyncio.create_subprocess_exec(
        *python("-m", "directory", *map(str, arguments)),
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_migrating_twice_puts_jakarta_in_once_and_by_default_into_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "elsewhere"
    first = await command("migrate", SIAGA_DATA=str(data))
    second = await command("migrate", SIAGA_DATA=str(data))
    assert (first[0], second[0]) == (0, 0), (first, second)
    assert "put into the empty database" in first[1]
    assert "the schema is up to date" in second[1]
    assert (data / "directory.db").exists()


async def test_an_import_shows_its_progress_and_its_result(
    settings: Settings, stub: DirectoryServiceStub, issuer: Issuer, kelurahan: Path
) -> None:
    token = issuer.sign("indra", "admin")
    arguments = ("import", kelurahan, "--scope", "areas/31", "--server", settings.listen)
    status, output, errors = await command(*arguments, "--token", token)
    assert (status, output.strip()) == (0, "added 0, changed 267, unchanged 0")
    assert "sent 100 %" in errors
    _, output, _ = await command(*arguments, SIAGA_TOKEN=token)
    assert output.strip() == "added 0, changed 0, unchanged 267"
    snapshot = (await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot
    assert sum(record.area.has_boundary for record in snapshot.areas) == 267


@pytest.mark.usefixtures("stub")
async def test_a_refused_import_names_each_line(settings: Settings, issuer: Issuer, tmp_path: Path) -> None:
    bad = {"type": "Feature", "properties": {"code": "31.71.01.1001", "name": "Gambir", "parent": "31.71.01"}, "geometry": None}
    path = tmp_path / "bad.geojson"
    rows = ",\n".join([json.dumps(bad)] * 130)
    path.write_text(f'{{"type": "FeatureCollection", "features": [\n{rows}\n]}}')
    status, output, errors = await command(
        "import", path, "--scope", "areas/31", "--server", settings.listen, "--token", issuer.sign("indra", "admin")
    )
    assert (status, output) == (1, "")
    named = [line for line in errors.splitlines() if f"{path}: line " in line]
    assert named[1] == f"{path}: line 3: 31.71.01.1001: has no geometry"
    assert f"… and {130 - len(named)} more" in errors
    assert "nothing was imported" in errors


@pytest.mark.usefixtures("stub")
async def test_an_import_says_what_to_do_next(settings: Settings, issuer: Issuer, tmp_path: Path) -> None:
    path = tmp_path / "some.geojson"
    path.write_text("{}")

    async def ask(file: Path, token: str, server: str = settings.listen) -> str:
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(import_file, file, "areas/31", server, token)
        return str(ended.value.code)

    admin, citizen = issuer.sign("indra", "admin"), issuer.sign("ayu", "citizen")
    assert "/dev/token" in await ask(path, "")
    assert "there is no such file" in await ask(tmp_path / "none.geojson", admin)
    assert "python -m directory" in await ask(path, admin, f"127.0.0.1:{free_port()}")
    assert "not valid or has expired" in await ask(path, "nonsense")
    assert "not an administrator's" in await ask(path, citizen)
    assert "line 1: is not a FeatureCollection" in await ask(path, admin)


@pytest.mark.usefixtures("stub")
async def test_a_second_process_on_the_file_is_told_so(settings: Settings) -> None:
    status, _, errors = await command("migrate", DIRECTORY_DATABASE_URL=settings.database_url.get_secret_value())
    assert status == 1
    assert "in use by another process" in errors


async def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_text("a file")
    status, _, errors = await command(SIAGA_DATA=str(data))
    assert status == 1
    assert errors.startswith(f"{data} cannot be written to (File exists): SIAGA_DATA")


def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIRECTORY_DATABASE_URL", "mysql://siaga:secret@host/directory")
    with pytest.raises(SystemExit, match=r"^DIRECTORY_DATABASE_URL: must be sqlite:///PATH or \S+$"):
        main()
