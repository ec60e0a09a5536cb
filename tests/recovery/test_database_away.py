"""With its database stopped or paused, an SOS is refused within a second with the number to dial, and raised once when it is back."""

import sys
import time
import uuid

import httpx
import pytest

from chassis.testing import Postgres, create_database
from harness import RunningPlatform, run_platform

pytestmark = pytest.mark.alone
SLOWEST = 1.0


def raise_sos(client: httpx.Client, request_id: str) -> tuple[httpx.Response, float]:
    body = {"requestId": request_id, "alertToken": f"token-of-{request_id}", "kind": "FIRE"}
    began = time.monotonic()
    answer = client.post("/v1/alerts:raise", json=body)
    return answer, time.monotonic() - began


def list_names(platform: RunningPlatform, client: httpx.Client) -> list[str]:
    token = platform.token("dispatcher-112")
    answer = client.get("/v1/alerts", params={"pageSize": 1000}, headers={"authorization": f"Bearer {token}"})
    return [alert["name"] for alert in answer.raise_for_status().json()["alerts"]]


def repeat_until_taken(client: httpx.Client, request_id: str) -> str:
    """As an app does; the name of the alert."""
    answer, _ = raise_sos(client, request_id)
    while not answer.is_success:
        answer, _ = raise_sos(client, request_id)
    return answer.json()["alert"]["name"]


@pytest.mark.parametrize("fault", ["stop", "pause"])
def test_an_sos_is_refused_within_a_second_and_raised_once_when_it_is_back(own_postgres: Postgres, fault: str) -> None:
    faults = {"stop": (own_postgres.stop, own_postgres.start), "pause": (own_postgres.pause, own_postgres.resume)}
    begin, end = faults[fault]
    settings = {"ALERTS_DATABASE_URL": create_database(own_postgres.url)}
    with run_platform(settings) as platform, httpx.Client(base_url=platform.url, timeout=10) as client:
        before = {repeat_until_taken(client, str(uuid.uuid4())) for _ in range(16)}
        tried = [str(uuid.uuid4()) for _ in range(8)]
        begin()
        try:
            for each in tried:
                answer, seconds = raise_sos(client, each)
                [info] = [detail for detail in answer.json()["details"] if detail["@type"].endswith("ErrorInfo")]
                assert (answer.status_code, info["reason"], info["metadata"]) == (503, "SERVICE_UNAVAILABLE", {"dial": "112"})
                assert answer.headers["retry-after"] == "1"
                assert seconds < SLOWEST
        finally:
            end()
        names = {repeat_until_taken(client, each) for each in tried}
        assert sorted(list_names(platform, client)) == sorted(before | names)


def test_a_service_that_waits_for_its_database_is_found_out(own_postgres: Postgres) -> None:
    settings = {"ALERTS_DATABASE_URL": create_database(own_postgres.url)}
    mutant = [sys.executable, "tests/recovery/mutants.py", "wait_for_the_database"]
    with run_platform(settings, alerts=mutant) as platform, httpx.Client(base_url=platform.url, timeout=10) as client:
        repeat_until_taken(client, str(uuid.uuid4()))
        own_postgres.pause()
        try:
            assert raise_sos(client, str(uuid.uuid4()))[1] > SLOWEST
        finally:
            own_postgres.resume()
