"""Watchers never stand in an SOS's way: not when every slot is taken, and not when one of them has stopped to read."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from harness import RunningPlatform, run_platform
from recovery.ledger import Watcher
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc

pytestmark = pytest.mark.alone
SLOTS = 50
SOS = 200
# Enough that what the transport holds and what the queue holds are full.
LONG_NOTE = "a" * 3900
ENDED_SECONDS = 32.0
MUTANT = "tests/recovery/mutants.py"


async def raise_sos(address: str, count: int, note: str = "") -> list[float]:
    """The seconds of those that were accepted."""
    accepted: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)

        async def call() -> None:
            request = alert_service_pb2.RaiseAlertRequest(
                request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex, note=f"{time.monotonic()} {note}"
            )
            began = time.monotonic()
            try:
                await stub.RaiseAlert(request, timeout=10)
            except grpc.aio.AioRpcError:
                return
            accepted.append(time.monotonic() - began)

        for _ in range(0, count, 10):
            await asyncio.gather(*(call() for _ in range(10)))
    return accepted


@asynccontextmanager
async def take_all_slots(platform: RunningPlatform) -> AsyncIterator[alert_service_pb2_grpc.AlertServiceStub]:
    """Every watch has answered once, and so has its slot."""
    metadata = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
    async with grpc.aio.insecure_channel(platform.address("alerts")) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        watches = [stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=metadata) for _ in range(SLOTS)]
        await asyncio.gather(*(each.read() for each in watches))
        yield stub
        for each in watches:
            each.cancel()


async def test_an_sos_is_taken_while_every_watch_slot_is() -> None:
    with run_platform({"ALERTS_MAX_WATCHES": str(SLOTS)}) as platform:
        metadata = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
        async with take_all_slots(platform) as stub:
            assert len(await raise_sos(platform.address("alerts"), SOS)) == SOS
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=metadata).read()
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            status = rpc_status.from_call(refused.value)
            assert status is not None
            info, wait = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            assert status.details[0].Unpack(info)
            assert status.details[1].Unpack(wait)
            assert (info.reason, wait.retry_delay.seconds) == ("OVERLOADED", 1)


async def test_a_service_that_counts_watches_as_calls_is_found_out() -> None:
    settings = {"ALERTS_MAX_WATCHES": str(SLOTS)}
    with run_platform(settings, alerts=[sys.executable, MUTANT, "count_watches_as_calls"]) as platform:
        # Envoy's health checks and the harness's own count, too: the slots are those that the watches leave.
        metadata = (("authorization", f"Bearer {platform.token('dispatcher-112')}"),)
        async with grpc.aio.insecure_channel(platform.address("alerts")) as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            watches = [stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=metadata) for _ in range(SLOTS)]
            await asyncio.gather(*(each.read() for each in watches), return_exceptions=True)
            assert len(await raise_sos(platform.address("alerts"), SOS)) < SOS
            for each in watches:
                each.cancel()


async def watch_beside_a_stalled_one(platform: RunningPlatform) -> tuple[float, bool]:
    """The slowest but one in a hundred arrivals at 49 watchers that read, and whether the one that does not was ended in time."""
    token = platform.token("dispatcher-112")
    metadata = (("authorization", f"Bearer {token}"),)
    watchers = [Watcher(platform.address("alerts"), lambda: token) for _ in range(49)]
    watching = [asyncio.create_task(each.run()) for each in watchers]
    await asyncio.gather(*(each.following.wait() for each in watchers))
    # Without its probes the transport of the stalled one holds 64 kB and no more.
    async with grpc.aio.insecure_channel(platform.address("alerts"), options=[("grpc.http2.bdp_probe", 0)]) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        stalled = stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=metadata)
        cursor = (await stalled.read()).cursor
        assert len(await raise_sos(platform.address("alerts"), SOS, LONG_NOTE)) == SOS
        await wait_for(lambda: all(len(each.arrivals) == SOS for each in watchers), 10)
        delays = sorted(arrival - float(note.split()[0]) for each in watchers for note, arrival in each.arrivals.items())
        ended = await wait_for(lambda: "a watch was ended" in platform.log("alerts"), ENDED_SECONDS)
        if ended:
            seen = await read_to_the_end(stalled, cursor)
            resumed = stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor=seen[-1].cursor), metadata=metadata)
            while len(raised_in(seen)) < SOS:
                seen.append(await asyncio.wait_for(resumed.read(), 5))
            assert len(raised_in(seen)) == len(set(raised_in(seen))) == SOS
            resumed.cancel()
        stalled.cancel()
    for task in watching:
        task.cancel()
    return delays[int(len(delays) * 0.99)], ended


def raised_in(messages: list[alert_service_pb2.WatchAlertsResponse]) -> list[str]:
    return [each.event.alert.name for each in messages if each.event.type == "AlertRaised"]


async def read_to_the_end(
    watch: "grpc.aio.UnaryStreamCall[alert_service_pb2.WatchAlertsRequest, alert_service_pb2.WatchAlertsResponse]", cursor: str
) -> list[alert_service_pb2.WatchAlertsResponse]:
    """What the transport still held, up to the end that it is told; the first one stands for where the watch began."""
    messages = [alert_service_pb2.WatchAlertsResponse(cursor=cursor)]
    while isinstance(message := await asyncio.wait_for(watch.read(), 5), alert_service_pb2.WatchAlertsResponse):
        messages.append(message)
    assert messages[-1].end.reason == alert_service_pb2.WatchAlertsResponse.End.SLOW_READER
    return messages


async def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.1)
    return condition()


async def test_a_watcher_that_stops_to_read_delays_nobody_and_is_ended() -> None:
    with run_platform() as platform:
        delay, ended = await watch_beside_a_stalled_one(platform)
    print(f"\np99 at the other watchers: {delay:.2f} s")
    assert ended
    assert delay <= 1.0


async def test_a_service_that_waits_for_slow_readers_is_found_out() -> None:
    with run_platform(alerts=[sys.executable, MUTANT, "wait_for_slow_readers"]) as platform:
        _, ended = await watch_beside_a_stalled_one(platform)
    assert not ended
