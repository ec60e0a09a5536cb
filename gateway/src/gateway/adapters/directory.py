"""The directory, asked over gRPC in the name of whoever asks the adapters."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from starlette.requests import Request

from chassis.errors import STATUS_DETAILS, DeadlinePassed, InternalError, Problem, ServiceUnavailable
from gateway.errors import UnreadableRequest
from gateway.settings import Settings
from siaga.directory.v1 import directory_service_pb2_grpc

Question = TypeVar("Question", bound=Message)
Answer = TypeVar("Answer", bound=Message)

CALL_SECONDS = 5.0
# A boundary is larger than gRPC's own limit of 4 MB allows. A directory that is back is asked at once: gRPC's own
# patience grows to two minutes.
OPTIONS = [("grpc.max_receive_message_length", 256 * 1024 * 1024), ("grpc.max_reconnect_backoff_ms", 1000)]
# What the directory is told of the caller: who it is, and which trace the call belongs to.
PASSED_ON = ("authorization", "traceparent")


class DirectoryProblem(Problem):
    """An error of the directory, handed on as it came. `name` is its reason, such as `BOUNDARY_UNKNOWN`."""

    def __init__(self, status: status_pb2.Status) -> None:
        """Take the status; it has a reason, because every documented error has."""
        info = error_details_pb2.ErrorInfo()
        any(detail.Unpack(info) for detail in status.details)
        Exception.__init__(self, info.reason)
        self.name = info.reason
        self._status = status

    def to_status(self) -> status_pb2.Status:
        return self._status


class Directory:
    """One channel for all adapters, open while the application is."""

    # The generated code has one class for both kinds of channel, its types have two.
    stub: "directory_service_pb2_grpc.DirectoryServiceAsyncStub"

    def __init__(self, settings: Settings) -> None:
        self._address = settings.upstreams["directory"][0]

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        async with grpc.aio.insecure_channel(self._address, OPTIONS) as channel:
            self.stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)  # pyright: ignore[reportAttributeAccessIssue]
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


def read_problem(error: grpc.aio.AioRpcError) -> Problem:
    details = dict(error.trailing_metadata() or ()).get(STATUS_DETAILS)
    if isinstance(details, bytes):
        return DirectoryProblem(status_pb2.Status.FromString(details))
    # Without details it is gRPC's own error: the directory did not answer.
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return ServiceUnavailable()
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlinePassed()
        case _:
            return InternalError()
