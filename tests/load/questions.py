"""Measures what a question to the directory costs, with Jakarta and with a country: part of `make bench`."""

import asyncio
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil
from client import QUESTIONS, make_point
from country import FACILITIES, KELURAHAN, VILLAGES, fill_database
from measuring import HERE, Measured, Rounds, measure

from chassis.testing import AUDIENCE, ISSUER, Issuer, free_port, is_listening, run_process, wait_until
from harness import is_serving
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

AIM = 0.8
# Villages with boundaries, and facilities.
SIZES = {"Jakarta": (267, 0), "Jakarta and 1,000 places": (267, 1000), "a country": (VILLAGES, FACILITIES)}
CHANGES = 20


class Running(NamedTuple):
    """A directory of the bench."""

    address: str
    process: psutil.Process
    start_seconds: float
    token: str


@contextmanager
def run_directory(url: str, folder: Path, issuer: Issuer) -> Generator[Running, None, None]:
    port = free_port()
    environment = {
        "SIAGA_DATA": str(folder),
        "SIAGA_ISSUER": ISSUER,
        "SIAGA_AUDIENCE": AUDIENCE,
        "SIAGA_JWKS_URL": issuer.jwks_url,
        "DIRECTORY_DATABASE_URL": url,
        "DIRECTORY_LISTEN": f"127.0.0.1:{port}",
    }
    subprocess.run([sys.executable, "-m", "directory", "migrate"], env=os.environ | environment, check=True, capture_output=True)
    villages, facilities = SIZES[folder.name]
    fill_database(url, villages, facilities)
    began = time.monotonic()
    with run_process([sys.executable, "-m", "directory"], environment, folder.with_suffix(".log")) as process:
        address = f"127.0.0.1:{port}"
        wait_until(lambda: is_serving(address), 60, "the directory serves")
        with grpc.insecure_channel(address) as channel:
            stub = DirectoryServiceStub(channel)
            wait_until(lambda: stub.ListFacilities(pb.ListFacilitiesRequest(page_size=1)).total_size == facilities, 120, "it is loaded")
        yield Running(address, psutil.Process(process.pid), time.monotonic() - began, issuer.sign("bench", "admin", lifetime=7200))


def bench_directory() -> dict[str, object]:
    if not KELURAHAN.exists():
        print(f"the directory is not measured: {KELURAHAN.name} is not beside the repository")
        return {}
    print("A question to the directory against a bare server that echoes it; 16 in flight, SQLite")
    print(f"{'':36}{'CPU us per call':>18} {'calls a second':>22}   of the echo, by CPU and by rate")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = Issuer()
        stack.callback(issuer.close)
        port = free_port()
        echo = stack.enter_context(run_process([sys.executable, str(HERE / "echo.py"), str(port)], {}, folder / "echo.log"))
        wait_until(lambda: is_listening(port), 10, "the echo listens")
        rounds: Rounds = {"echo": ("echo", f"127.0.0.1:{port}", "", [psutil.Process(echo.pid)])}
        running: dict[str, Running] = {}
        for size in SIZES:
            (folder / size).mkdir()
            running[size] = stack.enter_context(run_directory(f"sqlite:///{folder / size / 'bench.db'}", folder / size, issuer))
            for question in list(QUESTIONS)[1:]:
                rounds[f"{size}: {question}"] = (question, running[size].address, "", [running[size].process])
        found = measure(rounds)
        ratios = show(found)
        report = {"ratios": ratios, "growth": show_growth(found), "memory_mb": show_memory(running)}
        report["while_loading_ms"] = show_changes(running["a country"])
        return report


def show(found: dict[str, Measured]) -> dict[str, tuple[float, float]]:
    floor = found["echo"]
    ratios: dict[str, tuple[float, float]] = {}
    for name, measured in found.items():
        by_rate = statistics.median(measured.rate) / statistics.median(floor.rate)
        ratios[name] = (floor.cost / measured.cost, by_rate)
        print(f"{name:36}{measured.row()}   {ratios[name][0]:.2f} {by_rate:.2f}")
    asked = [ratio for name, ratio in ratios.items() if "Jakarta: " in name and "GetArea" not in name]
    verdict = "within" if min(by_rate for _, by_rate in asked) >= AIM else "BELOW"
    print(f"the questions on Jakarta are {verdict} the aim of {AIM} of the echo's rate; GetArea is what every RPC costs here\n")
    return ratios


def show_growth(found: dict[str, Measured]) -> dict[str, float]:
    """How much more a question costs of a country, against how much more log n is."""
    growth: dict[str, float] = {}
    for question, small, size in (("ResolveLocation", "Jakarta", 0), ("SearchNearby", "Jakarta and 1,000 places", 1)):
        allowed = math.log(SIZES["a country"][size]) / math.log(SIZES[small][size])
        growth[question] = found[f"a country: {question}"].cost / found[f"{small}: {question}"].cost
        verdict = "within" if growth[question] <= allowed else "ABOVE"
        print(f"{question} of a country costs {growth[question]:.2f} times that of {small}, {verdict} log n's {allowed:.2f}")
    return growth


def show_memory(running: dict[str, Running]) -> dict[str, float]:
    memory = {size: each.process.memory_info().rss / 1e6 for size, each in running.items()}
    for size, each in running.items():
        print(f"{size} takes {memory[size]:.0f} MB and {each.start_seconds:.1f} s from the start to the first answer from its database")
    return memory


def show_changes(running: Running) -> dict[str, list[float]]:
    """How late answers are while changes are loaded into the memory of a country, and how long a change takes."""
    result = asyncio.run(ask_while_changing(running))
    waits = sorted(result["answers"])
    p99, changes = waits[int(len(waits) * 0.99)], statistics.median(result["changes"])
    print(f"a change to a country takes {changes:.0f} ms; {len(waits)} answers meanwhile: p99 {p99:.0f} ms, the slowest {waits[-1]:.0f} ms")
    return {"p99": [p99], "slowest": [waits[-1]], "changes": result["changes"]}


async def ask_while_changing(running: Running) -> dict[str, list[float]]:
    metadata = (("authorization", f"Bearer {running.token}"),)
    answers, changes = list[float](), list[float]()
    async with grpc.aio.insecure_channel(running.address) as channel:
        admin: Any = DirectoryAdminServiceStub(channel)
        stub: Any = DirectoryServiceStub(channel)

        async def clock(call: Callable[[], Any], into: list[float]) -> None:
            began = time.perf_counter()
            await call()
            into.append((time.perf_counter() - began) * 1000)

        async def change() -> None:
            for number in range(CHANGES):
                facility = {"name": f"facilities/bench-{number}", "alert_text": f"changed {time.time()}"}
                request = admin_pb.UpdateFacilityRequest(facility=facility)
                await clock(partial(admin.UpdateFacility, request, metadata=metadata), changes)
                agency = {"name": "agencies/jakarta-112", "sip_uri": f"sip:{number}@room.example"}
                await clock(partial(admin.UpdateAgency, admin_pb.UpdateAgencyRequest(agency=agency), metadata=metadata), changes)

        changing = asyncio.create_task(change())
        dice = random.Random(2)
        while not changing.done():
            await clock(partial(stub.ResolveLocation, pb.ResolveLocationRequest(point=make_point(dice))), answers)
            await asyncio.sleep(0.002)
        await changing
    return {"answers": answers, "changes": changes}
