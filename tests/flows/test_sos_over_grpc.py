"""The journey of an SOS as an agency's system makes it: gRPC through Envoy, on the same port."""

import time
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from harness import RunningPlatform
from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2, directory_service_pb2_grpc

SECOND = 1.0


@pytest.fixture
async def channel(platform: RunningPlatform) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(platform.target) as channel:
        yield channel


def reason_of(error: grpc.aio.AioRpcError) -> error_details_pb2.ErrorInfo:
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def wait_for(watch: "grpc.aio.UnaryStreamCall", kind: str, name: str = "") -> alert_service_pb2.WatchAlertsResponse:
    async for message in watch:
        if (message.WhichOneof("content") == kind or message.event.type == kind) and name in {"", message.event.alert.name}:
            return message
    raise AssertionError(f"the watch ended before {kind}")


async def test_an_sos_travels_from_a_phone_to_an_agency_and_back(platform: RunningPlatform, channel: grpc.aio.Channel) -> None:
    alerts = alert_service_pb2_grpc.AlertServiceStub(channel)
    agency = (("authorization", f"Bearer {platform.token('agency-112')}"),)
    console = alerts.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=agency)
    await wait_for(console, "heartbeat")
    request = alert_service_pb2.RaiseAlertRequest(request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex, kind=alert_pb2.Alert.FIRE)
    request.location.point.latitude, request.location.point.longitude = -6.1754, 106.8272
    began = time.monotonic()
    raised = await alerts.RaiseAlert(request)
    seen = await wait_for(console, "AlertRaised", raised.alert.name)
    assert time.monotonic() - began < SECOND
    assert seen.event.alert.kind == alert_pb2.Alert.FIRE

    phone = alerts.WatchAlert(
        alert_service_pb2.WatchAlertRequest(name=raised.alert.name), metadata=(("siaga-alert-token", raised.alert_token),)
    )
    await wait_for(phone, "snapshot_end")
    acknowledge = alert_service_pb2.AcknowledgeAlertRequest(name=raised.alert.name, request_id=str(uuid.uuid4()), operator="Sari")
    answer = await alerts.AcknowledgeAlert(acknowledge, metadata=agency)
    assert answer.responses[0].operator == "Sari"
    assert (await wait_for(phone, "AlertAcknowledged")).event.alert.state == alert_pb2.Alert.ACKNOWLEDGED

    with pytest.raises(grpc.aio.AioRpcError) as late:
        await alerts.AcknowledgeAlert(
            alert_service_pb2.AcknowledgeAlertRequest(name=raised.alert.name),
            metadata=(("authorization", f"Bearer {platform.token('dispatcher-112')}"),),
        )
    assert late.value.code() == grpc.StatusCode.ABORTED
    assert reason_of(late.value).metadata["operator"] == "Sari"
    # The same request again changes nothing and is answered alike.
    assert (await alerts.AcknowledgeAlert(acknowledge, metadata=agency)).revision == answer.revision


async def test_errors_of_the_edge_carry_their_details_over_grpc(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await alert_service_pb2_grpc.AlertServiceStub(channel).ListAlerts(alert_service_pb2.ListAlertsRequest())
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert reason_of(refused.value).reason == "INVALID_TOKEN"


async def test_the_directory_tells_everybody_who_can_be_called(channel: grpc.aio.Channel) -> None:
    directory = directory_service_pb2_grpc.DirectoryServiceStub(channel)
    request = directory_service_pb2.SearchNearbyRequest()
    request.point.latitude, request.point.longitude = -6.1754, 106.8272
    found = await directory.SearchNearby(request)
    assert found.contacts[0].numbers[0].number == "112"
    snapshot = await directory.GetSnapshot(directory_service_pb2.GetSnapshotRequest())
    # Other tests have added theirs.
    assert len(snapshot.snapshot.areas) >= 318
