"""Conditions that a caller is told about, and how they look on the wire."""

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from siaga.errors.v1 import error_reason_pb2
from siaga.errors.v1.error_reason_pb2 import ErrorReason

DOMAIN = "siaga"
# A gRPC client takes 8 kB of error details, and drops the whole error where they are more.
_MAX_FIELDS_BYTES = 6000
STATUS_DETAILS = "grpc-status-details-bin"


class Reason(NamedTuple):
    """A value of an ErrorReason of the contract, with the status code that the contract ties to it."""

    name: str
    code: grpc.StatusCode


def documented(reasons: EnumDescriptor, value: int) -> Reason:
    found = reasons.values_by_number[value]
    return Reason(found.name, grpc.StatusCode[code_pb2.Code.Name(found.GetOptions().Extensions[error_reason_pb2.code])])


class Problem(Exception):
    """A documented error. A subclass names its `reason` and the fixed `text` that a caller reads, and the `field` of the
    request, as JSON spells it, where it is always the same one that is at fault.

    `metadata` is what the reason documents; `fields` are (path, what is wrong) of the request's fields at fault; a
    caller does well to wait for `retry_seconds` before the next try.
    """

    reason: ClassVar[Reason]
    text: ClassVar[str]
    field: ClassVar[str] = ""

    def __init__(self, *, fields: list[tuple[str, str]] | None = None, retry_seconds: float | None = None, **metadata: str) -> None:
        super().__init__(self.reason.name)
        self.fields = fields or ([(self.field, self.text)] if self.field else [])
        self.retry_seconds = retry_seconds
        self.metadata = metadata

    def to_status(self) -> status_pb2.Status:
        details: list[Message] = [error_details_pb2.ErrorInfo(domain=DOMAIN, reason=self.reason.name, metadata=self.metadata)]
        if self.fields:
            details.append(error_details_pb2.BadRequest(field_violations=self._name_fields()))
        if self.retry_seconds is not None:
            delay = Duration()
            delay.FromMilliseconds(int(self.retry_seconds * 1000))
            details.append(error_details_pb2.RetryInfo(retry_delay=delay))
        status = status_pb2.Status(code=self.reason.code.value[0], message=self.text)
        for each in details:
            packed = AnyMessage()
            packed.Pack(each)
            status.details.append(packed)
        return status

    def _name_fields(self) -> Iterator[error_details_pb2.BadRequest.FieldViolation]:
        """As many of the fields as any client can read."""
        room = _MAX_FIELDS_BYTES
        for path, wrong in self.fields:
            violation = error_details_pb2.BadRequest.FieldViolation(field=path, description=wrong)
            room -= violation.ByteSize() + 4
            if room < 0:
                return
            yield violation


class InvalidRequest(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_REQUEST)
    text = "A field of the request breaks a rule of the contract."


class UnreadableRequest(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNREADABLE_REQUEST)
    text = "The request cannot be read."


class RequestTooLarge(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.REQUEST_TOO_LARGE)
    text = "The request is too large."


class InvalidToken(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_TOKEN)
    text = "Sign in again: no valid token came along."


class AccessDenied(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.ACCESS_DENIED)
    text = "Your roles may not do this."


class RequestIdReused(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.REQUEST_ID_REUSED)
    text = "This request id was used for another request: make a new UUID."
    field = "requestId"


class InvalidPageToken(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_PAGE_TOKEN)
    text = "This page token does not belong to this list with these filters."
    field = "pageToken"


class InvalidCursor(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_CURSOR)
    text = "This cursor does not belong to this watch."
    field = "cursor"


class CursorExpired(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.CURSOR_EXPIRED)
    text = "This cursor is older than 7 days: watch without a cursor."


class Overloaded(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.OVERLOADED)
    text = "The service is full at the moment: try again shortly."


class ServiceUnavailable(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.SERVICE_UNAVAILABLE)
    text = "The service cannot do this at the moment: try again shortly."


class DeadlinePassed(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.DEADLINE_PASSED)
    text = "The answer took too long. It may have happened: repeat it with the same request id."


class InternalError(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INTERNAL_ERROR)
    text = "Something went wrong on our side."
