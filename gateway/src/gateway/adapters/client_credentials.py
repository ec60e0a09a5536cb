"""Who asks for a token with client credentials (RFC 6749, 4.4), and the standard's own errors (5.2)."""

import base64
from typing import NamedTuple
from urllib.parse import parse_qs, unquote_plus

from starlette.requests import Request

from chassis.errors import RequestTooLarge
from gateway.adapters.body import read_body

_FORM = "application/x-www-form-urlencoded"


class Client(NamedTuple):
    """As it says it is; `basic` where it said so in the header."""

    id: str
    secret: str
    basic: bool


class ClientRefused(Exception):
    """`error` is the standard's word."""

    def __init__(self, error: str, *, basic: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.status = 401 if error == "invalid_client" else 400
        # A client that came with the header is told which one it takes.
        self.headers = {"www-authenticate": 'Basic realm="dev", charset="UTF-8"'} if basic else {}


async def read_client(request: Request) -> Client:
    """Raises ClientRefused."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise ClientRefused("invalid_request")
    try:
        said = parse_qs((await read_body(request)).decode(), strict_parsing=True, keep_blank_values=True, max_num_fields=20)
    except (ValueError, RequestTooLarge):
        raise ClientRefused("invalid_request") from None
    if any(len(values) > 1 for values in said.values()) or not said.get("grant_type", [""])[0]:
        raise ClientRefused("invalid_request")
    form = {name: values[0] for name, values in said.items()}
    client = _read_credentials(request, form)
    if form["grant_type"] != "client_credentials":
        raise ClientRefused("unsupported_grant_type")
    if form.get("scope"):
        # There are none: what a client may do, its roles say.
        raise ClientRefused("invalid_scope")
    return client


def _read_credentials(request: Request, form: dict[str, str]) -> Client:
    """From the header or from the body; from both at once they are refused."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not scheme:
        if not form.get("client_id") or "client_secret" not in form:
            raise ClientRefused("invalid_client")
        return Client(form["client_id"], form["client_secret"], basic=False)
    if "client_secret" in form:
        raise ClientRefused("invalid_request")
    try:
        user, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise ClientRefused("invalid_client", basic=True) from None
    # Both are form-encoded before they are put together (RFC 6749, 2.3.1).
    client = Client(unquote_plus(user), unquote_plus(password), basic=True)
    if scheme.lower() != "basic" or not colon or form.get("client_id", client.id) != client.id:
        raise ClientRefused("invalid_client", basic=True)
    return client
