"""Drives one target with calls for a while, and prints what came of it as one line of JSON.

`python tests/load/client.py raise|get|json TARGET SECONDS CONCURRENCY [NAME TOKEN]`, in a process of its own, so that
the server's CPU is the server's alone.
"""

import asyncio
import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable

import grpc
import httpx

from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc

POINT = {"latitude": -6.1754, "longitude": 106.8272}


def make_request() -> alert_service_pb2.RaiseAlertRequest:
    request = alert_service_pb2.RaiseAlertRequest(
        request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex, kind=alert_pb2.Alert.MEDICAL, note="Ayah jatuh, tidak sadar"
    )
    request.location.point.latitude, request.location.point.longitude = POINT["latitude"], POINT["longitude"]
    return request


async def drive(call: Callable[[], Awaitable[object]], seconds: float, concurrency: int) -> dict[str, float]:
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def work() -> None:
        nonlocal failed
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                await call()
                latencies.append(time.perf_counter() - began)
            except (grpc.aio.AioRpcError, httpx.HTTPError):
                failed += 1

    await asyncio.gather(*(work() for _ in range(concurrency)))
    latencies.sort()
    return {
        "calls": len(latencies),
        "failed": failed,
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1000,
    }


async def main(kind: str, target: str, seconds: str, concurrency: str, token: str = "") -> None:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    if kind == "json":
        limits = httpx.Limits(max_connections=int(concurrency))
        async with httpx.AsyncClient(base_url=target, limits=limits, headers=dict(metadata)) as client:

            async def post() -> None:
                body = {"requestId": str(uuid.uuid4()), "alertToken": uuid.uuid4().hex, "kind": "MEDICAL", "location": {"point": POINT}}
                (await client.post("/v1/alerts:raise", json=body)).raise_for_status()

            print(json.dumps(await drive(post, float(seconds), int(concurrency))))
        return
    async with grpc.aio.insecure_channel(target) as channel:
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        await channel.channel_ready()
        print(
            json.dumps(
                await drive(lambda: stub.RaiseAlert(make_request(), metadata=metadata, timeout=10), float(seconds), int(concurrency))
            )
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
