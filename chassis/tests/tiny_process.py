"""A process that serves our own contract with nothing behind it: `python tiny_process.py LISTEN MODE`.

In the mode `failing` a background task fails once the process serves. A watch ends when the process stops.
"""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from functools import partial

from answering import SERVICE, AnsweringServicer
from tiny_service import log, open_things

from chassis import telemetry
from chassis.server import Server, Servicer
from chassis.settings import Platform
from siaga.alerts.v1 import alert_service_pb2 as pb
from siaga.alerts.v1 import alert_service_pb2_grpc

SECRET = "Jalan Rahasia 1"


async def fail() -> None:
    await asyncio.sleep(0.5)
    raise ValueError(SECRET)


async def raise_with_a_secret() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        logging.getLogger("tiny").exception("canary of the log")
        raise ValueError(SECRET) from error


async def watch(stopping: asyncio.Event) -> AsyncIterator[pb.WatchAlertsResponse]:
    yield pb.WatchAlertsResponse(cursor="1")
    await stopping.wait()
    yield pb.WatchAlertsResponse(cursor="1", end=pb.WatchAlertsResponse.End(reason=pb.WatchAlertsResponse.End.SERVICE_STOPPING))


async def serve(listen: str, mode: str, platform: Platform) -> None:
    servicer, stopping = AnsweringServicer(), asyncio.Event()
    servicer.behave = raise_with_a_secret
    servicer.watches_behave = False
    servicer.stream = partial(watch, stopping)
    add = alert_service_pb2_grpc.add_AlertServiceServicer_to_server
    async with open_things(f"sqlite:///{platform.data / 'tiny.db'}", log.before_commit) as database:
        background = [fail] if mode == "failing" else []
        await Server(listen, platform, database, [Servicer(SERVICE, add, servicer)], background, stopping.set).run()


if __name__ == "__main__":
    given = Platform()
    end_telemetry = telemetry.start("tiny", given)
    asyncio.run(serve(sys.argv[1], sys.argv[2], given))
    end_telemetry()
