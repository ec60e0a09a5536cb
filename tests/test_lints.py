"""The lints catch what they are for, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

import lints


def plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("call", "advice"),
    [
        ("session.commit()", "Database.write"),
        ("await context.abort(code, 'no')", "raise a Problem"),
        ("self.db.session\\\n    .commit()", "write"),
    ],
)
@pytest.mark.parametrize(
    "path", ["services/alerts/src/alerts/operations.py", "gateway/src/gateway/x.py", "chassis/x.py", "deploy/local.py"]
)
def test_a_commit_or_abort_outside_the_chassis_is_named(tmp_path: Path, path: str, call: str, advice: str) -> None:
    plant(tmp_path, path, f'"""A module."""\n\n\nasync def change(session, context, code, self):\n    {call}\n')
    faults = lints.find_faults(tmp_path)
    assert len(faults) == 1
    assert faults[0].startswith(f"{path}:5: ")
    assert advice in faults[0]


@pytest.mark.parametrize(
    "path",
    ["chassis/src/chassis/database/sqlite.py", "services/alerts/tests/test_store.py", "tests/load/client.py", ".venv/x.py", "conftest.py"],
)
def test_the_chassis_and_the_tests_may_commit_and_abort(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "def change(session):\n    session.commit()\n    session.abort()\n")
    assert lints.find_faults(tmp_path) == []


def test_a_word_is_no_call(tmp_path: Path) -> None:
    text = '"""Never call session.commit() here."""\nbefore_commit = abort = None\n# context.abort(...)\nprint("x.commit()", abort)\n'
    plant(tmp_path, "services/alerts/src/alerts/x.py", text)
    assert lints.find_faults(tmp_path) == []


@pytest.mark.parametrize(
    "path", ["services/alerts/src/alerts/model.py", "chassis/src/chassis/x.py", "tests/flows/test_x.py", "conftest.py"]
)
def test_a_file_of_401_lines_is_named_and_one_of_400_is_not(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "x = 1\n" * 400)
    assert lints.find_faults(tmp_path) == []
    plant(tmp_path, path, "x = 1\n" * 401)
    assert lints.find_faults(tmp_path) == [f"{path}:401: 401 lines, at most 400: split it by resource"]


@pytest.mark.parametrize("path", ["protos/gen/siaga/alerts/v1/alert_pb2.py", ".venv/lib/x.py"])
def test_generated_and_installed_files_may_be_long(tmp_path: Path, path: str) -> None:
    plant(tmp_path, path, "x = 1\n" * 401)
    assert lints.find_faults(tmp_path) == []


def test_as_a_command_it_fails_and_says_why(tmp_path: Path) -> None:
    plant(tmp_path, "tests/lints.py", Path(lints.__file__).read_text())
    command = [sys.executable, str(tmp_path / "tests/lints.py")]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    plant(tmp_path, "gateway/src/gateway/x.py", "session.commit()\n")
    told = subprocess.run(command, capture_output=True, check=False, text=True)
    assert told.returncode == 1
    assert "gateway/src/gateway/x.py:1: .commit() belongs to the chassis" in told.stderr


def test_the_repository_is_clean() -> None:
    assert lints.find_faults(Path(lints.__file__).parents[1]) == []
