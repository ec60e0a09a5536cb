"""Measures what a year of history costs whoever lists, watches and asks for statistics: part of `make bench`."""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil
from google.protobuf.json_format import ParseDict
from history import CALLS, JAKARTA, ROOM, fill_database
from measuring import ROUNDS, used

from chassis.testing import AUDIENCE, ISSUER, Issuer, create_database, free_port, run_postgres, run_process, wait_until
from harness import is_serving
from siaga.alerts.v1 import alert_service_pb2 as pb
from siaga.alerts.v1 import statistics_pb2
from siaga.alerts.v1.alert_service_pb2_grpc import AlertServiceStub
from siaga.directory.v1.directory_service_pb2 import GetSnapshotRequest
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

MAX_RATIO = 1.2
# Of one thing in one round.
CALLS_AT_ONCE = 40
# By what a year is measured: of what lists and watches answer there must be as much, three days' alerts; for statistics nothing.
FEW = {"empty": 0, "few": 5000}
_DISTRICT = "areas/31.71.01"


class Asking(NamedTuple):
    """Stubs of one service."""

    supervisor: Any
    official: Any


Ask = Callable[[Asking], Awaitable[object]]


class Running(NamedTuple):
    """A service of the bench."""

    address: str
    process: psutil.Process


@contextmanager
def run_alerts(url: str, folder: Path, issuer: Issuer, snapshot: bytes) -> Generator[Running, None, None]:
    """On a database that was filled."""
    folder.mkdir(parents=True)
    (folder / "alerts.directory").write_bytes(snapshot)
    port = free_port()
    environment = _environment(folder, issuer) | {"ALERTS_DATABASE_URL": url, "ALERTS_LISTEN": f"127.0.0.1:{port}"}
    with run_process([sys.executable, "-m", "alerts"], environment, folder / "alerts.log") as process:
        wait_until(lambda: is_serving(f"127.0.0.1:{port}"), 60, "alerts serves")
        yield Running(f"127.0.0.1:{port}", psutil.Process(process.pid))


def _environment(folder: Path, issuer: Issuer) -> dict[str, str]:
    return {
        "SIAGA_DATA": str(folder),
        "SIAGA_ISSUER": ISSUER,
        "SIAGA_AUDIENCE": AUDIENCE,
        "SIAGA_JWKS_URL": issuer.jwks_url,
        "ALERTS_DIRECTORY": f"127.0.0.1:{free_port()}",
    }


def fetch_snapshot(folder: Path, issuer: Issuer) -> bytes:
    """Of Jakarta, from a directory of its own."""
    port = free_port()
    environment = _environment(folder, issuer) | {"DIRECTORY_LISTEN": f"127.0.0.1:{port}"}
    subprocess.run([sys.executable, "-m", "directory", "migrate"], env=os.environ | environment, check=True, capture_output=True)
    with run_process([sys.executable, "-m", "directory"], environment, folder / "directory.log"):
        wait_until(lambda: is_serving(f"127.0.0.1:{port}"), 60, "the directory serves")
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", 256 * 1024 * 1024)]) as channel:
            return DirectoryServiceStub(channel).GetSnapshot(GetSnapshotRequest()).SerializeToString()


def make_questions(until: datetime) -> dict[str, Ask]:
    """What is asked of either service; the figures of both have as many rows."""
    today = until.astimezone(JAKARTA).date()
    # The last twelve months that are over, and the last 365 days, which begin within a month.
    months = (_first_of_month(today, 12), _first_of_month(today, 0) - timedelta(days=1))
    days = (today - timedelta(days=365), today - timedelta(days=1))
    yesterday = (today - timedelta(days=1),) * 2
    questions: dict[str, Ask] = {
        "list: the first page": _list(),
        "list: those in a state": _list(state=["ACKNOWLEDGED"]),
        "list: of a kind": _list(kind=["DISASTER"]),
        "list: in a district": _list(area=_DISTRICT),
        "list: of the last hour": _list(createdAfter=(until - timedelta(hours=1)).isoformat()),
        "watch: to the end of what is open": _watch,
        "statistics: a day of a district": _count(yesterday, area=_DISTRICT),
        "statistics: that by kind": _count(yesterday, area=_DISTRICT, groupBy="KIND"),
        "statistics: 12 months of the province": _count(months),
        "statistics: a year of the province": _count(days),
    }
    for grouping in ("AREA", "KIND", "HOUR"):
        questions[f"statistics: 12 months by {grouping.lower()}"] = _count(months, groupBy=grouping)
    return questions | {"statistics: a year by day": _count(days, groupBy="DAY")}


def _first_of_month(day: date, back: int) -> date:
    months = day.year * 12 + day.month - 1 - back
    return date(months // 12, months % 12 + 1, 1)


def _list(**filters: Any) -> Ask:
    request = ParseDict(filters, pb.ListAlertsRequest())
    return lambda by: by.supervisor.ListAlerts(request, timeout=60)


def _count(days: tuple[date, date], **fields: Any) -> Ask:
    period = {"from": days[0].isoformat(), "to": days[1].isoformat()}
    request = ParseDict({"period": period, "area": "areas/31"} | fields, statistics_pb2.GetAlertStatisticsRequest())
    return lambda by: by.official.GetAlertStatistics(request, timeout=60)


async def _watch(by: Asking) -> None:
    watch = by.supervisor.WatchAlerts(pb.WatchAlertsRequest(), timeout=60)
    async for message in watch:
        if message.WhichOneof("content") == "snapshot_end":
            break
    watch.cancel()


class Spent(NamedTuple):
    """Of one thing in several rounds: milliseconds of a call, its wall clock's median and the server's CPU."""

    wall: list[float]
    cpu: list[float]


async def measure(services: dict[str, Running], tokens: tuple[str, str], questions: dict[str, Ask]) -> dict[tuple[str, str], Spent]:
    """One call after the other, each question of two services in turn; the first round is not counted."""
    found: dict[tuple[str, str], Spent] = {}
    async with AsyncExitStack() as stack:
        asking: dict[str, Asking] = {}
        for name, service in services.items():
            channels = [grpc.aio.insecure_channel(service.address, interceptors=_sign(token)) for token in tokens]
            asking[name] = Asking(*[AlertServiceStub(await stack.enter_async_context(channel)) for channel in channels])
        for number in range(ROUNDS + 1):
            for question, ask in questions.items():
                for name in (find_base(question), "year"):
                    wall, cpu = await _time(ask, asking[name], services[name].process)
                    if number:
                        spent = found.setdefault((question, name), Spent([], []))
                        spent.wall.append(wall)
                        spent.cpu.append(cpu)
                print(f"\r{question}: round {number} of {ROUNDS}   ".ljust(70), end="", file=sys.stderr, flush=True)
    print("\r" + " " * 70 + "\r", end="", file=sys.stderr)
    return found


def find_base(question: str) -> str:
    return "empty" if question.startswith("statistics") else "few"


async def _time(ask: Ask, by: Asking, process: psutil.Process) -> tuple[float, float]:
    passed: list[float] = []
    before = used(process)
    for _ in range(CALLS_AT_ONCE):
        began = time.perf_counter()
        await ask(by)
        passed.append(time.perf_counter() - began)
    return statistics.median(passed) * 1000, (used(process) - before) / CALLS_AT_ONCE * 1000


def _sign(token: str) -> list[Any]:
    class Unary(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:  # grpc names no types
            return await continuation(client_call_details._replace(metadata=metadata), request)

    class Stream(grpc.aio.UnaryStreamClientInterceptor):
        async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
            return await continuation(client_call_details._replace(metadata=metadata), request)

    metadata = grpc.aio.Metadata(("authorization", f"Bearer {token}"))
    return [Unary(), Stream()]


def bench_history() -> dict[str, object]:
    report: dict[str, object] = {}
    until = datetime.now(UTC)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = Issuer()
        stack.callback(issuer.close)
        server = stack.enter_context(run_postgres())
        snapshot = fetch_snapshot(folder, issuer)
        tokens = (
            issuer.sign("supervisor", "supervisor", agency=ROOM, lifetime=7200),
            issuer.sign("official", "official", areas=["areas/31"], lifetime=7200),
        )
        for engine in ("SQLite", "PostgreSQL"):
            print(f"\n{engine}: {CALLS} alerts of a year against the newest {FEW['few']} of them, or none; one call after the other")
            with ExitStack() as running:
                services: dict[str, Running] = {}
                for name, newest in (FEW | {"year": None}).items():
                    url = f"sqlite:///{folder}/{name}.db" if engine == "SQLite" else create_database(server.url)
                    began = time.monotonic()
                    environment = os.environ | _environment(folder, issuer) | {"ALERTS_DATABASE_URL": url}
                    subprocess.run([sys.executable, "-m", "alerts", "migrate"], env=environment, check=True, capture_output=True)
                    fill_database(url, until, newest=newest)
                    print(f"{name}: filled and counted in {time.monotonic() - began:.0f} s", file=sys.stderr)
                    services[name] = running.enter_context(run_alerts(url, folder / engine / name, issuer, snapshot))
                report[engine] = show(asyncio.run(measure(services, tokens, make_questions(until))))
    return report


def show(found: dict[tuple[str, str], Spent]) -> dict[str, dict[str, float]]:
    ratios: dict[str, dict[str, float]] = {}
    print(f"{'':40}{'base ms':>10} {'year ms':>10} {'ratio':>7}   {'CPU ms':>7} {'CPU ms':>7} {'ratio':>7}")
    for question in dict.fromkeys(question for question, _ in found):
        few, many = found[question, find_base(question)], found[question, "year"]
        wall = [statistics.median(each.wall) for each in (few, many)]
        cpu = [statistics.median(each.cpu) for each in (few, many)]
        ratios[question] = {"wall": wall[1] / wall[0], "cpu": cpu[1] / cpu[0], "base_ms": wall[0], "year_ms": wall[1]}
        verdict = "" if ratios[question]["wall"] <= MAX_RATIO else f"ABOVE {MAX_RATIO}"
        row = f"{wall[0]:10.2f} {wall[1]:10.2f} {wall[1] / wall[0]:7.2f}   {cpu[0]:7.2f} {cpu[1]:7.2f} {cpu[1] / cpu[0]:7.2f}"
        print(f"{question:40}{row}   {verdict}")
    return ratios
