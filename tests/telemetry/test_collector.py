"""Without a collector nothing is told, and nothing else is worse for it."""

import time

import httpx

from chassis.testing import wait_until
from contract.rpcs import Services
from harness import RunningPlatform
from telemetry.receiver import Receiver

SOS = 200


def measure(services: Services) -> float:
    """The 99th percentile of an SOS, in seconds."""
    times: list[float] = []
    for _ in range(SOS):
        began = time.perf_counter()
        assert services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).code == "OK"
        times.append(time.perf_counter() - began)
    return sorted(times)[int(SOS * 0.99) - 1]


def test_an_sos_is_as_fast_and_what_is_told_comes_again_afterwards(traced: RunningPlatform, collector: Receiver) -> None:
    services = Services(traced)
    measure(services)
    with_collector = measure(services)
    collector.stop()
    try:
        # Until the exporters have noticed.
        httpx.get(f"{traced.url}/v1/areas").raise_for_status()
        without = max(measure(services), measure(services))
        assert services.call("directory.ListAreas").code == "OK"
    finally:
        collector.start()
    assert without <= 2 * with_collector + 0.05
    known = len(collector.spans())
    wait_until(lambda: bool(services.call("alerts.ListAlerts").code) and len(collector.spans()) > known, 60, "spans come again")
    services.close()
