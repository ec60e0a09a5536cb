"""An app or a web page before the gateway: JSON and server-sent events."""

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import httpx

from harness import RunningPlatform

MONAS = {"latitude": -6.1754, "longitude": 106.8272}


class EventStream:
    """What a watch over HTTP has sent, as it arrives."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self._messages: Queue[dict[str, Any]] = Queue()
        self._client = httpx.Client(timeout=httpx.Timeout(5, read=60))
        self._response = self._client.send(self._client.build_request("GET", url, headers=headers), stream=True)
        self.status = self._response.status_code
        self.content_type = self._response.headers.get("content-type", "")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._response.iter_lines():
                if line.startswith("data:"):
                    self._messages.put(json.loads(line.removeprefix("data:")))
        except httpx.HTTPError:
            pass

    def wait_for(self, kind: str, name: str = "", seconds: float = 5) -> dict[str, Any]:
        """The next message of this kind: an event's type, or the name of another content; of the alert `name` if given."""
        end = time.monotonic() + seconds
        while True:
            message = self._messages.get(timeout=max(0.01, end - time.monotonic()))
            event = message.get("event", {})
            if (kind in message or event.get("type") == kind) and name in {"", event.get("alert", {}).get("name")}:
                return message

    def close(self) -> None:
        self._client.close()


@contextmanager
def watch(platform: RunningPlatform, path: str, **headers: str) -> Iterator[EventStream]:
    stream = EventStream(f"{platform.url}{path}", {name.replace("_", "-"): value for name, value in headers.items()})
    assert stream.status == 200
    yield stream
    stream.close()


def bearer(platform: RunningPlatform, person: str) -> dict[str, str]:
    return {"authorization": f"Bearer {platform.token(person)}"}


def raise_sos(http: httpx.Client, headers: dict[str, str] | None = None, **fields: object) -> dict[str, Any]:
    body = {"requestId": str(uuid.uuid4()), "alertToken": uuid.uuid4().hex, "kind": "MEDICAL", "location": {"point": MONAS}, **fields}
    response = http.post("/v1/alerts:raise", json=body, headers=headers or {})
    assert response.status_code == 200, response.text
    return response.json()
