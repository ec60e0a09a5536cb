"""An SOS is routed from memory: the directory may be stopped, paused, or never have been there."""

import asyncio
import sys
import time
import uuid

import grpc
import pytest

from harness import RunningPlatform, run_platform
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc

pytestmark = pytest.mark.alone
SOS = 50
SLOWEST = 1.0


async def raise_some(platform: RunningPlatform) -> tuple[set[tuple[int, str]], float]:
    """How they were routed, and the slowest one's seconds."""
    routed: set[tuple[int, str]] = set()
    slowest = 0.0
    async with grpc.aio.insecure_channel(platform.address("alerts")) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        for _ in range(SOS):
            request = alert_service_pb2.RaiseAlertRequest(request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex)
            request.location.point.latitude, request.location.point.longitude = -6.1754, 106.8272
            began = time.monotonic()
            alert = (await stub.RaiseAlert(request, timeout=10)).alert
            slowest = max(slowest, time.monotonic() - began)
            routed.add((alert.routing, alert.agency))
    return routed, slowest


async def wait_until_routed(platform: RunningPlatform) -> None:
    while (await raise_some(platform))[0] != {(alert_pb2.Alert.NEAREST, "agencies/jakarta-112")}:
        await asyncio.sleep(0.2)


async def test_sos_are_routed_while_the_directory_is_paused_or_gone() -> None:
    with run_platform() as platform:
        await asyncio.wait_for(wait_until_routed(platform), 20)
        platform.pause("directory")
        routed, slowest = await raise_some(platform)
        assert routed == {(alert_pb2.Alert.NEAREST, "agencies/jakarta-112")}
        assert slowest < SLOWEST
        platform.kill("directory")
        # Also from a cold start, by what is kept on disk.
        platform.kill("alerts")
        await asyncio.to_thread(platform.start, "alerts")
        routed, slowest = await raise_some(platform)
        assert routed == {(alert_pb2.Alert.NEAREST, "agencies/jakarta-112")}
        assert slowest < SLOWEST


async def test_the_citys_room_answers_where_the_directory_was_never_there() -> None:
    with run_platform() as platform:
        platform.kill("directory")
        platform.kill("alerts")
        (platform.folder / "alerts.directory").unlink(missing_ok=True)
        await asyncio.to_thread(platform.start, "alerts")
        routed, slowest = await raise_some(platform)
    assert routed == {(alert_pb2.Alert.DEFAULT, "agencies/jakarta-112")}
    assert slowest < SLOWEST


async def test_a_service_that_asks_the_directory_is_found_out() -> None:
    with run_platform(alerts=[sys.executable, "tests/recovery/mutants.py", "ask_the_directory"]) as platform:
        platform.pause("directory")
        try:
            _, slowest = await raise_some(platform)
        except grpc.aio.AioRpcError:
            slowest = float("inf")
        platform.resume("directory")
    assert slowest > SLOWEST
