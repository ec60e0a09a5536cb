"""The one shape of every error, also of those that Envoy and the adapters answer themselves."""

import base64
from typing import Any

from google.protobuf import json_format
from google.rpc import code_pb2

from chassis.errors import Problem, documented
from siaga.errors.v1 import error_reason_pb2
from siaga.errors.v1.error_reason_pb2 import ErrorReason

MAX_BODY_BYTES = 65536
# The canonical HTTP status of each code, the same that Envoy gives a service's error.
HTTP_STATUS: dict[int, int] = {
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNAUTHENTICATED: 401,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ABORTED: 409,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DEADLINE_EXCEEDED: 504,
}


class UnreadableRequest(Problem):
    """Its text covers a body, a query parameter and a broken HTTP request alike: Envoy does not tell which it was."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.UNREADABLE_REQUEST)
    text = "The request cannot be read: it is not JSON of this request, or holds an unknown parameter or word."


class MethodNotFound(Problem):
    """Also for a wrong HTTP method, which Envoy does not tell from a wrong path."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.METHOD_NOT_FOUND)
    text = "There is no such path, or not with this method."


class RpcUnknown(Problem):
    """Over gRPC what is not there is UNIMPLEMENTED: a health check takes NOT_FOUND for an answer about its service."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.RPC_UNKNOWN)
    text = "There is no such RPC."


class RateLimited(Problem):
    """The wait stands in the header `retry-after`, too."""

    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.RATE_LIMITED)
    text = "Too many requests: wait as long as the header retry-after says."


class InvalidSignature(Problem):
    reason = documented(ErrorReason.DESCRIPTOR, error_reason_pb2.INVALID_SIGNATURE)
    text = "The request is not signed by a secret that is known here, or was signed more than 5 minutes ago."


def find_http_status(problem: Problem) -> int:
    return HTTP_STATUS[problem.to_status().code]


def write_json(problem: Problem) -> dict[str, Any]:
    """Return the google.rpc.Status as proto3 JSON writes it."""
    return json_format.MessageToDict(problem.to_status(), always_print_fields_with_no_presence=True)


def write_grpc(problem: Problem) -> str:
    """Return the same google.rpc.Status as the header `grpc-status-details-bin` carries it."""
    return base64.b64encode(problem.to_status().SerializeToString()).decode().rstrip("=")
