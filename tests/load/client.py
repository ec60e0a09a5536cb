"""Drives one target with calls for a while, and prints what came of it as one line of JSON.

`python tests/load/client.py KIND TARGET SECONDS CONCURRENCY [TOKEN]`, in a process of its own, so that the server's CPU is the
server's alone. KIND is `raise` or `json` for an SOS, or one of QUESTIONS for the directory.
"""

import asyncio
import itertools
import json
import random
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from siaga.alerts.v1 import alert_pb2, alert_service_pb2, alert_service_pb2_grpc
from siaga.directory.v1 import directory_service_pb2
from siaga.type.v1.point_pb2 import Point

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
POINT = {"latitude": -6.1754, "longitude": 106.8272}


def make_point(dice: random.Random) -> Point:
    """Somewhere in Jakarta without its islands."""
    return Point(latitude=dice.uniform(-6.36, -6.10), longitude=dice.uniform(106.69, 106.97))


_DIRECTORY = "/siaga.directory.v1.DirectoryService"
# The path of each question, and its request for a point.
QUESTIONS: dict[str, tuple[str, Callable[[Point], Message]]] = {
    "echo": ("/echo/Echo", lambda point: directory_service_pb2.ResolveLocationRequest(point=point)),
    "GetArea": (f"{_DIRECTORY}/GetArea", lambda _: directory_service_pb2.GetAreaRequest(name="areas/31")),
    "ResolveLocation": (f"{_DIRECTORY}/ResolveLocation", lambda point: directory_service_pb2.ResolveLocationRequest(point=point)),
    "SearchNearby": (f"{_DIRECTORY}/SearchNearby", lambda point: directory_service_pb2.SearchNearbyRequest(point=point)),
    "SearchNearby of 10": (
        f"{_DIRECTORY}/SearchNearby",
        lambda point: directory_service_pb2.SearchNearbyRequest(point=point, page_size=10),
    ),
}


def make_request() -> alert_service_pb2.RaiseAlertRequest:
    request = alert_service_pb2.RaiseAlertRequest(
        request_id=str(uuid.uuid4()), alert_token=uuid.uuid4().hex, kind=alert_pb2.Alert.MEDICAL, note="Ayah jatuh, tidak sadar"
    )
    request.location.point.latitude, request.location.point.longitude = POINT["latitude"], POINT["longitude"]
    return request


async def post_sos(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Over a connection that is kept, by hand: an HTTP library would cost more than what is measured."""
    body = json.dumps({"requestId": str(uuid.uuid4()), "alertToken": uuid.uuid4().hex, "kind": "MEDICAL", "location": {"point": POINT}})
    head = f"POST /v1/alerts:raise HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not answer.startswith(b"http/1.1 200"):
        raise ConnectionError(answer.decode())
    await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r")[0]))


async def drive(call: Callable[[], Awaitable[object]], seconds: float, concurrency: int) -> dict[str, Any]:
    latencies: list[float] = []
    failed: list[str] = []
    end = time.perf_counter() + seconds

    async def work() -> None:
        while time.perf_counter() < end:
            began = time.perf_counter()
            try:
                await call()
                latencies.append(time.perf_counter() - began)
            except grpc.aio.AioRpcError as error:
                failed.append(f"{error.code().name}: {error.details()}")
            except ConnectionError as error:
                failed.append(str(error))

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
        connections = asyncio.Queue[Connection]()
        for _ in range(int(concurrency)):
            connections.put_nowait(await asyncio.open_connection(*target.removeprefix("http://").split(":")))

        async def post() -> None:
            connection = await connections.get()
            await post_sos(*connection)
            connections.put_nowait(connection)

        print(json.dumps(await drive(post, float(seconds), int(concurrency))))
        return
    async with grpc.aio.insecure_channel(target) as channel:
        await channel.channel_ready()
        if kind in QUESTIONS:
            path, make = QUESTIONS[kind]
            dice = random.Random(1)
            bodies = itertools.cycle([make(make_point(dice)).SerializeToString() for _ in range(1000)])
            ask = channel.unary_unary(path)
            print(json.dumps(await drive(lambda: ask(next(bodies), timeout=10), float(seconds), int(concurrency))))
            return
        stub = alert_service_pb2_grpc.AlertServiceStub(channel)
        print(
            json.dumps(
                await drive(lambda: stub.RaiseAlert(make_request(), metadata=metadata, timeout=10), float(seconds), int(concurrency))
            )
        )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
