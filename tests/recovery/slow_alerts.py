"""alerts whose parts can be stopped from outside: `python tests/recovery/slow_alerts.py FILE`.

The file names what hangs for as long as it is named there: an RPC of AlertService; `tail`, so that no watch is told anything;
`tail after ResolveAlert`, so that no watch is told of the end.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import alerts.__main__ as program
import chassis.tail
from alerts.servicer.alerts import AlertServicer
from alerts.settings import Settings

UNARY = ("RaiseAlert", "ConfirmReceipt", "AcknowledgeAlert", "ResolveAlert")
faults = Path(sys.argv[1])
ended = asyncio.Event()


def is_stopped(part: str) -> bool:
    return faults.exists() and part in faults.read_text().split("\n")


async def hang(part: str) -> None:
    while is_stopped(part):
        await asyncio.sleep(0.05)


def slow_down(rpc: str) -> None:
    answer = getattr(AlertServicer, rpc)

    async def hang_first(self: AlertServicer, request: Any, context: Any) -> Any:
        await hang(rpc)
        if rpc == "ResolveAlert" and is_stopped("tail after ResolveAlert"):
            ended.set()
        return await answer(self, request, context)

    setattr(AlertServicer, rpc, hang_first)


def slow_down_watches() -> None:
    watch_alert, read = AlertServicer.WatchAlert, chassis.tail.Tail._read

    async def hang_first(self: AlertServicer, request: Any, context: Any) -> AsyncIterator[bytes]:
        await hang("WatchAlert")
        async for message in watch_alert(self, request, context):
            yield message

    async def hang_before(self: Any, *where: int) -> Any:
        await hang("tail")
        if ended.is_set():
            await hang("tail after ResolveAlert")
            ended.clear()
        return await read(self, *where)

    AlertServicer.WatchAlert = hang_first
    chassis.tail.Tail._read = hang_before


if __name__ == "__main__":
    for each in UNARY:
        slow_down(each)
    slow_down_watches()
    asyncio.run(program.serve(Settings()))
