"""Who asks for a token with client credentials (RFC 6749, 4.4), and the standard's own errors (5.2)."""

import base64
from typing import NamedTuple
from urllib.parse import parse_qs, unquote_plus

from starlette.requests import Request

from chassis.errors import RequestTooLarge
from gateway.adapters.body import read_body

_FORM = "application/x-www-form-urlencoded"


class Client(NamedTuple):
    """As it says it is."""

    id: str
    secret: str


class ClientRefused(Exception):
    """`error` is the standard's word."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error
        unknown = error == "invalid_client"
        self.status = 401 if unknown else 400
        # Of the two ways to say who one is, this is the one that a 401 can name.
        self.headers = {"www-authenticate": 'Basic realm="dev", charset="UTF-8"'} if unknown else {}


async def read_client(request: Request) -> Client:
    """Raises ClientRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ClientRefused("invalid_request")
    try:
        said = parse_qs((await read_body(request)).decode(), strict_parsing=True, keep_blank_values=True, max_num_fields=20)
    except (ValueError, RequestTooLarge):
        raise ClientRefused("invalid_request") from None
    # What is sent without a value counts as left out (3.2).
    form = {name: values[0] for name, values in said.items() if values[0]}
    if any(len(values) > 1 for values in said.values()) or "grant_type" not in form:
        raise ClientRefused("invalid_request")
    client = _read_credentials(request, form)
    if form["grant_type"] != "client_credentials":
        raise ClientRefused("unsupported_grant_type")
    if "scope" in form:
        # There are none: what a client may do, its roles say.
        raise ClientRefused("invalid_scope")
    return client


def _read_credentials(request: Request, form: dict[str, str]) -> Client:
    """From the header or from the body; from both at once they are refused."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        if "client_id" not in form or "client_secret" not in form:
            raise ClientRefused("invalid_client")
        return Client(form["client_id"], form["client_secret"])
    if "client_secret" in form:
        raise ClientRefused("invalid_request")
    try:
        user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise ClientRefused("invalid_client") from None
    # Both are form-encoded before they are put together (RFC 6749, 2.3.1).
    client = Client(unquote_plus(user), unquote_plus(password))
    if scheme.lower() != "basic" or not colon or form.get("client_id", client.id) != client.id:
        raise ClientRefused("invalid_client")
    return client
