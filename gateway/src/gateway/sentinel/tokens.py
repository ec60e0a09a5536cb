"""The sentinel's token, which goes on being used while the issuer is away."""

import asyncio
import time
from typing import Any

import httpx

from gateway.sentinel.settings import Settings

# How soon a failed renewal is tried again while the token at hand still holds.
_RETRY_SECONDS = 30.0


class NoToken(Exception):
    """None is at hand and none can be had."""


class Tokens:
    """One token, renewed when half of its life is over."""

    def __init__(self, settings: Settings, http: httpx.AsyncClient) -> None:
        self._settings, self._http = settings, http
        self.headers: dict[str, str] = {}
        self._renew_at = self._expire_at = 0.0

    async def keep(self) -> None:
        """Sees to it that `headers` hold a token that is not over. Raises NoToken."""
        if time.monotonic() < self._renew_at:
            return
        try:
            # An issuer that hangs must not make a drill late that could go on with the token at hand.
            async with asyncio.timeout(self._settings.hop_seconds / 2):
                token, lifetime = await self._fetch()
        except (httpx.HTTPError, TimeoutError, OSError, ValueError, TypeError, KeyError) as error:
            if time.monotonic() >= self._expire_at:
                raise NoToken from error
            self._renew_at = min(time.monotonic() + _RETRY_SECONDS, self._expire_at)
            return
        self.headers = {"authorization": f"Bearer {token}"}
        self._renew_at, self._expire_at = time.monotonic() + lifetime / 2, time.monotonic() + lifetime

    def reject(self) -> None:
        """The platform does not take it: the next drill asks for another one first, and goes on with this one if there is none."""
        self._renew_at = 0.0

    async def _fetch(self) -> tuple[str, float]:
        settings = self._settings
        if settings.secret_file is None:
            said = await self._ask(json={"person": settings.client_id})
            return said["accessToken"], float(said["expiresIn"])
        secret = settings.secret_file.read_text().strip()
        said = await self._ask(data={"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": secret})
        return said["access_token"], float(said["expires_in"])

    async def _ask(self, **body: Any) -> Any:  # noqa: ANN401  # JSON
        response = await self._http.post(self._settings.token_url, **body)
        return response.raise_for_status().json()
