"""The journey of an SOS as a phone's app and a console's web page make it: JSON and server-sent events through Envoy."""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flows.pages import MONAS, bearer, raise_sos, watch
from harness import RunningPlatform

SECOND = 1.0


@pytest.fixture
def http(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=5) as client:
        yield client


def test_an_sos_travels_from_a_phone_to_a_dispatcher_and_back(platform: RunningPlatform, http: httpx.Client) -> None:
    dispatcher = bearer(platform, "dispatcher-112")
    with watch(platform, "/v1/alerts:watch", **dispatcher) as console:
        assert console.content_type.startswith("text/event-stream")
        console.wait_for("snapshotEnd")
        raised = raise_sos(http, bearer(platform, "citizen-1"), note="Ayah jatuh, tidak sadar")
        name = raised["alert"]["name"]
        assert raised["alert"]["caller"]["user"] == "citizen-1"
        assert raised["alert"]["area"] == "areas/31.71.01.1001"
        with watch(platform, f"/v1/{name}:watch", siaga_alert_token=raised["alertToken"]) as phone:
            phone.wait_for("snapshotEnd")
            began = time.monotonic()
            seen = console.wait_for("AlertRaised", name, SECOND)["event"]["alert"]
            assert seen["note"] == "Ayah jatuh, tidak sadar"
            assert seen["location"]["point"] == MONAS
            assert time.monotonic() - began < SECOND

            assert http.post(f"/v1/{name}:confirmReceipt", json={"requestId": str(uuid.uuid4())}, headers=dispatcher).status_code == 200
            phone.wait_for("AlertDelivered", name, SECOND)

            acknowledged = http.post(f"/v1/{name}:acknowledge", json={"requestId": str(uuid.uuid4())}, headers=dispatcher)
            assert acknowledged.json()["state"] == "ACKNOWLEDGED"
            assert phone.wait_for("AlertAcknowledged", name, SECOND)["event"]["alert"]["state"] == "ACKNOWLEDGED"
            console.wait_for("AlertAcknowledged", name, SECOND)

            resolved = http.post(f"/v1/{name}:resolve", json={"outcome": "HELPED"}, headers=dispatcher)
            assert resolved.json()["outcome"] == "HELPED"
            assert phone.wait_for("AlertResolved", name, SECOND)["event"]["alert"]["state"] == "RESOLVED"
            assert phone.wait_for("end", seconds=SECOND)["end"]["reason"] == "ALERT_CLOSED"
            assert console.wait_for("left", seconds=SECOND)["left"]["name"] == name
    shown = http.get(f"/v1/{name}", headers={"siaga-alert-token": raised["alertToken"]}).json()
    assert shown["state"] == "RESOLVED"


def test_whoever_acknowledges_second_is_told_who_was_first(platform: RunningPlatform, http: httpx.Client) -> None:
    name = raise_sos(http)["alert"]["name"]
    assert http.post(f"/v1/{name}:acknowledge", json={}, headers=bearer(platform, "dispatcher-112")).status_code == 200
    late = http.post(f"/v1/{name}:acknowledge", json={}, headers=bearer(platform, "supervisor-112"))
    assert late.status_code == 409
    reason = late.json()["details"][0]
    assert reason["reason"] == "ALREADY_ACKNOWLEDGED"
    assert reason["metadata"] == {"operator": "dispatcher-112", "agency": "agencies/jakarta-112"}


def test_a_console_that_was_away_resumes_where_it_was(platform: RunningPlatform, http: httpx.Client) -> None:
    dispatcher = bearer(platform, "dispatcher-112")
    with watch(platform, "/v1/alerts:watch", **dispatcher) as console:
        first = raise_sos(http)["alert"]["name"]
        cursor = console.wait_for("AlertRaised", first)["cursor"]
    missed = raise_sos(http)["alert"]["name"]
    with watch(platform, f"/v1/alerts:watch?cursor={cursor}", **dispatcher) as console:
        assert console.wait_for("AlertRaised", seconds=SECOND)["event"]["alert"]["name"] == missed


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"location": {"point": {"latitude": 91, "longitude": 106.8}}}, ["location"]),
        ({"location": {"point": {"latitude": "NaN", "longitude": 106.8}}}, ["location"]),
        ({"location": {"point": MONAS, "accuracyMeters": -1}}, ["location.accuracyMeters"]),
        ({"location": None}, []),
        ({"kind": 99}, ["kind"]),
        ({"requestId": "mine"}, ["requestId"]),
        ({"drill": True, "channel": "VOICE"}, ["channel", "drill"]),
    ],
)
def test_an_sos_with_a_bad_value_is_accepted_and_says_what_was_ignored(
    http: httpx.Client, fields: dict[str, Any], ignored: list[str]
) -> None:
    raised = raise_sos(http, **fields)
    assert raised["ignoredFields"] == ignored
    assert raised["alert"]["state"] == "RAISED"
    if "location" in ignored or fields.get("location", MONAS) is None:
        assert raised["alert"]["routing"] == "DEFAULT"


def test_an_sos_with_a_bad_token_is_accepted_and_says_so(http: httpx.Client) -> None:
    raised = raise_sos(http, {"authorization": "Bearer not.a.token"})
    assert raised["credentialProblem"] == "UNVERIFIABLE"
    assert raised["alert"]["caller"]["verified"] is False


@pytest.mark.parametrize("body", [b"{", b"SOS", b'{"kind": "FLOOD"}', b'{"note": "' + b"a" * 2_000_000 + b'"}', b'{"location": 4}'])
def test_an_sos_that_cannot_be_read_is_told_the_number_to_dial(http: httpx.Client, body: bytes) -> None:
    refused = http.post("/v1/alerts:raise", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 400
    detail = refused.json()["details"][0]
    assert detail["reason"] in {"UNREADABLE_REQUEST", "REQUEST_TOO_LARGE"}
    assert detail["metadata"]["dial"] == "112"


def test_bad_input_elsewhere_is_refused_with_its_reason(platform: RunningPlatform, http: httpx.Client) -> None:
    dispatcher = bearer(platform, "dispatcher-112")
    name = raise_sos(http, bearer(platform, "citizen-1"))["alert"]["name"]
    asked = {
        "/v1/alerts:watch?cursor=bm9uc2Vuc2U": (400, "INVALID_CURSOR"),
        "/v1/alerts?pageToken=bm9uc2Vuc2U": (400, "INVALID_PAGE_TOKEN"),
        "/v1/contacts:nearby?point.latitude=NaN&point.longitude=106": (400, "INVALID_REQUEST"),
        "/v1/alerts/nobody": (400, "INVALID_REQUEST"),
        "/v1/nowhere": (404, "METHOD_NOT_FOUND"),
    }
    for path, expected in asked.items():
        refused = http.get(path, headers=dispatcher)
        assert (refused.status_code, refused.json()["details"][0]["reason"]) == expected, path
    stranger = http.get(f"/v1/{name}", headers=bearer(platform, "citizen-2"))
    absent = http.get(f"/v1/alerts/{uuid.uuid4()}", headers=bearer(platform, "citizen-2"))
    assert (stranger.status_code, stranger.content) == (404, absent.content)
    assert stranger.json()["details"][0]["reason"] == "ALERT_NOT_FOUND"
