"""Measures a rush, such as after a quake: a thousand SOS in a minute with two hundred dispatchers watching. Part of `make bench`.

Everything is on: the directory's routing and policies, clocks that nobody stops, incidents, and an agency's webhook. Beside it
stands the same platform with an SOS each half second and one dispatcher.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from typing import Any, NamedTuple

import grpc
import psutil
from client import make_point, make_request
from measuring import HERE, used

from chassis.testing import create_database, run_postgres, wait_until
from contract.rpcs import Services
from contract.webhooks import run_taking
from harness import RunningPlatform, run_platform
from siaga.alerts.v1 import alert_pb2, alert_service_pb2_grpc, webhook_pb2


class Load(NamedTuple):
    """So many SOS, evenly over so many seconds, with so many dispatchers."""

    sos: int
    seconds: float
    watchers: int


LOADS = {"gentle": Load(60, 30.0, 1), "rush": Load(1000, 60.0, 200)}
FIGURES = ("raise_p50_ms", "raise_p99_ms", "p50_ms", "p99_ms", "max_ms")
# Every second SOS of a rush is of one of as many fires.
_FIRES = 20
_DELIVERED_SECONDS = 120.0


def bench_rush() -> dict[str, object]:
    report: dict[str, object] = {}
    with ExitStack() as stack:
        server = stack.enter_context(run_postgres())
        for engine in ("SQLite", "PostgreSQL"):
            settings = {"ALERTS_DATABASE_URL": create_database(server.url)} if engine == "PostgreSQL" else {}
            # All dispatchers of the bench are one person.
            settings["GATEWAY_SUBJECT_LIMIT"] = "1000000"
            with run_platform(settings) as platform:
                report[engine] = bench_engine(platform, engine)
    return report


def bench_engine(platform: RunningPlatform, engine: str) -> dict[str, Any]:
    with ExitStack() as stack:
        services = Services(platform)
        stack.callback(services.close)
        token = platform.token("supervisor-112")
        webhook = {"url": stack.enter_context(run_taking()), "events": ["AlertRaised"]}
        name = services.call("alerts.CreateWebhook", webhook, token=token).message.name
        print(f"\n{engine}, gRPC by Envoy: SOS evenly, what RaiseAlert takes, and how long after it was sent each dispatcher has it")
        heads = "".join(f"{each:>9}" for each in ("p50 ms", "p99 ms", "p50 ms", "p99 ms", "max ms", "CPU"))
        print(f"{'':8}{'SOS':>6} {'taken':>6} {'watchers':>9}{heads}  ended")
        found: dict[str, Any] = {}
        for kind, load in LOADS.items():
            found[kind] = result = run_load(platform, load)
            row = "".join(f"{result[each]:9.1f}" for each in FIGURES)
            borne = f"{result['cpu']:9.0%}{result['ended']:7} {result['refused'] or ''}"
            print(f"{kind:8}{load.sos:6} {result['taken']:6} {load.watchers:9}{row}{borne}")
        found["ratio"] = ratio = {each: found["rush"][each] / found["gentle"][each] for each in FIGURES}
        print(f"{'ratio':31}" + "".join(f"{each:9.2f}" for each in ratio.values()))
        began, taken = time.monotonic(), sum(found[kind]["taken"] for kind in LOADS)
        wait_until(lambda: count_deliveries(services, token, name) == taken, _DELIVERED_SECONDS, "the agency's system has each SOS")
        found["webhook"] = {"deliveries": taken, "seconds_after": time.monotonic() - began}
        print(f"{'webhook':8}{taken:6} SOS taken by the agency's system, the last {found['webhook']['seconds_after']:.1f} s after the rush")
    return found


def run_load(platform: RunningPlatform, load: Load) -> dict[str, Any]:
    arguments = [str(HERE / "watchers.py"), platform.target, str(load.watchers), str(load.sos), platform.token("dispatcher-112")]
    processes = [psutil.Process(platform.processes[name].pid) for name in ("alerts", "envoy")]
    with subprocess.Popen([sys.executable, *arguments, "AlertRaised"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        before = sum(map(used, processes))
        latencies, refused = asyncio.run(raise_evenly(platform.target, load))
        cpu = (sum(map(used, processes)) - before) / load.seconds
        try:
            seen = json.loads(process.communicate(timeout=_DELIVERED_SECONDS)[0])
        except subprocess.TimeoutExpired:
            process.kill()
            sys.exit(f"not every watcher has seen every SOS; refused were {dict(refused)}")
    latencies.sort()
    p50, p99 = latencies[len(latencies) // 2] * 1000, latencies[int(len(latencies) * 0.99)] * 1000
    return {"taken": len(latencies), "refused": dict(refused), "raise_p50_ms": p50, "raise_p99_ms": p99, "cpu": cpu, **seen}


async def raise_evenly(target: str, load: Load) -> tuple[list[float], Counter[str]]:
    """Each at its time, however long the others take: the seconds of those that were taken, and how the others were refused."""
    latencies, refused, dice = list[float](), Counter[str](), random.Random(112)
    fires = [make_point(dice) for _ in range(_FIRES)]
    async with grpc.aio.insecure_channel(target) as channel:
        await channel.channel_ready()
        stub: Any = alert_service_pb2_grpc.AlertServiceStub(channel)
        start = time.monotonic()

        async def call(number: int) -> None:
            await asyncio.sleep(start + number * load.seconds / load.sos - time.monotonic())
            request = make_request()
            if number % 2:
                request.kind = alert_pb2.Alert.FIRE
                request.location.point.CopyFrom(dice.choice(fires))
            else:
                request.location.point.CopyFrom(make_point(dice))
            request.note = str(time.time())
            began = time.perf_counter()
            try:
                await stub.RaiseAlert(request, timeout=10)
                latencies.append(time.perf_counter() - began)
            except grpc.aio.AioRpcError as error:
                refused[error.code().name] += 1

        await asyncio.gather(*(call(number) for number in range(load.sos)))
    return latencies, refused


def count_deliveries(services: Services, token: str, webhook: str) -> int:
    """Those that were taken."""
    count, page = 0, ""
    while True:
        request = {"name": webhook, "state": ["DELIVERED"], "pageSize": 1000, "pageToken": page}
        answer = services.call("alerts.ListWebhookDeliveries", request, token=token).message
        count += sum(each.state == webhook_pb2.WebhookDelivery.DELIVERED for each in answer.deliveries)
        if not (page := answer.next_page_token):
            return count
