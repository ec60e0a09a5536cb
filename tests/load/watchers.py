"""Holds many watches open and measures how late each event arrives:
`python tests/load/watchers.py TARGET WATCHERS EVENTS TOKEN [TYPE]`.

Prints `ready`, then one line of JSON once every watch has seen EVENTS events. Lateness is against the event's own time. With a
TYPE, only events of it count, and lateness is against the time that the alert's note says.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field

import grpc

from siaga.alerts.v1 import alert_service_pb2

STREAMS_OF_A_CHANNEL = 100
WATCH_ALERTS = "/siaga.alerts.v1.AlertService/WatchAlerts"


@dataclass
class Seen:
    """Of all watches together: how late each event came, and how often a watch was ended because its reader was too slow."""

    late: list[float] = field(default_factory=list[float])
    ended: int = 0


async def follow(channel: grpc.aio.Channel, token: str, events: int, kind: str, ready: asyncio.Semaphore, seen: Seen) -> None:
    # What does not count is not even read: on a small machine the watchers' own work would be what is measured.
    watch_alerts = channel.unary_stream(WATCH_ALERTS, alert_service_pb2.WatchAlertsRequest.SerializeToString)
    cursor, left, wanted = "now", events, kind.encode()
    while left:
        watch = watch_alerts(alert_service_pb2.WatchAlertsRequest(cursor=cursor), metadata=(("authorization", f"Bearer {token}"),))
        last = await watch.read()
        if cursor == "now":
            ready.release()
        while left and isinstance(content := await watch.read(), bytes):
            last = content
            if wanted not in content:
                continue
            message = alert_service_pb2.WatchAlertsResponse.FromString(content)
            if message.HasField("event"):
                began = float(message.event.alert.note) if kind else message.event.create_time.ToNanoseconds() / 1e9
                seen.late.append(time.time() - began)
                left -= 1
        seen.ended += bool(left)
        assert isinstance(last, bytes), "the watch was refused"
        cursor = alert_service_pb2.WatchAlertsResponse.FromString(last).cursor
        watch.cancel()


async def main(target: str, watchers: int, events: int, token: str, kind: str) -> None:
    # Channels of equal options would share one connection.
    numbers = range((watchers + STREAMS_OF_A_CHANNEL - 1) // STREAMS_OF_A_CHANNEL)
    channels = [grpc.aio.insecure_channel(target, options=[("grpc.channel_id", number)]) for number in numbers]
    ready, seen = asyncio.Semaphore(0), Seen()
    following = [
        asyncio.create_task(follow(channels[number % len(channels)], token, events, kind, ready, seen)) for number in range(watchers)
    ]
    for _ in range(watchers):
        await ready.acquire()
    print("ready", flush=True)
    await asyncio.gather(*following)
    late = sorted(seen.late)
    p50, p99 = late[len(late) // 2], late[int(len(late) * 0.99)]
    figures = {"p50_ms": p50 * 1000, "p99_ms": p99 * 1000, "max_ms": late[-1] * 1000}
    print(json.dumps({"deliveries": len(late), "ended": seen.ended, **figures}))
    for channel in channels:
        await channel.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], "".join(sys.argv[5:])))
