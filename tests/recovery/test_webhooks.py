"""SIGKILL of alerts while it carries events to an agency's system: every event of every answered SOS arrives at least once."""

import asyncio
import json
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from contract.rpcs import Services
from harness import RunningPlatform, run_platform
from recovery.ledger import Callers, Ledger
from recovery.test_sigkill import read_rows
from siaga.alerts.v1.alert_service_pb2_grpc import AlertServiceStub

KILLS = 5
CALLERS = 2
NIGHTLY = "SIAGA_NIGHTLY" in os.environ
ARRIVE_SECONDS = 60.0


class Receiving:
    """An agency's system. It fails each seventh event; `ids` are the events' by their alerts, each as often as it was taken."""

    def __init__(self) -> None:
        self.ids: dict[str, list[str]] = {}
        self.verify: Webhook | None = None
        self.wrong: list[Exception] = []
        self._count = 0
        self._lock = threading.Lock()

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        with self._lock:
            self._count += 1
            if self._count % 7 == 0:
                return 503
            try:
                assert self.verify
                self.verify.verify(body, headers)
            except Exception as error:  # noqa: BLE001  # told at the end
                self.wrong.append(error)
            event = json.loads(body)
            self.ids.setdefault(event["subject"], []).append(event["id"])
            return 200


class Patient(Callers):
    """Each repeats its SOS until it has an answer, before it raises another one."""

    async def _call_on(self, stub: AlertServiceStub, pause: float) -> None:
        while not self.stopping:
            request_id = str(uuid.uuid4())
            while await self._raise(stub, request_id) == "unknown" and not self.stopping:
                await asyncio.sleep(0.1)
            await asyncio.sleep(pause)


@contextmanager
def run_receiving() -> Iterator[tuple[Receiving, str]]:
    receiving = Receiving()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            if len(body) < length:  # whoever sent it was killed between its head and its body
                return
            self.send_response(receiving.take(body, dict(self.headers)))
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiving, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


async def endure(platform: RunningPlatform, url: str, folder: Path) -> set[str]:
    """The alerts that were answered for and never arrived."""
    token = platform.token("supervisor-112")
    with run_receiving() as (receiving, target), Ledger(folder / "ledger") as ledger, closing(Services(platform)) as services:
        content: dict[str, Any] = {"url": target, "events": ["AlertRaised"]}
        webhook = services.call("alerts.CreateWebhook", content, token=token).message
        receiving.verify, waiting = Webhook(webhook.secret), {"name": webhook.name, "state": ["PENDING"]}
        callers = Patient(platform.target, ledger)
        calling = asyncio.create_task(callers.run(CALLERS, pause=0.1))
        chance = random.Random(112)
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 1.0))
            victim = chance.choice(platform.replicas)
            platform.kill(victim)
            await asyncio.to_thread(platform.start, victim)
        callers.stopping = True
        await calling
        await callers.settle(60)
        rows, _ = await read_rows(url)
        raised = {name for request_id in ledger.having("ok") for name in rows[request_id]}
        end, quiet = time.monotonic() + ARRIVE_SECONDS, 0
        while raised - receiving.ids.keys() and time.monotonic() < end and quiet < 5:
            await asyncio.sleep(1)
            # What is not even waiting to be sent never will be.
            quiet = 0 if services.call("alerts.ListWebhookDeliveries", waiting, token=token).message.deliveries else quiet + 1
        arrived, again = len(raised & receiving.ids.keys()), sum(len(each) - 1 for each in receiving.ids.values())
        print(f"\n{KILLS} kills; {len(raised)} SOS answered, {arrived} arrived, {again} times one came again")
        assert receiving.wrong == []
        # Whatever comes again has its id of the first time.
        assert all(len(set(each)) == 1 for each in receiving.ids.values())
        assert len(raised) >= 15
        return raised - receiving.ids.keys()


@pytest.mark.timeout(300)
async def test_every_event_arrives_at_an_agencys_system_when_the_service_is_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    with run_platform({"ALERTS_DATABASE_URL": url}) as platform:
        assert await endure(platform, url, tmp_path) == set()


@pytest.mark.skipif(not NIGHTLY, reason="services/alerts/tests/test_webhook_faults.py has two replicas, too")
@pytest.mark.timeout(300)
async def test_so_it_does_with_two_replicas(postgres_url: str, tmp_path: Path) -> None:
    with run_platform({"ALERTS_DATABASE_URL": postgres_url}, replicas=2) as platform:
        assert await endure(platform, postgres_url, tmp_path) == set()


@pytest.mark.timeout(300)
async def test_it_is_found_out_where_a_cursor_moves_without_its_deliveries(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    mutant = [sys.executable, "tests/recovery/mutants.py", "move_the_cursor_alone"]
    with run_platform({"ALERTS_DATABASE_URL": url}, alerts=mutant) as platform:
        assert await endure(platform, url, tmp_path) != set()
