"""One event by HTTP to one webhook: signed, to an address that was checked, and never for longer than ten seconds."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx
from standardwebhooks.webhooks import Webhook as Signer

from alerts.delivering.targets import Target, Targets
from alerts.errors import WebhookTargetRefused
from alerts.model.deliveries import Attempt, Result
from chassis import telemetry
from chassis.clock import now
from chassis.tls import trust

_SECONDS = 10.0
_TIMEOUT = httpx.Timeout(_SECONDS, connect=2.0)
# An answer of which this much has come is one, whatever else it says.
_MAX_ANSWER = 65536
_MAX_RETRY_AFTER = timedelta(hours=1)
_ADDRESSES = 3
_log = logging.getLogger(__name__)
_HEADERS = {"content-type": "application/cloudevents+json", "user-agent": "siaga-webhooks", "accept": "*/*", "accept-encoding": "identity"}


class Parcel(NamedTuple):
    """An event as it goes out; `traceparent` is that of the span which sends it, or empty."""

    id: str
    body: str
    traceparent: str


class Sender:
    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[httpx.AsyncBaseTransport, None]:
        """For one webhook: a connection that its name vouches for must not serve another name at the same address.

        No client: that would keep a receiver's cookies, and read where a redirect leads. The environment has no say: a proxy would look
        the name up for itself.
        """
        async with httpx.AsyncHTTPTransport(verify=trust(), trust_env=False) as transport:
            yield transport

    async def send(self, transport: httpx.AsyncBaseTransport, url: str, keys: Sequence[bytes], parcel: Parcel) -> Attempt:
        """Raises nothing: whatever goes wrong is the attempt's result."""
        began, start = now(), time.perf_counter()
        status, retry_after = 0, None
        try:
            async with asyncio.timeout(_SECONDS):
                target = await self._targets.find(url)
                answer = await self._post(transport, target, sign(keys, parcel, began), parcel.body)
                status, retry_after = answer.status_code, read_retry_after(answer, now())
                result = Result.TAKEN if answer.is_success else Result.STATUS
        except (WebhookTargetRefused, TimeoutError, httpx.HTTPError, httpx.InvalidURL) as error:
            result = _explain(error)
        except Exception as error:  # noqa: BLE001  # or whatever a receiver thinks of would end the deliveries beside it
            _log.error("an answer of a webhook cannot be read: %s", telemetry.describe(error))
            result = Result.CUT_OFF
        return Attempt(began, result, status, time.perf_counter() - start, retry_after)

    async def _post(self, transport: httpx.AsyncBaseTransport, target: Target, headers: dict[str, str], body: str) -> httpx.Response:
        """At the first of the addresses that takes a connection."""
        url = target.url
        for address in target.addresses[:_ADDRESSES]:
            request = httpx.Request(
                "POST",
                url.copy_with(host=address),
                content=body.encode(),
                headers=_HEADERS | headers | {"host": url.netloc.decode()},
                extensions={"sni_hostname": url.host, "timeout": _TIMEOUT.as_dict()},
            )
            try:
                answer = await transport.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if address == target.addresses[:_ADDRESSES][-1]:
                    raise
                continue
            try:
                await _read(answer)
            finally:
                await answer.aclose()
            return answer
        raise WebhookTargetRefused


def sign(keys: Sequence[bytes], parcel: Parcel, time: datetime) -> dict[str, str]:
    """The headers of the Standard Webhooks scheme, with a signature by each key."""
    headers = {
        "webhook-id": parcel.id,
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": " ".join(Signer(key).sign(parcel.id, time, parcel.body) for key in keys),
    }
    return headers | ({"traceparent": parcel.traceparent} if parcel.traceparent else {})


def read_retry_after(answer: httpx.Response, now: datetime) -> timedelta | None:
    """Seconds or a date (RFC 9110, 10.2.3), at most an hour; None where there is none, or one of the past."""
    if answer.is_success or not (said := answer.headers.get("retry-after", "")):
        return None
    try:
        if said.isdecimal():
            wait = timedelta(seconds=min(int(said[:9]), _MAX_RETRY_AFTER.total_seconds()))
        else:
            until = parsedate_to_datetime(said)
            wait = (until if until.tzinfo else until.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):
        return None
    return min(wait, _MAX_RETRY_AFTER) if wait > timedelta(0) else None


async def _read(answer: httpx.Response) -> None:
    """To its end or its limit: an answer that is cut off may be of a receiver that was."""
    size = 0
    async for piece in answer.aiter_raw():
        size += len(piece)
        if size >= _MAX_ANSWER:
            return


def _explain(error: Exception) -> Result:
    if isinstance(error, WebhookTargetRefused | httpx.InvalidURL):
        return Result.NO_ADDRESS
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return Result.TIMED_OUT
    if isinstance(error, httpx.ConnectError):
        return Result.INSECURE if _comes_of_tls(error) else Result.UNREACHABLE
    return Result.CUT_OFF


def _comes_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
