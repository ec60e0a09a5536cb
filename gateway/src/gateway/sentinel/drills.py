"""The drills of the sentinel: one after the other, each from the SOS to its end."""

import asyncio
import logging
import secrets
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import httpx
from opentelemetry import metrics

from chassis import telemetry
from gateway.sentinel.hops import Hops
from gateway.sentinel.settings import Settings
from gateway.sentinel.tokens import NoToken, Tokens
from gateway.sentinel.watching import Json, Watch

CONSOLE = "agencies/sentinel"
# By this its drills are told from those that people of the test console raise.
_MARK = {"sentinel": "drill"}
_NOTE = "Automatic test of the platform. No help is needed."
_OPEN = ("RAISED", "ACKNOWLEDGED", "DISPATCHED", "ON_SCENE")
_CLOSED_AT_ONCE = 20
# A platform that is being started with the sentinel is not late yet.
_START_SECONDS = 30.0
_log = logging.getLogger(__name__)


class Refused(Exception):
    """The platform answered, and not as it should."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


class TakenForReal(Exception):
    """The drill is none to the platform, or went to somebody else's screen."""


class Sentinel:
    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings, self._http = settings, http
        self._tokens = Tokens(settings, http)
        # To make one takes longer than a hop should.
        self._trust = httpx.create_ssl_context()
        self._hops = Hops(settings.hop_seconds)
        self._console = Watch(http, "/v1/alerts:watch", lambda: self._tokens.headers, includeDrills="true")
        self._runs = metrics.get_meter("gateway.sentinel").create_counter("siaga.sentinel.runs", "1", "Drills of the sentinel, by outcome")

    async def run(self) -> None:
        """Until cancelled. A drill begins when the one before it has ended, however long that took."""
        await self._wait_for_the_platform()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._console.run())
            tasks.create_task(self._keep_closed())
            while True:
                began = time.monotonic()
                self._runs.add(1, {"outcome": await self.attempt()})
                await asyncio.sleep(max(0.0, began + self._settings.period_seconds - time.monotonic()))

    async def attempt(self) -> str:
        """One drill; how it went."""
        self._hops.was_late = False
        try:
            async with asyncio.timeout(self._settings.run_seconds):
                await self._drill()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next drill is due
            _log.warning("a drill failed: %s", telemetry.describe(error))
            return "failed"
        return "late" if self._hops.was_late else "well"

    async def _drill(self) -> None:
        take = self._hops.take
        async with take("sign-in"):
            await self._sign_in()
        async with take("raise"):
            name, alert_token = await self._raise()
        async with self._following(name, alert_token) as caller:
            await self._answer(name, caller)

    async def _answer(self, name: str, caller: Watch) -> None:
        """What the test console does, and what both sides must see of it."""
        take = self._hops.take
        async with take("console"):
            await self._console.see(name, lambda _: True)
        async with take("receipt"):
            await self._post(f"/v1/{name}:confirmReceipt")
        async with take("acknowledge"):
            await self._post(f"/v1/{name}:acknowledge")
        async with take("caller"):
            await caller.see(name, lambda alert: "deliverTime" in alert and "acknowledgeTime" in alert)
        async with take("resolve"):
            await self._post(f"/v1/{name}:resolve", outcome="NON_EMERGENCY")
        async with take("end"):
            await self._console.see(name, _is_resolved)
            await caller.see(name, _is_resolved)

    async def _sign_in(self) -> None:
        """Makes sure that the platform knows the token, or it would take the drill for an emergency."""
        await self._tokens.keep()
        await self._list(pageSize=1)

    async def _list(self, **question: str | int | tuple[str, ...]) -> list[Json]:
        response = await self._http.get("/v1/alerts", params={"includeDrills": "true", **question}, headers=self._tokens.headers)
        if response.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            self._tokens.reject()
        return _read(response).get("alerts", [])

    async def _keep_closed(self) -> None:
        """Until cancelled: closes its own drills that did not come to their end. Beside the drills, which it must not delay."""
        while True:
            await asyncio.sleep(self._settings.period_seconds)
            before = datetime.now(UTC) - timedelta(seconds=self._settings.run_seconds)
            with suppress(httpx.HTTPError, Refused, TimeoutError, ValueError):
                async with asyncio.timeout(self._settings.run_seconds):
                    for alert in await self._list(state=_OPEN, createdBefore=before.isoformat(), pageSize=_CLOSED_AT_ONCE):
                        if alert.get("externalIds") == _MARK:
                            await self._close(alert["name"])

    async def _close(self, name: str) -> None:
        """One that somebody else has taken is theirs to close."""
        with suppress(Refused):
            await self._post(f"/v1/{name}:acknowledge")
            await self._post(f"/v1/{name}:resolve", outcome="NON_EMERGENCY")

    async def _raise(self) -> tuple[str, str]:
        alert_token = secrets.token_urlsafe(24)
        said = {"alertToken": alert_token, "kind": "OTHER", "drill": True, "drillAgency": CONSOLE, "externalIds": _MARK, "note": _NOTE}
        alert = (await self._post("/v1/alerts:raise", **said))["alert"]
        if not (alert.get("drill") and alert.get("agency") == CONSOLE):
            self._tokens.reject()
            _log.error("A DRILL WAS TAKEN FOR AN EMERGENCY: tell %s that %s is a test", alert.get("agency"), alert["name"])
            headers = {"siaga-alert-token": alert_token}
            await self._http.post(f"/v1/{alert['name']}:cancel", json={"requestId": str(uuid.uuid4())}, headers=headers)
            raise TakenForReal
        return alert["name"], alert_token

    @asynccontextmanager
    async def _following(self, name: str, alert_token: str) -> AsyncGenerator[Watch, None]:
        """The alert as its caller's app has it, with a connection of its own, as a phone's."""
        async with httpx.AsyncClient(verify=self._trust, base_url=self._settings.url, timeout=self._settings.run_seconds) as phone:
            caller = Watch(phone, f"/v1/{name}:watch", lambda: {"siaga-alert-token": alert_token})
            task = asyncio.create_task(caller.run())
            try:
                yield caller
            finally:
                caller.stop()
                task.cancel()

    async def _post(self, path: str, **content: object) -> Json:
        """A change by the test console. Raises Refused."""
        operator = {} if path == "/v1/alerts:raise" else {"operator": "sentinel"}
        said = {"requestId": str(uuid.uuid4()), **operator, **content}
        return _read(await self._http.post(path, json=said, headers=self._tokens.headers))

    async def _wait_for_the_platform(self) -> None:
        """At most as long as an alarm may take."""
        began = time.monotonic()
        while time.monotonic() - began < _START_SECONDS:
            try:
                async with asyncio.timeout(self._settings.hop_seconds):
                    await self._sign_in()
                return
            except (httpx.HTTPError, NoToken, Refused, TimeoutError, ValueError):
                await asyncio.sleep(1)


def _is_resolved(alert: Json) -> bool:
    return alert.get("state") == "RESOLVED"


def _read(response: httpx.Response) -> Json:
    if response.status_code != HTTPStatus.OK:
        raise Refused(response.status_code)
    return response.json()
