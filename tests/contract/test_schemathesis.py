"""Schemathesis over the document that the gateway serves: whatever it thinks of, nothing is a fault of ours."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.transport import Response

from contract.rpcs import CONTRACT
from gateway.openapi import write_openapi
from harness import RunningPlatform
from security.tokens import Signer

NIGHTLY = os.environ.get("SIAGA_NIGHTLY") == "1"
DOCUMENT = write_openapi(CONTRACT)
# Streams end when their reader leaves, which Schemathesis does not.
OPERATIONS = [
    (method.upper(), path)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if "text/event-stream" not in operation["responses"]["200"]["content"]
]
CASES = (10_000 if NIGHTLY else 320) // len(OPERATIONS) + 1
SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)


@pytest.fixture(scope="module")
def client(spare_platform: RunningPlatform) -> Iterator[httpx.Client]:
    token = Signer(spare_platform).sign("schemathesis", "dispatcher", "supervisor", "admin", agency="agencies/jakarta-112")
    with httpx.Client(base_url=spare_platform.url, headers={"authorization": f"Bearer {token}"}, timeout=10) as client:
        yield client


@pytest.mark.timeout(3600 if NIGHTLY else 120)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_no_case_is_answered_with_a_fault_of_ours(client: httpx.Client, method: str, path: str) -> None:
    operation = SCHEMA[path][method]

    @given(case=operation.as_strategy())
    @settings(
        max_examples=CASES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        answer = case.call(base_url=str(client.base_url), headers=dict(client.headers))
        assert isinstance(answer, Response)
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        # What is refused says why, in the one shape.
        assert answer.status_code == 200 or answer.json()["details"][0]["reason"], case.as_curl_command()

    check()
