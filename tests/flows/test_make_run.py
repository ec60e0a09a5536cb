"""What a newcomer does: start everything by one command, and type the lines that it prints."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil

from chassis.testing import free_port, run_process, wait_until

ROOT = Path(__file__).parents[2]
PORTS = ("GATEWAY_PORT", "GATEWAY_ADAPTERS_PORT", "GATEWAY_ADMIN_PORT", "VALKEY_PORT", "ALERTS_LISTEN", "DIRECTORY_LISTEN")
LAST_LINE = "Ctrl-C stops everything."


def choose_settings(folder: Path) -> dict[str, str]:
    ports = {name: str(free_port()) for name in PORTS}
    return {name: f"127.0.0.1:{port}" if name.endswith("LISTEN") else port for name, port in ports.items()} | {
        "SIAGA_DATA": str(folder / "data")
    }


@contextmanager
def run_locally(settings: dict[str, str], output: Path) -> Generator[tuple[list[str], subprocess.Popen[bytes]], None, None]:
    """The printed lines: watch, raise, acknowledge; and the process."""
    with run_process([sys.executable, str(ROOT / "deploy/local.py")], settings, output) as process:
        wait_until(lambda: LAST_LINE in output.read_text() or process.poll() is not None, 60, "Siaga is ready")
        lines = re.findall(r"^  (curl .*)$", output.read_text(), re.MULTILINE)
        assert len(lines) == 3, output.read_text()
        yield lines, process


def shell(line: str) -> str:
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True).stdout


def test_the_printed_lines_work_and_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    settings = choose_settings(tmp_path)
    first, second = tmp_path / "first", tmp_path / "second"
    with run_locally(settings, first) as ((watch, raise_sos, acknowledge), process):
        printed = first.read_text()
        with run_process(["bash", "-c", f"exec {watch}"], {}, tmp_path / "watched"):
            wait_until(lambda: "snapshotEnd" in (tmp_path / "watched").read_text(), 10, "the watch is open")
            name = re.findall(r"alerts/[0-9a-f-]{36}", shell(raise_sos))[0]
            assert shell(raise_sos).count(name), "the same line again is the same alert"
            wait_until(lambda: "AlertRaised" in (tmp_path / "watched").read_text(), 2, "the dispatcher sees it")
            assert '"state":"ACKNOWLEDGED"' in shell(acknowledge)
            wait_until(lambda: "AlertAcknowledged" in (tmp_path / "watched").read_text(), 2, "the dispatcher sees the answer")
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(10) == 0
        # What to do next is the last that is said; what the parts say stands in their logs.
        assert printed.index("Siaga is ready") < 200
        assert printed.splitlines()[-2].startswith(LAST_LINE)
        assert first.read_text() == printed + "\nStopping ...\n"
        assert "RaiseAlert" in (tmp_path / "data/logs/envoy.log").read_text()
    with run_locally(settings, second) as ((watch, _, _), process):
        with run_process(["bash", "-c", f"exec {watch}"], {}, tmp_path / "again"):
            wait_until(lambda: "snapshotEnd" in (tmp_path / "again").read_text(), 10, "the watch is open")
        assert name in (tmp_path / "again").read_text()
        # A part that ends takes the others with it, and is named with its last words.
        valkey = next(
            each for each in psutil.Process(process.pid).children(recursive=True) if settings["VALKEY_PORT"] in str(each.cmdline())
        )
        valkey.terminate()
        assert process.wait(15) == 1
        assert "Siaga has stopped, because valkey ended." in second.read_text()
        assert "ready to exit" in second.read_text()


def fail_to_run(settings: dict[str, str]) -> str:
    command = [sys.executable, str(ROOT / "deploy/local.py")]
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    settings = choose_settings(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(settings["GATEWAY_PORT"])))
        taken.listen()
        said = fail_to_run(settings)
    assert f"port {settings['GATEWAY_PORT']} is taken: free it, or set another in GATEWAY_PORT" in said


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    assert fail_to_run(choose_settings(tmp_path) | {"GATEWAY_PORT": "http"}).startswith("GATEWAY_PORT: ")


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    away = {"ALERTS_DATABASE_URL": "postgresql+asyncpg://127.0.0.1:1/away"}
    assert "the database of alerts is not ready" in fail_to_run(choose_settings(tmp_path) | away)
