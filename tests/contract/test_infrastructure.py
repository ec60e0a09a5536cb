"""Health and reflection, on the port of every service and on no other."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from contract.rpcs import RPCS, SERVICES, Services, read_error
from harness import RunningPlatform


def names_of(service: str) -> set[str]:
    return {rpc.service.full_name for rpc in RPCS.values() if rpc.upstream == service}


def ask_health(channel: grpc.Channel, name: str) -> str:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def reflect(channel: grpc.Channel, **question: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return next(iter(stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=5)))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_ready_and_alive_by_name(services: Services, service: str) -> None:
    channel = services.channels[service]
    assert {ask_health(channel, name) for name in ("", "live", *names_of(service))} == {"SERVING"}
    with pytest.raises(grpc.RpcError) as refused:
        ask_health(channel, "somebody-else")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_tells_what_it_serves(services: Services, service: str) -> None:
    listed = {each.name for each in reflect(services.channels[service], list_services="").list_services_response.service}
    assert listed == {*names_of(service), "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize("service", SERVICES)
def test_what_it_tells_is_the_contract(services: Services, service: str) -> None:
    for name in names_of(service):
        answer = reflect(services.channels[service], file_containing_symbol=name)
        files = [FileDescriptorProto.FromString(each) for each in answer.file_descriptor_response.file_descriptor_proto]
        methods = {
            method.name for file in files for each in file.service if f"{file.package}.{each.name}" == name for method in each.method
        }
        assert methods == {rpc.descriptor.name for rpc in RPCS.values() if rpc.service.full_name == name}


def test_neither_passes_the_gateway(platform: RunningPlatform) -> None:
    with grpc.insecure_channel(platform.target) as channel:
        for ask in (lambda: ask_health(channel, ""), lambda: reflect(channel, list_services="")):
            with pytest.raises(grpc.RpcError) as refused:
                ask()
            # NOT_FOUND would be health's own word for a service that it does not know.
            assert read_error(refused.value).said == "UNIMPLEMENTED RPC_UNKNOWN"
