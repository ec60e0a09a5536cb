"""What a LoST client is told in place of an answer: the conditions of RFC 5222, section 13.1."""

from typing import ClassVar

from chassis.errors import AccessDenied, DeadlinePassed, InvalidToken, RequestTooLarge
from gateway.errors import UnreadableRequest


class LostError(Exception):
    """`element` is the standard's word for the condition, `attributes` what the element has beside its message."""

    element: ClassVar[str]

    def __init__(self, text: str, **attributes: str) -> None:
        super().__init__(text)
        self.text = text
        self.attributes = attributes


class BadRequest(LostError):
    element = "badRequest"


class LocationProfileUnrecognized(LostError):
    element = "locationProfileUnrecognized"


class LocationInvalid(LostError):
    element = "locationInvalid"


class SrsInvalid(LostError):
    """The text of the standard has it, its schema forgets it."""

    element = "SRSInvalid"


class Loop(LostError):
    element = "loop"


class NotFound(LostError):
    element = "notFound"


class ServiceNotImplemented(LostError):
    element = "serviceNotImplemented"


class Forbidden(LostError):
    element = "forbidden"


class ServerTimeout(LostError):
    element = "serverTimeout"


class InternalError(LostError):
    element = "internalError"


# The platform's own conditions, by their reasons; any other one is an internal error to a LoST client.
BY_REASON: dict[str, type[LostError]] = {
    UnreadableRequest.reason.name: BadRequest,
    RequestTooLarge.reason.name: BadRequest,
    InvalidToken.reason.name: Forbidden,
    AccessDenied.reason.name: Forbidden,
    DeadlinePassed.reason.name: ServerTimeout,
}
