"""The commands, as a person at a keyboard has them."""

import asyncio
import os
from pathlib import Path

import pytest

from chassis.testing import python
from directory.__main__ import main
from directory.settings import Settings


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
