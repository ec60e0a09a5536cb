"""A public warning is one trace from the gateway to the last watch, and what was not sent of one is in no log, span or event."""

import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any

import httpx
import pytest
import redis

from chassis.testing import wait_until
from contract.rpcs import RPCS, Services, read_until_caught_up
from contract.streams import over_grpc
from contract.warned import CITY, info, texts
from harness import RunningPlatform
from security.tokens import ROOM, Signer
from telemetry.canaries import Canary, plant, plant_position, read_files, search
from telemetry.receiver import Receiver

PATH = RPCS["alerts.IssueWarning"].path[1:]


@pytest.fixture(scope="module")
def services(traced: RunningPlatform) -> Any:
    with closing(Services(traced)) as services:
        yield services


@pytest.fixture(scope="module")
def supervisor(traced: RunningPlatform) -> str:
    return Signer(traced).sign("traced-supervisor", "supervisor", agency=ROOM)


def post(platform: RunningPlatform, path: str, token: str, content: Any, trace: bytes = b"") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    if trace:
        headers["traceparent"] = f"00-{trace.hex()}-{'12' * 8}-01"
    return httpx.post(f"{platform.url}{path}", json=content, headers=headers, timeout=10)


def test_an_issue_is_traced_to_the_watch_that_tells_of_it(
    traced: RunningPlatform, services: Services, collector: Receiver, supervisor: str
) -> None:
    trace = secrets.token_bytes(16)
    with over_grpc(services)("alerts.WatchWarnings", {"cursor": "now"}, "", "") as stream, ThreadPoolExecutor(1) as pool:
        read_until_caught_up(stream)
        told = pool.submit(next, stream)
        assert post(traced, "/v1/warnings", supervisor, {"status": "ACTUAL", "info": info()}, trace).status_code == 200
        assert told.result(10).event.type == "WarningIssued"
    expected = [f"gateway: {PATH}", f"alerts: {PATH}", "alerts: tail WarningIssued", "alerts: watch WarningIssued"]

    def spans() -> list[Any]:
        return [span for span in collector.spans() if span.trace == trace]

    wait_until(lambda: len(spans()) >= len(expected), 15, "every span")
    by_label = {span.label: span for span in spans()}
    assert sorted(by_label) == sorted(expected)
    for above, below in pairwise(expected):
        assert by_label[below].parent == by_label[above].id


def test_what_was_not_sent_is_found_in_the_tables_alone(
    traced: RunningPlatform, services: Services, collector: Receiver, supervisor: str
) -> None:
    canaries: dict[str, Canary] = {}

    def canary(name: str) -> str:
        canaries[name] = plant(name)
        return canaries[name].text

    canaries["a place"] = place = plant_position("a place", -6)
    said = info(
        indonesian=texts(canary("a pending text")),
        english=texts(canary("a pending translation")),
        contact=canary("a contact"),
        area={"areas": [CITY], "circles": [{"center": {"latitude": place.degrees, "longitude": 106.8}, "radiusMeters": 100}]},
    )
    pending = post(traced, "/v1/warnings", supervisor, {"status": "ACTUAL", "info": said}).json()
    assert pending["state"] == "PENDING"
    issued = post(traced, "/v1/warnings", supervisor, {"status": "ACTUAL", "info": info()}).json()
    proposal = {"name": issued["name"], "info": {"area": {"areas": [CITY]}, "indonesian": texts(canary("a proposed text"))}}
    services.call("alerts.UpdateWarning", {"warning": proposal}, token=supervisor).require_ok()
    errors: dict[str, bytes] = {}
    for label, path, content in (
        ("a long text", "/v1/warnings", {"status": "TEST", "info": info(contact=canary("a long contact") * 20)}),
        ("a broken web page", "/v1/warnings", {"status": "TEST", "info": info(web=canary("a broken address"))}),
        ("a bad character", "/v1/warnings", {"status": "TEST", "info": info(contact=canary("a bad line") + "\u2028")}),
        ("a bad area", "/v1/warnings", {"status": "TEST", "info": info(area={"areas": [canary("a bad area")]})}),
        ("a bad note", f"/v1/{pending['name']}:cancel", {"note": canary("a bad note") + "\u2028"}),
        ("a bad etag", f"/v1/{pending['name']}:approve", {"etag": canary("a bad etag")}),
    ):
        answer = post(traced, path, supervisor, content)
        assert answer.status_code >= 400, (label, answer.text)
        errors[f"the error of {label}"] = answer.content + str(answer.headers).encode()
    services.call("alerts.CancelWarning", {"name": pending["name"], "note": canary("a note")}, token=supervisor).require_ok()
    marker = secrets.token_bytes(16)
    httpx.get(f"{traced.url}/v1/warnings", headers={"traceparent": f"00-{marker.hex()}-{'12' * 8}-01"})
    wait_until(lambda: sum(span.trace == marker for span in collector.spans()) >= 2, 15, "the last spans")
    with closing(sqlite3.connect(traced.folder / "alerts.db")) as connection:
        events = repr(connection.execute("SELECT * FROM events").fetchall()).encode()
    client = redis.Redis(port=traced.ports["valkey"])
    files = read_files(traced.folder)
    tables = {name: content for name, content in files.items() if name.startswith("alerts.db")}
    places = {
        "the events": events,
        "Valkey's keys": b"\n".join(client.dump(key) or b"" for key in client.scan_iter()),
        "what the collector was sent": b"".join(request.SerializeToString() for request in collector.requests),
        "what everybody is told": httpx.get(f"{traced.url}/v1/warnings").content + httpx.get(f"{traced.url}/cap/feed.atom").content,
        **errors,
        **{f"the file {name}": content for name, content in files.items() if name not in tables},
    }
    assert len(places) > 12
    assert search(canaries.values(), places) == []
    # The control: what is kept of them is in the tables.
    for name in ("a pending text", "a pending translation", "a contact", "a proposed text"):
        assert search([canaries[name]], tables), name
