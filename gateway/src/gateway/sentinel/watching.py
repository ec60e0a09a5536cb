"""A watch of the platform as a client has it: server-sent events, gone on with by the cursor."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import httpx

Json = dict[str, Any]
_RETRY_SECONDS = 0.5
# Longer than the heartbeats of a watch are apart: one that is silent for so long has broken.
_SILENT_SECONDS = 20.0
_REMEMBERED = 100


class Watch:
    """`headers` are those of each new beginning, `question` what else the path takes. The newest hundred alerts that it showed are
    remembered as it showed them last.
    """

    def __init__(self, http: httpx.AsyncClient, path: str, headers: Callable[[], dict[str, str]], **question: str) -> None:
        self._http, self._path, self._headers, self._question = http, path, headers, question
        self._cursor = ""
        self._shown: dict[str, Json] = {}
        self._news = asyncio.Event()
        self._stopped = False

    async def run(self) -> None:
        """Until stopped: whatever breaks it, it begins again where it was. Never sooner: a console that is told nothing would not,
        either, and what is shown to one that begins says nothing of what is told to those that stay.
        """
        while not self._stopped:
            # That nothing comes is what makes the hop late.
            with suppress(httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError):
                await self._read()
            await asyncio.sleep(_RETRY_SECONDS)

    def stop(self) -> None:
        """A cancelled request may end in an error as if it had broken, and must not begin again."""
        self._stopped = True

    async def see(self, name: str, wanted: Callable[[Json], bool]) -> None:
        """Returns when the alert is shown as wanted; for one who waits at a time."""
        while not (name in self._shown and wanted(self._shown[name])):
            self._news.clear()
            await self._news.wait()

    async def _read(self) -> None:
        question = {**self._question, "cursor": self._cursor} if self._cursor else self._question
        timeout = httpx.Timeout(_SILENT_SECONDS)
        async with self._http.stream("GET", self._path, params=question, headers=self._headers(), timeout=timeout) as response:
            if response.status_code == HTTPStatus.BAD_REQUEST:
                # The cursor is too old, or of another platform: what is open comes first.
                self._cursor = ""
            if response.status_code != HTTPStatus.OK:
                return
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    self._take(json.loads(line.removeprefix("data:")))

    def _take(self, message: Json) -> None:
        self._cursor = message.get("cursor") or self._cursor
        if "event" in message:
            alert = message["event"]["alert"]
            self._shown[alert["name"]] = alert
            if len(self._shown) > _REMEMBERED:
                del self._shown[next(iter(self._shown))]
            self._news.set()
