"""What stands around every RPC, composed once per method.

From outside: telemetry → errors → admission → deadline → identity → access → size → validation → the servicer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast

import grpc
from google.protobuf.message import DecodeError, Message
from protovalidate import Validator, Violation

from chassis import telemetry
from chassis.access import Method, authorize
from chassis.errors import (
    STATUS_DETAILS,
    DeadlinePassed,
    InternalError,
    InvalidRequest,
    Overloaded,
    Problem,
    RequestTooLarge,
    UnreadableRequest,
)
from chassis.identity import TokenVerifier, caller, challenge
from chassis.masks import json_name

Metadata = Mapping[str, str]
Behaviour = Callable[[Any, grpc.aio.ServicerContext], Any]

MAX_REQUEST_BYTES = 65536
# A caller who names no deadline of their own is not kept waiting longer than this.
DEADLINE_SECONDS = 5.0
RETRY_SECONDS = 1.0
_validator = Validator()
_log = logging.getLogger(__name__)


class Surround(grpc.aio.ServerInterceptor):
    """One interceptor, because grpc.aio pays for each one on each call.

    `max_watches` server streams run at a time; they are counted apart from calls, so that no idle watcher can take an
    SOS's place. `pending` says how much the database has still to do; above `max_pending` only emergencies come in.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        tokens: TokenVerifier,
        dial: str,
        pending: Callable[[], int],
        max_watches: int,
        max_pending: int,
    ) -> None:
        self._methods, self._tokens, self._dial = methods, tokens, dial
        self._pending, self._max_watches, self._max_pending = pending, max_watches, max_pending
        self._watches = 0
        self._surrounded: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:  # noqa: ANN401  # grpc's own signature
        path = handler_call_details.method
        surrounded = self._surrounded.get(path)
        if surrounded is None:
            handler = await continuation(handler_call_details)
            method = self._methods.get(path)
            if handler is None or method is None:
                # Health and reflection are the infrastructure's own.
                return handler if path.startswith("/grpc.") else None
            surrounded = self._surrounded[path] = self._surround(method, handler)
        return surrounded

    def _surround(self, method: Method, handler: Any) -> grpc.RpcMethodHandler[Any, Any]:  # noqa: ANN401
        read = _reading(handler.request_deserializer)
        if handler.request_streaming and handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(self._around_stream(method, handler.stream_stream), read, _serialize)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(self._around_stream(method, handler.unary_stream), read, _serialize)
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(self._around_call(method, handler.stream_unary), read, _serialize)
        return grpc.unary_unary_rpc_method_handler(self._around_call(method, handler.unary_unary), read, _serialize)

    def _around_call(self, method: Method, behaviour: Behaviour) -> Behaviour:
        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:  # noqa: ANN401
            metadata = read_metadata(context)
            with telemetry.call_span(method.path, metadata) as ending:
                deadline = asyncio.timeout(_seconds_left(method, context))
                try:
                    self._admit(method)
                    async with deadline:
                        request = await self._check(method, request, metadata)
                        return await behaviour(request, context)
                except Exception as error:  # noqa: BLE001  # everything is turned into a documented status here
                    problem = DeadlinePassed(retry_seconds=RETRY_SECONDS) if deadline.expired() else error
                    await self._abort(method, context, metadata, problem, ending)

        return call

    def _around_stream(self, method: Method, behaviour: Behaviour) -> Behaviour:
        async def call(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:  # noqa: ANN401
            metadata = read_metadata(context)
            with telemetry.call_span(method.path, metadata) as ending:
                try:
                    async with self._watch_slot():
                        request = await self._check(method, request, metadata)
                        async for message in behaviour(request, context):
                            yield message
                except Exception as error:  # noqa: BLE001
                    await self._abort(method, context, metadata, error, ending)

        return call

    def _admit(self, method: Method) -> None:
        if not method.rule.emergency and self._pending() >= self._max_pending:
            raise Overloaded(retry_seconds=RETRY_SECONDS)

    @asynccontextmanager
    async def _watch_slot(self) -> AsyncGenerator[None, None]:
        if self._watches >= self._max_watches:
            raise Overloaded(retry_seconds=RETRY_SECONDS)
        self._watches += 1
        try:
            yield
        finally:
            self._watches -= 1

    async def _check(self, method: Method, request: Any, metadata: Metadata) -> Any:  # noqa: ANN401
        """Identity, access, size, validation, in this order: a stranger learns nothing of what is wrong with a request."""
        authorization = metadata.get("authorization", "")
        if method.rule.emergency:
            caller.set(self._tokens.identify_leniently(authorization))
        else:
            caller.set(await self._tokens.identify(authorization))
        authorize(method, caller.get())
        if request is None:
            raise UnreadableRequest
        if not isinstance(request, Message):
            return _checked(request)
        if request.ByteSize() > MAX_REQUEST_BYTES:
            raise RequestTooLarge(maxBytes=str(MAX_REQUEST_BYTES))
        if not method.rule.emergency:
            validate(request)
        return request

    async def _abort(
        self, method: Method, context: grpc.aio.ServicerContext, metadata: Metadata, error: Exception, ending: telemetry.Ending
    ) -> None:
        """A documented error as its status; anything else as fixed text, with an id under which the log has more."""
        if isinstance(error, grpc.aio.AbortError):
            raise error
        problem = error if isinstance(error, Problem) else InternalError(errorId=secrets.token_hex(8))
        if problem is not error:
            _log.error("error %s in %s: %s", problem.metadata["errorId"], method.path, telemetry.describe(error))
        if method.rule.emergency:
            problem.metadata["dial"] = self._dial
        ending.fail(problem.reason.code.name, problem.reason.name)
        trailers: list[tuple[str, str | bytes]] = [(STATUS_DETAILS, problem.to_status().SerializeToString())]
        # Over HTTP these are headers (RFC 9110, 15.5.2 and 10.2.3).
        if problem.reason.code is grpc.StatusCode.UNAUTHENTICATED:
            trailers.append(("www-authenticate", challenge(metadata.get("authorization", ""))))
        if problem.retry_seconds is not None:
            trailers.append(("retry-after", str(math.ceil(problem.retry_seconds))))
        await context.abort(problem.reason.code, problem.text, tuple(trailers))


def read_metadata(context: grpc.aio.ServicerContext) -> Metadata:
    """The last value of each key; binary ones, whose keys end with `-bin`, are none of ours."""
    return cast("Metadata", dict(context.invocation_metadata() or ()))


def validate(request: Message) -> None:
    """Raises InvalidRequest, naming each field at fault and the rule that it breaks."""
    fields = [(json_path(each), each.proto.message) for each in _validator.collect_violations(request)]
    fields += [(path, "must hold no NUL") for path in _find_nul(request, "")]
    if fields:
        raise InvalidRequest(fields=fields)


def _find_nul(message: Message, prefix: str) -> Iterator[str]:
    """The texts with a NUL, which PostgreSQL does not keep; keys and values of maps have rules of their own."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.type == field.TYPE_STRING and any("\0" in each for each in values):
            yield f"{prefix}{field.json_name}"
        elif field.message_type and not field.message_type.GetOptions().map_entry:
            for each in values:
                yield from _find_nul(each, f"{prefix}{field.json_name}.")


def find_violations(message: Message) -> list[Violation]:
    return _validator.collect_violations(message)


def field_names(violation: Violation) -> list[str]:
    """The field at fault, from the request down, as the .proto spells it."""
    return [each.field_name for each in violation.proto.field.elements] if violation.proto.field else []


def json_path(violation: Violation) -> str:
    """The field as JSON spells it, such as `locations[2].point.latitude`."""
    elements = violation.proto.field.elements if violation.proto.field else []
    places = [f"[{each.subscript.value}]" if each.subscript and each.subscript.field == "index" else "" for each in elements]
    names = [each.field_name + place for each, place in zip(elements, places, strict=True)]
    return ".".join(json_name(name) for name in names)


async def _checked(requests: AsyncIterator[Message | None]) -> AsyncIterator[Message]:
    async for request in requests:
        if request is None:
            raise UnreadableRequest
        if request.ByteSize() > MAX_REQUEST_BYTES:
            raise RequestTooLarge(maxBytes=str(MAX_REQUEST_BYTES))
        validate(request)
        yield request


def _seconds_left(method: Method, context: grpc.aio.ServicerContext) -> float | None:
    """None where the caller named a deadline, at which grpc itself ends the call, or sends for as long as it takes."""
    named = context.time_remaining() is not None  # pyright: ignore[reportUnnecessaryComparison]  # the stub is wrong
    return None if named or method.client_streams else DEADLINE_SECONDS


def _reading(deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Message | None]:
    """None for what cannot be read: grpc itself would answer with the exception's own text."""

    def read(data: bytes) -> Message | None:
        try:
            return deserialize(data)
        except DecodeError:
            return None

    return read


def _serialize(message: Message | bytes) -> bytes:
    """A message to many, whether watchers or callers, arrives here serialized once for all."""
    return message if isinstance(message, bytes) else message.SerializeToString()
