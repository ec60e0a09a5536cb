"""One request id is one alert, however often, from however many callers and on whichever replica it arrives."""

import asyncio
import sys
import uuid
from collections import Counter

import grpc

from harness import RunningPlatform, run_platform
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc

IDS, TIMES = 100, 50


async def raise_each_many_times(platform: RunningPlatform, tokens: list[str]) -> dict[str, Counter[str]]:
    """By request id, the alerts that the calls were answered with; they go to all replicas in turn, under all sign-ins in turn."""
    answers: dict[str, Counter[str]] = {str(uuid.uuid4()): Counter() for _ in range(IDS)}
    channels = [grpc.aio.insecure_channel(platform.address(name)) for name in platform.replicas]
    stubs = [alert_service_pb2_grpc.AlertServiceStub(channel) for channel in channels]

    async def call(number: int, request_id: str) -> None:
        request = alert_service_pb2.RaiseAlertRequest(request_id=request_id, alert_token=f"token-of-{request_id}", note=str(number))
        token = tokens[number % len(tokens)]
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        reply = await stubs[number % len(stubs)].RaiseAlert(request, metadata=metadata, timeout=60)
        answers[request_id][reply.alert.name] += 1

    # The repetitions of one id are side by side, the ids one after the other in small groups.
    ids = list(answers)
    for start in range(0, IDS, 10):
        await asyncio.gather(*(call(number, request_id) for request_id in ids[start : start + 10] for number in range(TIMES)))
    for channel in channels:
        await channel.close()
    return answers


async def test_a_hundred_ids_sent_fifty_times_are_a_hundred_alerts(database_url: str) -> None:
    replicas = 1 if database_url.startswith("sqlite") else 2
    with run_platform({"ALERTS_DATABASE_URL": database_url}, replicas) as platform:
        tokens = ["", platform.token("citizen-1"), platform.token("citizen-2"), "not.a.token"]
        answers = await raise_each_many_times(platform, tokens)
    assert [len(names) for names in answers.values()] == [1] * IDS
    assert len({name for names in answers.values() for name in names}) == IDS


async def test_a_service_that_forgets_request_ids_is_found_out() -> None:
    with run_platform(alerts=[sys.executable, "tests/recovery/mutants.py", "forget_request_ids"]) as platform:
        answers = await raise_each_many_times(platform, [""])
    assert max(len(names) for names in answers.values()) > 1


async def test_anothers_request_id_reveals_nothing() -> None:
    with run_platform() as platform:
        async with grpc.aio.insecure_channel(platform.address("alerts")) as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            owner = (("authorization", f"Bearer {platform.token('citizen-1')}"),)
            stranger = (("authorization", f"Bearer {platform.token('citizen-2')}"),)
            request_id = str(uuid.uuid4())
            raised = await stub.RaiseAlert(alert_service_pb2.RaiseAlertRequest(request_id=request_id, note="mine"), metadata=owner)
            attempts = [
                (alert_service_pb2.RaiseAlertRequest(request_id=request_id), stranger),
                (alert_service_pb2.RaiseAlertRequest(request_id=request_id), ()),
                (alert_service_pb2.RaiseAlertRequest(request_id=request_id, alert_token=uuid.uuid4().hex), owner),
            ]
            for request, metadata in attempts:
                other = await stub.RaiseAlert(request, metadata=metadata)
                assert other.alert.name != raised.alert.name
                assert other.alert.note == ""
            again = await stub.RaiseAlert(alert_service_pb2.RaiseAlertRequest(request_id=request_id), metadata=owner)
            assert (again.alert.name, again.alert_token) == (raised.alert.name, raised.alert_token)
