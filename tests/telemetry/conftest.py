"""A platform of which everything is traced, and the collector that it tells."""

from collections.abc import Iterator

import pytest

from harness import RunningPlatform, run_platform
from telemetry.receiver import Receiver, run_receiver


@pytest.fixture(scope="session")
def collector() -> Iterator[Receiver]:
    with run_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def traced(collector: Receiver) -> Iterator[RunningPlatform]:
    with run_platform({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "SIAGA_TRACE_RATIO": "1"}) as running:
        yield running
