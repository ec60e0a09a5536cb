"""Measures what an SOS costs, what the gateway adds, how late watchers see it, what the directory's answers cost, what a year
of history does to lists, watches and statistics, and how a rush of SOS is borne: `make bench`.

Every figure is a ratio against something in the same run, or a latency; the order of rounds is interleaved, the first is
not counted, and the median stands with its spread. Prints tables and writes `.build/bench.json`.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from client import make_request
from measuring import HERE, Rounds, measure
from questions import bench_directory
from rush import bench_rush
from year import bench_history

from chassis.testing import AUDIENCE, ISSUER, Issuer, create_database, free_port, is_listening, run_postgres, run_process, wait_until
from harness import RunningPlatform, is_serving, run_platform
from siaga.alerts.v1 import alert_service_pb2_grpc
from siaga.directory.v1.agency_pb2 import Agency
from siaga.directory.v1.directory_service_pb2 import GetSnapshotResponse
from siaga.directory.v1.snapshot_pb2 import Snapshot

WATCHERS = (1, 200, 1000)
WATCHED_SOS = 20
SOS_PAUSE = 0.5
MAX_RATIO = 1.6
MIN_GATEWAY = 0.6


@contextmanager
def run_pair(urls: tuple[str, str]) -> Generator[Rounds, None, None]:
    """Alerts and the floor, each on a migrated database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = Issuer()
        stack.callback(issuer.close)
        rounds: Rounds = {}
        for name, url in zip(("RaiseAlert", "floor"), urls, strict=True):
            port = free_port()
            environment = {
                "SIAGA_DATA": str(folder / name),
                "SIAGA_ISSUER": ISSUER,
                "SIAGA_AUDIENCE": AUDIENCE,
                "SIAGA_JWKS_URL": issuer.jwks_url,
                "ALERTS_DATABASE_URL": url,
                "ALERTS_LISTEN": f"127.0.0.1:{port}",
            }
            keep_policy(folder / name)
            subprocess.run([sys.executable, "-m", "alerts", "migrate"], env=os.environ | environment, check=True, capture_output=True)
            program = ["-m", "alerts"] if name == "RaiseAlert" else [str(HERE / "floor.py"), url, str(port)]
            process = stack.enter_context(run_process([sys.executable, *program], environment, folder / f"{name}.log"))
            if name == "RaiseAlert":
                wait_until(lambda port=port: is_serving(f"127.0.0.1:{port}"), 30, "alerts serves")
            else:
                wait_until(lambda port=port: is_listening(port), 30, "the floor listens")
            token = issuer.sign("citizen-1", lifetime=7200) if name == "RaiseAlert" else ""
            rounds[name] = ("raise", f"127.0.0.1:{port}", token, [psutil.Process(process.pid)])
        yield rounds


def keep_policy(data: Path) -> None:
    """Nobody answers these SOS: what their clocks would call after ten seconds is no part of what it costs to raise them."""
    hour = dict.fromkeys(("deliver_seconds", "acknowledge_seconds", "supervisor_seconds", "parent_seconds"), 3600)
    snapshot = Snapshot(agencies=[Agency(name="agencies/jakarta-112", alert_policy=hour)])
    data.mkdir()
    (data / "alerts.directory").write_bytes(GetSnapshotResponse(etag="kept", snapshot=snapshot).SerializeToString())


def bench_write_path() -> dict[str, object]:
    report: dict[str, object] = {}
    print("\nOne RaiseAlert against a bare handler that writes the same rows; 16 in flight, token cached, no watcher")
    print(f"{'':24}{'CPU us per call':>18} {'calls a second':>22}")
    with tempfile.TemporaryDirectory() as folder, run_postgres() as server:
        engines = {
            "SQLite": (f"sqlite:///{folder}/full.db", f"sqlite:///{folder}/bare.db"),
            "PostgreSQL": (create_database(server.url), create_database(server.url)),
        }
        for engine, urls in engines.items():
            with run_pair(urls) as rounds:
                found = measure(rounds)
            ratio = found["RaiseAlert"].cost / found["floor"].cost
            pairs = [full / bare for full, bare in zip(found["RaiseAlert"].cpu_us, found["floor"].cpu_us, strict=True)]
            for name, measured in found.items():
                print(f"{engine:11} {name:11} {measured.row()}")
            verdict = "within" if ratio <= MAX_RATIO else "ABOVE"
            print(f"{engine:11} of the floor {ratio:.2f} (pairs {min(pairs):.2f}-{max(pairs):.2f}), {verdict} the aim of {MAX_RATIO}\n")
            costs = {name: measured.cpu_us for name, measured in found.items()}
            report[engine] = {"ratio": ratio, "pairs": pairs, "cpu_us": costs, "rate": {name: each.rate for name, each in found.items()}}
    return report


def bench_gateway() -> dict[str, object]:
    print("JSON through Envoy against direct gRPC (SQLite); the CPU is that of Envoy and alerts together")
    with run_platform({"GATEWAY_SUBJECT_LIMIT": "1000000", "GATEWAY_ADDRESS_LIMIT": "1000000"}) as platform:
        alerts, envoy = (psutil.Process(platform.processes[name].pid) for name in ("alerts", "envoy"))
        found = measure(
            {
                "direct gRPC": ("raise", platform.address("alerts"), "", [alerts]),
                "gRPC by Envoy": ("raise", platform.target, "", [alerts, envoy]),
                "JSON by Envoy": ("json", platform.url, "", [alerts, envoy]),
            }
        )
    share = found["direct gRPC"].cost / found["JSON by Envoy"].cost
    for name, measured in found.items():
        print(f"{name:24}{measured.row()}")
    verdict = "within" if share >= MIN_GATEWAY else "BELOW"
    print(f"{'of direct, by CPU':24}{share:.2f}, {verdict} the aim of {MIN_GATEWAY}\n")
    return {
        "share": share,
        "cpu_us": {name: each.cpu_us for name, each in found.items()},
        "rate": {name: each.rate for name, each in found.items()},
    }


def bench_delivery() -> dict[str, object]:
    print(f"How late watchers see an event (gRPC, direct); an SOS of two events each {SOS_PAUSE} s")
    print(f"{'watchers':>10} {'deliveries':>12} {'p50 ms':>8} {'p99 ms':>8}")
    report: dict[str, object] = {}
    with run_platform() as platform:
        for watchers in WATCHERS:
            result = deliver(platform, watchers)
            report[str(watchers)] = result
            print(f"{watchers:10} {result['deliveries']:12} {result['p50_ms']:8.1f} {result['p99_ms']:8.1f}", flush=True)
    return report


def deliver(platform: RunningPlatform, watchers: int) -> dict[str, float]:
    arguments = [
        str(HERE / "watchers.py"),
        platform.address("alerts"),
        str(watchers),
        str(2 * WATCHED_SOS),
        platform.token("dispatcher-112"),
    ]
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        asyncio.run(raise_slowly(platform.address("alerts")))
        return json.loads(process.stdout.readline())


async def raise_slowly(target: str) -> None:
    async with grpc.aio.insecure_channel(target) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        for _ in range(WATCHED_SOS):
            await stub.RaiseAlert(make_request(), timeout=10)
            await asyncio.sleep(SOS_PAUSE)


def main() -> None:
    began = time.time()
    parts = {"write_path": bench_write_path, "gateway": bench_gateway, "delivery": bench_delivery, "directory": bench_directory}
    parts |= {"history": bench_history, "rush": bench_rush}
    wanted = sys.argv[1:] or list(parts)
    report = {name: part() for name, part in parts.items() if name in wanted}
    path = Path(".build/bench.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"time": began, "python": sys.version, "cpus": os.cpu_count(), **report}, indent=1))
    print(f"\nwritten to {path} after {time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
