"""A small alerts that writes down what it is handed over, and an adapter that hands it over."""

import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
from standardwebhooks.webhooks import Webhook

from chassis.errors import STATUS_DETAILS, Problem
from chassis.testing import free_port
from gateway.adapters.app import make_app
from gateway.settings import Settings
from siaga.alerts.v1.text_service_pb2 import ReceiveAmlRequest, ReceiveAmlResponse, ReceiveTextRequest, ReceiveTextResponse
from siaga.alerts.v1.text_service_pb2_grpc import TextServiceServicer, add_TextServiceServicer_to_server


def make_secret(size: int = 32) -> str:
    return f"whsec_{base64.b64encode(os.urandom(size)).decode()}"


class Alerts(TextServiceServicer):
    """`problem` is what it refuses everything with."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.metadata: dict[str, str] = {}
        self.problem: Problem | None = None

    async def ReceiveText(self, request: ReceiveTextRequest, context: Any) -> ReceiveTextResponse:
        await self._take(request, context)
        return ReceiveTextResponse(alert="alerts/secret")

    async def ReceiveAml(self, request: ReceiveAmlRequest, context: Any) -> ReceiveAmlResponse:
        await self._take(request, context)
        return ReceiveAmlResponse(alert="alerts/secret")

    async def _take(self, request: Any, context: Any) -> None:
        self.metadata = dict(context.invocation_metadata())
        if self.problem:
            details = (STATUS_DETAILS, self.problem.to_status().SerializeToString())
            await context.abort(self.problem.reason.code, self.problem.text, (details,))
        self.taken.append(request)


class SmsGateway:
    """Signs as the scheme has it."""

    def __init__(self, client: httpx.AsyncClient, secret: str) -> None:
        self.client, self.secret = client, secret

    async def post(self, path: str, body: bytes, *, age: float = 0, identity: str = "msg_1", **headers: str) -> httpx.Response:
        signed = self.sign(body, age, identity) | {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=body, headers={name: value for name, value in signed.items() if value})

    def sign(self, body: bytes, age: float = 0, identity: str = "msg_1") -> dict[str, str]:
        time = datetime.now(UTC) - timedelta(seconds=age)
        signature = Webhook(self.secret).sign(identity, time, body.decode(errors="replace"))
        return {
            "content-type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": str(int(time.timestamp())),
            "webhook-signature": signature,
            "authorization": "Bearer a.token.of-the-gateway",
        }


@asynccontextmanager
async def run_alerts(alerts: Alerts, address: str) -> AsyncIterator[None]:
    server = grpc.aio.server()
    add_TextServiceServicer_to_server(alerts, server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


@asynccontextmanager
async def run_adapter(secret_file: Path | None, address: str) -> AsyncIterator[httpx.AsyncClient]:
    app = make_app(Settings(upstreams={"directory": [f"127.0.0.1:{free_port()}"], "alerts": [address]}, sms_secret_file=secret_file))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://adapters") as client,
    ):
        yield client
