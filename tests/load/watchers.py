"""Holds many watches open and measures how late each event arrives: `python tests/load/watchers.py TARGET WATCHERS EVENTS TOKEN`.

Prints `ready`, then one line of JSON once every watch has seen EVENTS events. Lateness is against the event's own time.
"""

import asyncio
import json
import sys
import time

import grpc

from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc

STREAMS_OF_A_CHANNEL = 100


async def follow(
    stub: alert_service_pb2_grpc.AlertServiceStub, token: str, events: int, ready: asyncio.Semaphore, late: list[float]
) -> None:
    metadata = (("authorization", f"Bearer {token}"),)
    watch = stub.WatchAlerts(alert_service_pb2.WatchAlertsRequest(cursor="now"), metadata=metadata)
    await watch.read()
    ready.release()
    seen = 0
    while seen < events:
        message = await watch.read()
        if message.HasField("event"):
            late.append(time.time() - message.event.create_time.ToNanoseconds() / 1e9)
            seen += 1
    watch.cancel()


async def main(target: str, watchers: int, events: int, token: str) -> None:
    # Channels of equal options would share one connection.
    numbers = range((watchers + STREAMS_OF_A_CHANNEL - 1) // STREAMS_OF_A_CHANNEL)
    channels = [grpc.aio.insecure_channel(target, options=[("grpc.channel_id", number)]) for number in numbers]
    stubs = [alert_service_pb2_grpc.AlertServiceStub(channel) for channel in channels]
    ready, late = asyncio.Semaphore(0), list[float]()
    following = [asyncio.create_task(follow(stubs[number % len(stubs)], token, events, ready, late)) for number in range(watchers)]
    for _ in range(watchers):
        await ready.acquire()
    print("ready", flush=True)
    await asyncio.gather(*following)
    late.sort()
    print(json.dumps({"deliveries": len(late), "p50_ms": late[len(late) // 2] * 1000, "p99_ms": late[int(len(late) * 0.99)] * 1000}))
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
