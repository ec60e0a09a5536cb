"""Who is let in when the house is full: an SOS always, watches and calls each up to their own number."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from answering import NAME, Answering, answering, bearer, refusal_of
from grpc import StatusCode

from chassis.testing import Issuer
from siaga.alerts.v1 import alert_service_pb2 as pb

REQUEST = pb.GetAlertRequest(name=NAME)


async def watch(answers: Answering, issuer: Issuer) -> "asyncio.Future[pb.WatchAlertsResponse]":
    """A watch that has begun."""
    call = answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher"))
    assert (await call.read()).cursor == "1"
    return call


async def test_with_all_watch_slots_taken_the_next_watch_is_refused_and_calls_are_not(issuer: Issuer, tmp_path: Path) -> None:
    async with answering(issuer, tmp_path, max_watches=3) as answers:
        watches = [await watch(answers, issuer) for _ in range(3)]
        refusal = await refusal_of(answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher")))
        assert (refusal.code, refusal.reason, refusal.retry_seconds) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED", 1)
        for _ in range(20):
            await answers.stub.RaiseAlert(pb.RaiseAlertRequest())
            await answers.stub.GetAlert(REQUEST)
        assert len(watches) == 3


async def test_slots_that_grpc_counts_are_taken_from_an_sos(issuer: Issuer, tmp_path: Path) -> None:
    """The mutant: `maximum_concurrent_rpcs` in place of our own count."""
    async with answering(issuer, tmp_path, max_watches=1000, maximum_concurrent_rpcs=3) as answers:
        watches = [await watch(answers, issuer) for _ in range(3)]
        refusal = await refusal_of(answers.stub.RaiseAlert(pb.RaiseAlertRequest()))
        assert refusal.code is StatusCode.RESOURCE_EXHAUSTED
        assert len(watches) == 3


async def take_slots(answers: Answering, issuer: Issuer, count: int) -> "list[asyncio.Future[pb.WatchAlertsResponse]]":
    """As soon as they are free; raises TimeoutError where they never are."""
    watches: list[asyncio.Future[pb.WatchAlertsResponse]] = []
    async with asyncio.timeout(5):
        while len(watches) < count:
            try:
                watches.append(await watch(answers, issuer))
            except grpc.aio.AioRpcError as error:
                if error.code() is not StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(0.01)
    return watches


async def flood() -> AsyncIterator[pb.WatchAlertsResponse]:
    """More than a transport takes whose reader reads nothing."""
    yield pb.WatchAlertsResponse(cursor="1")
    while True:
        yield pb.WatchAlertsResponse(cursor="x" * 60_000)


@pytest.mark.parametrize("stalled", [False, True])
async def test_a_slot_is_given_back_by_whoever_hangs_up(
    issuer: Issuer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    stalled: bool,  # noqa: FBT001
) -> None:
    caplog.set_level(logging.WARNING)
    async with answering(issuer, tmp_path, max_watches=3) as answers:
        if stalled:
            answers.servicer.stream = flood
        for _ in range(5):
            watches = await take_slots(answers, issuer, 3)
            # A flood fills its transport meanwhile.
            await asyncio.sleep(0.05)
            for call in watches:
                call.cancel()
        gc.collect()
        await asyncio.sleep(0)
    ours = [record for record in caplog.records if not record.name.startswith("grpc.")]
    assert not ours, "a caller who hangs up is nothing to log"


@pytest.mark.parametrize("ends", ["normally", "with an error"])
async def test_a_slot_is_given_back_by_a_watch_that_ends(issuer: Issuer, tmp_path: Path, ends: str) -> None:
    async def stream() -> AsyncIterator[pb.WatchAlertsResponse]:
        yield pb.WatchAlertsResponse(cursor="1")
        if ends == "with an error":
            raise ValueError

    async with answering(issuer, tmp_path, max_watches=1) as answers:
        answers.servicer.stream = stream
        for _ in range(5):
            call = answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher"))
            if ends == "normally":
                assert [message.cursor async for message in call] == ["1"]
            else:
                assert (await refusal_of(call)).reason == "INTERNAL_ERROR"


async def test_a_refused_watch_takes_no_slot(issuer: Issuer, tmp_path: Path) -> None:
    async with answering(issuer, tmp_path, max_watches=1) as answers:
        for _ in range(5):
            assert (await refusal_of(answers.stub.WatchAlerts(pb.WatchAlertsRequest()))).reason == "INVALID_TOKEN"
        (await watch(answers, issuer)).cancel()


async def test_while_too_many_writes_are_pending_only_an_emergency_comes_in(issuer: Issuer, tmp_path: Path) -> None:
    pending = 10
    async with answering(issuer, tmp_path, pending=lambda: pending) as answers:
        refusal = await refusal_of(answers.stub.GetAlert(REQUEST))
        assert (refusal.reason, refusal.retry_seconds) == ("OVERLOADED", 1)
        assert answers.servicer.calls == 0
        assert (await answers.stub.RaiseAlert(pb.RaiseAlertRequest())).alert_token == "t"
        pending = 9
        assert (await answers.stub.GetAlert(REQUEST)).name == NAME
