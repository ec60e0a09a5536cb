"""An SOS is on disk before its reply: the file of the log is synced between the request and the answer, seen by strace.

kill -9 cannot show this: what the kernel has is written whether or not it was synced. Only a power cut would tell.
"""

import re
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

import grpc
import pytest

from chassis.testing import run_process, stop, wait_until
from harness import RunningPlatform, run_platform
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc

SOS = 200
LINE = re.compile(r"^\d+ +(?P<time>[\d.]+) (?P<call>\w+)\((?P<descriptor>\d+)(?:<(?P<path>[^>]*)>)?(?P<rest>.*)")


def trace_sos(platform: RunningPlatform, trace: Path) -> list[str]:
    """Raises one SOS after the other while alerts is traced; returns the tokens in their replies."""
    arguments = ["strace", "-f", "-ttt", "-y", "-s", "4096", "-e", "trace=fsync,fdatasync,pwrite64,sendmsg,sendto,write", "-o", str(trace)]
    with run_process([*arguments, "-p", str(platform.processes["alerts"].pid)], {}, platform.folder / "strace.log") as strace:
        wait_until(lambda: "attached" in platform.log("strace"), 10, "strace is attached")
        tokens = [uuid.uuid4().hex for _ in range(SOS)]
        with grpc.insecure_channel(f"127.0.0.1:{platform.ports['alerts']}") as channel:
            stub = alert_service_pb2_grpc.AlertServiceStub(channel)
            for token in tokens:
                # Of the token the database has a hash alone; the note is kept as it is.
                stub.RaiseAlert(
                    alert_service_pb2.RaiseAlertRequest(request_id=str(uuid.uuid4()), alert_token=token, note=token), timeout=10
                )
        stop(strace)
    return tokens


def find_violations(trace: Path, tokens: list[str]) -> list[str]:
    """The tokens whose reply left before the WAL was synced after their alert had been written to it. What else the service writes
    meanwhile is synced in its own time.
    """
    waiting = list(tokens)
    written = synced = False
    violations: list[str] = []
    for line in trace.read_text(errors="replace").splitlines():
        call = LINE.match(line)
        if call is None or not waiting:
            continue
        to_wal = (call["path"] or "").endswith("-wal")
        if call["call"] == "pwrite64":
            written |= to_wal and waiting[0] in call["rest"]
        elif call["call"] in {"fsync", "fdatasync"}:
            synced |= to_wal and written
        elif waiting[0] in call["rest"]:
            if not synced:
                violations.append(waiting[0])
            waiting.pop(0)
            written = synced = False
    assert not waiting, f"{len(waiting)} replies were not found in the trace"
    return violations


pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed, and nothing else sees an fsync")


def test_every_sos_is_synced_before_its_reply() -> None:
    with tempfile.TemporaryDirectory() as folder, run_platform() as platform:
        trace = Path(folder) / "trace"
        assert find_violations(trace, trace_sos(platform, trace)) == []


def test_a_database_that_does_not_sync_is_found_out() -> None:
    mutant = [sys.executable, "tests/recovery/mutants.py", "commit_without_fsync"]
    with tempfile.TemporaryDirectory() as folder, run_platform(alerts=mutant) as platform:
        trace = Path(folder) / "trace"
        assert len(find_violations(trace, trace_sos(platform, trace))) > SOS / 2
