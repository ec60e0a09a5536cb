"""The services, asked over gRPC in the name of whoever asks the adapters."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from starlette.requests import Request

from chassis.errors import STATUS_DETAILS, DeadlinePassed, InternalError, Problem, ServiceUnavailable
from gateway.errors import UnreadableRequest
from siaga.alerts.v1 import text_service_pb2_grpc, warning_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2_grpc

Stub = TypeVar("Stub")
Question = TypeVar("Question", bound=Message)
Answer = TypeVar("Answer", bound=Message)

CALL_SECONDS = 5.0
RETRY_SECONDS = 1.0
# A boundary is larger than gRPC's own limit of 4 MB allows. A service that is back is asked at once: gRPC's own
# patience grows to two minutes.
OPTIONS = [("grpc.max_receive_message_length", 256 * 1024 * 1024), ("grpc.max_reconnect_backoff_ms", 1000)]
# What a service is told of the caller: who it is, and which trace the call belongs to.
PASSED_ON = ("authorization", "traceparent")


class ServiceProblem(Problem):
    """An error of a service, handed on as it came. `name` is its reason, such as `BOUNDARY_UNKNOWN`."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Take the status; it has a reason, because every documented error has."""
        info = error_details_pb2.ErrorInfo()
        any(detail.Unpack(info) for detail in status.details)
        Exception.__init__(self, info.reason)
        self.name = info.reason
        self._status = status

    def to_status(self) -> status_pb2.Status:
        return self._status


class Service(Generic[Stub]):
    """One channel to a service for all adapters, open while the application is."""

    stub: Stub

    def __init__(self, address: str, make_stub: Callable[[grpc.aio.Channel], Stub]) -> None:
        self._address, self._make_stub = address, make_stub

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        async with grpc.aio.insecure_channel(self._address, OPTIONS) as channel:
            self.stub = self._make_stub(channel)
            yield

    async def ask(self, rpc: grpc.aio.UnaryUnaryMultiCallable[Question, Answer], question: Question, request: Request) -> Answer:
        """Answer by the RPC, one of `stub`, for the caller of the request. Its errors are raised as problems."""
        metadata = [(name, request.headers[name]) for name in PASSED_ON if name in request.headers]
        # gRPC knows no other characters in a header.
        if not all(value.isascii() and value.isprintable() for _, value in metadata):
            raise UnreadableRequest
        try:
            return await rpc(question, metadata=metadata, timeout=CALL_SECONDS)
        except grpc.aio.AioRpcError as error:
            raise read_problem(error) from error


# The generated code has one class for both kinds of channel, its types have two.
Directory: TypeAlias = "Service[directory_service_pb2_grpc.DirectoryServiceAsyncStub]"
Texts: TypeAlias = "Service[text_service_pb2_grpc.TextServiceAsyncStub]"
Warnings: TypeAlias = "Service[warning_service_pb2_grpc.WarningServiceAsyncStub]"


def read_problem(error: grpc.aio.AioRpcError) -> Problem:
    details = dict(error.trailing_metadata() or ()).get(STATUS_DETAILS)
    if isinstance(details, bytes):
        return ServiceProblem(status_pb2.Status.FromString(details))
    # Without details it is gRPC's own error: the service did not answer.
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return ServiceUnavailable(retry_seconds=RETRY_SECONDS)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlinePassed(retry_seconds=RETRY_SECONDS)
        case _:
            return InternalError()
