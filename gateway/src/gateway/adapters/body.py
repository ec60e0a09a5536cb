"""The body of a request to the adapters, within its limit."""

import json
from typing import Any, cast

from starlette.requests import Request

from chassis.errors import RequestTooLarge
from gateway.errors import MAX_BODY_BYTES, UnreadableRequest


async def read_body(request: Request) -> bytes:
    """Read all of it. Raises RequestTooLarge."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise RequestTooLarge(maxBytes=str(MAX_BODY_BYTES))
    return body


def parse_json(body: bytes | str) -> dict[str, Any]:
    """Parse a JSON object. Raises UnreadableRequest."""
    try:
        found = json.loads(body)
    # The second is what too deep a nesting ends in.
    except (ValueError, RecursionError) as error:
        raise UnreadableRequest from error
    if not isinstance(found, dict):
        raise UnreadableRequest
    return cast("dict[str, Any]", found)
