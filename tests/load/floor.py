"""The floor that RaiseAlert is measured against: a bare grpc.aio handler that writes the same six rows by the raw driver.

The same tables, durability and grouping; no identity, no validation, no routing, no telemetry, no entities.
`python tests/load/floor.py DATABASE_URL PORT`, on a migrated database.
"""

import asyncio
import queue
import sqlite3
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
from google.protobuf.message import Message
from sqlalchemy import make_url

from alerts.model import Model
from siaga.alerts.v1 import alert_service_pb2, alert_service_pb2_grpc

GROUP = 64
CONNECTIONS = 8
KEPT = timedelta(days=7)
Write = Callable[[alert_service_pb2.RaiseAlertRequest], Awaitable[str]]


def make_rows(request: alert_service_pb2.RaiseAlertRequest, name: str, at: Any) -> dict[str, dict[str, Any]]:  # text or datetime
    point = request.location.point
    alert = {
        "name": name,
        "kind": request.kind,
        "state": 1,
        "caller_state": 1,
        "subject": 0,
        "channel": 1,
        "user": "",
        "display_name": "",
        "callback_phone": "",
        "contact_preference": 0,
        "latitude": point.latitude,
        "longitude": point.longitude,
        "accuracy_meters": None,
        "fix_time": at,
        "location_source": 0,
        "target_latitude": None,
        "target_longitude": None,
        "target_address": "",
        "note": request.note,
        "silent": False,
        "restricted": False,
        "drill": False,
        "drill_agency": "",
        "area": "areas/31.71.01.1001",
        "routing": 2,
        "agency": "agencies/jakarta-112",
        "cancel_claim": 0,
        "outcome": 0,
        "escalation_level": 0,
        "external_ids": "{}",
        "token_hash": request.alert_token.encode(),
        "create_time": at,
        "deliver_time": None,
        "acknowledge_time": None,
        "dispatch_time": None,
        "arrive_time": None,
        "state_time": at,
        "limit_step": 0,
        "close_time": None,
        "cancel_time": None,
        "update_time": at,
        "revision": 1,
        "caller_update_time": at,
        "caller_revision": 1,
        "outline_update_time": at,
        "outline_revision": 1,
        "withheld": "{}",
        "erase_time": None,
        "conflict_agency": "",
        "by_staff": False,
        "incident": "",
        "cell": "888c107223fffff",
        "merged_into": "",
        "followed_state": 0,
        "grouping": 0,
        "doubts": "[]",
        "history": None,
    }
    response = {"alert": name, "agency": alert["agency"], "part": 1, "state": 1, "operator": "", "claimant": "", "request_time": at}
    response |= {"accept_time": None, "end_time": None, "requester": "", "instead_of": "", "hand_over": False, "reason": ""}
    event = {"resource": name, "audience": 1, "actor": "", "create_time": at, "traceparent": ""}
    attributes = '{"user": "", "kind": 1, "silent": false, "restricted": false, "drill": false, "area": "areas/31.71.01.1001"}'
    return {
        "request_keys": {"key": uuid.UUID(request.request_id).bytes, "request_hash": b"x" * 32, "resource": name},
        "alerts": alert,
        "responses": response | {"escalation": 0, "clock_time": at, "step": 0},
        "timers": {"resource": name, "kind": "answer", "subject": alert["agency"], "due_time": at},
        "raised": event | {"type": "AlertRaised", "attributes": attributes},
        "routed": event | {"type": "AlertRouted", "attributes": '{"agency": "agencies/jakarta-112"}'},
    }


TABLES = ("request_keys", "alerts", "responses", "timers")
EVENT = ("type", "resource", "audience", "actor", "create_time", "attributes", "traceparent")
COLUMNS = {name: tuple(Model.metadata.tables[name].c.keys()) for name in TABLES} | {"events": EVENT}


def write_sql(table: str, place: Callable[[int], str]) -> str:
    columns = COLUMNS[table]
    names = ", ".join(f'"{name}"' for name in columns)
    sql = f"INSERT INTO {table} ({names}) VALUES ({', '.join(place(i) for i in range(len(columns)))})"
    return sql + (" ON CONFLICT (key) DO NOTHING" if table == "request_keys" else "")


def values(table: str, row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in COLUMNS[table])


def open_sqlite(path: str) -> Write:
    waiting: queue.SimpleQueue[tuple[dict[str, dict[str, Any]], asyncio.Future[None]]] = queue.SimpleQueue()
    loop = asyncio.get_running_loop()
    sql = {table: write_sql(table, lambda _: "?") for table in COLUMNS}

    def settle(group: list[tuple[dict[str, dict[str, Any]], asyncio.Future[None]]]) -> None:
        for _, future in group:
            if not future.done():
                future.set_result(None)

    def write_groups() -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = wal", "synchronous = 2", "foreign_keys = 1"):
            connection.execute(f"PRAGMA {pragma}")
        while True:
            group = [waiting.get()]
            while len(group) < GROUP and not waiting.empty():
                group.append(waiting.get())
            connection.execute("BEGIN IMMEDIATE")
            for rows, _ in group:
                for table in TABLES:
                    connection.execute(sql[table], values(table, rows[table]))
                connection.executemany(sql["events"], [values("events", rows["raised"]), values("events", rows["routed"])])
            connection.execute("COMMIT")
            loop.call_soon_threadsafe(settle, group)

    threading.Thread(target=write_groups, daemon=True).start()

    async def write(request: alert_service_pb2.RaiseAlertRequest) -> str:
        now = datetime.now(UTC)
        name = f"alerts/{uuid.uuid4()}"
        rows = make_rows(request, name, now.strftime("%Y-%m-%d %H:%M:%S.%f"))
        rows["request_keys"]["expire_time"] = (now + KEPT).strftime("%Y-%m-%d %H:%M:%S.%f")
        future: asyncio.Future[None] = loop.create_future()
        waiting.put((rows, future))
        await future
        return name

    return write


async def open_postgres(url: str) -> Write:
    settings = {"statement_timeout": "5000", "lock_timeout": "3000", "jit": "off"}
    pool = await asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, server_settings=settings)
    sql = {table: write_sql(table, lambda i: f"${i + 1}") for table in COLUMNS}

    async def write(request: alert_service_pb2.RaiseAlertRequest) -> str:
        now = datetime.now(UTC)
        name = f"alerts/{uuid.uuid4()}"
        rows = make_rows(request, name, now)
        rows["request_keys"]["expire_time"] = now + KEPT
        async with pool.acquire() as connection, connection.transaction():
            for table in TABLES:
                await connection.execute(sql[table], *values(table, rows[table]))
            await connection.execute("SELECT pg_advisory_xact_lock(358444844865)")
            await connection.executemany(sql["events"], [values("events", rows["raised"]), values("events", rows["routed"])])
        return name

    return write


class Floor(alert_service_pb2_grpc.AlertServiceServicer):
    def __init__(self, write: Write) -> None:
        self._write = write

    async def RaiseAlert(self, request: Message, context: grpc.aio.ServicerContext) -> alert_service_pb2.RaiseAlertResponse:
        assert isinstance(request, alert_service_pb2.RaiseAlertRequest)
        response = alert_service_pb2.RaiseAlertResponse(alert_token=request.alert_token)
        response.alert.name = await self._write(request)
        return response


async def serve(database_url: str, port: str) -> None:
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        write = open_sqlite(url.database or "")
    else:
        write = await open_postgres(database_url.replace("+asyncpg", ""))
    server = grpc.aio.server()
    alert_service_pb2_grpc.add_AlertServiceServicer_to_server(Floor(write), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3]))
