"""The body of a request to the adapters, within its limit."""

from starlette.requests import Request

from chassis.errors import RequestTooLarge
from gateway.errors import MAX_BODY_BYTES


async def read_body(request: Request) -> bytes:
    """Read all of it. Raises RequestTooLarge."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(maxBytes=str(MAX_BODY_BYTES))
    return body
