"""The floor of `make bench` writes what alerts writes: it would stand still at a column that it does not know."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import grpc
import pytest

from chassis.testing import free_port, is_listening, run_process, wait_until
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'test.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    migrated = {"ALERTS_DATABASE_URL": url, "SIAGA_DATA": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "alerts", "migrate"], env=os.environ | migrated, check=True, capture_output=True)
    return url


def test_the_floor_writes_an_alert(url: str, tmp_path: Path) -> None:
    port = free_port()
    request = alert_service_pb2.RaiseAlertRequest(request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex)
    with run_process([sys.executable, "tests/load/floor.py", url, str(port)], {}, tmp_path / "log"):
        wait_until(lambda: is_listening(port), 30, "the floor listens")
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            raised = alert_service_pb2_grpc.AlertServiceStub(channel).RaiseAlert(request, timeout=10)
    assert raised.alert.name.startswith("alerts/")
