"""alerts with one guarantee broken on purpose: `python tests/recovery/mutants.py NAME`. A test that a mutant passes proves nothing."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import grpc
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

import alerts.__main__ as program
import alerts.counting
import chassis.database.operation
import chassis.database.sqlite
import chassis.server
import chassis.tail
from alerts import pins
from alerts.delivering.courier import Courier
from alerts.model.alerts import Alert
from alerts.model.calls import NewAlert
from alerts.model.deliveries import Delivery
from alerts.model.enums import CancelClaim
from alerts.model.incidents import list_doubts
from alerts.model.tables import Model, keys, timers
from alerts.operations import alerts as operations
from alerts.operations import clocks, deliveries, statistics
from alerts.servicer.alerts import AlertServicer
from alerts.settings import Settings
from alerts.store import alerts as store
from alerts.store import webhooks
from chassis.bell import Bell
from chassis.database import Database, open_database
from chassis.errors import Overloaded
from siaga.directory.v1 import directory_service_pb2, directory_service_pb2_grpc

LATE_SECONDS = 0.3
_LIMIT = 100


class EarlyDatabase:
    """Answers an SOS at once and writes it a moment later."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._late: set[asyncio.Task[Any]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def write(self, operation: Callable[[Session], Any], **options: Any) -> Any:
        if not isinstance(operation, partial) or operation.func is not operations.raise_alert:
            return await self._database.write(operation, **options)
        task = asyncio.create_task(self._write_late(operation))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return NewAlert(dict(operation.keywords["alert"]))

    async def _write_late(self, operation: Callable[[Session], Any]) -> None:
        await asyncio.sleep(LATE_SECONDS)
        await self._database.write(operation)


def reply_before_commit() -> None:
    @asynccontextmanager
    async def open_early(url: str, before_commit: Callable[[Session], None], committed: Callable[[], None]) -> AsyncIterator[Any]:
        async with open_database(url, before_commit, committed) as database:
            yield EarlyDatabase(database)

    program.open_database = open_early


def commit_without_fsync() -> None:
    chassis.database.sqlite._PRAGMAS["synchronous"] = 1


def forget_request_ids() -> None:
    keys.claim = lambda *_: None


def trust_the_bell() -> None:
    """Reads the log when the bell of another replica rings, and only then: this one's own work would ring it, too."""
    chassis.tail.POLL_SECONDS = 3600.0
    Bell.ring = lambda self: self._to_tell.set()


def ask_the_directory() -> None:
    """Asks the directory about each SOS before it is written."""
    raise_alert = AlertServicer.RaiseAlert

    async def ask_first(self: AlertServicer, request: Any, context: grpc.aio.ServicerContext) -> Any:
        async with grpc.aio.insecure_channel(Settings().directory) as channel:
            stub = directory_service_pb2_grpc.DirectoryServiceStub(channel)
            await stub.GetSnapshot(directory_service_pb2.GetSnapshotRequest(), timeout=3)
        return await raise_alert(self, request, context)

    AlertServicer.RaiseAlert = ask_first


def count_watches_as_calls() -> None:
    """Lets grpc count what runs, idle watches and SOS alike."""
    chassis.server.grpc.aio.server = partial(grpc.aio.server, maximum_concurrent_rpcs=Settings().max_watches)


def wait_for_the_database() -> None:
    """Leaves who calls for help waiting for as long as anybody else."""
    chassis.database.operation.PATIENCE_SECONDS = 3600.0


def wait_for_slow_readers() -> None:
    """Keeps everything for a watcher, however far it is behind."""
    chassis.tail._QUEUE = 0


def move_the_cursor_alone() -> None:
    """The deliveries of what was read follow in a commit of their own."""
    queue = deliveries.queue_events

    def queue_late(session: Session, reading: deliveries.Reading) -> bool:
        moved = queue(session, reading._replace(deliveries=[]))
        waiting.extend(reading.deliveries)
        return moved

    async def take_turn_late(self: Courier, tasks: asyncio.TaskGroup) -> bool:
        idle = await take_turn(self, tasks)
        await asyncio.sleep(LATE_SECONDS)
        late = waiting.copy()
        waiting.clear()
        await self._database.write(lambda session: webhooks.add_deliveries(session, late))
        return idle

    waiting: list[Delivery] = []
    deliveries.queue_events, take_turn, Courier._take_turn = queue_late, Courier._take_turn, take_turn_late


class _Ignored:
    """In the place of a statement: says that it touched one row."""

    def execute(self, *_: object) -> int:
        return 1


def forget_timers() -> None:
    """Keeps them as long as the process lives."""
    run = timers.run

    async def run_anew(database: Database, *args: Any) -> None:
        await database.write(lambda session: session.execute(Model.metadata.tables["timers"].delete()).close())
        await run(database, *args)

    timers.run = run_anew


def fire_without_a_lock() -> None:
    """Does what was due when it looked, whoever else does it, too, before it has done it."""

    def find_and_wait(session: Session, names: Collection[str], *, wait: bool) -> Any:  # noqa: ARG001
        found = store.find_alerts(session, names)
        session.execute(select(func.pg_sleep(LATE_SECONDS)))
        return {each.name: each for each in found}

    clocks.lock_subjects, timers._take = find_and_wait, _Ignored()


def move_on_before_counting() -> None:
    """Moves the statistics' cursor in one transaction and counts in the next."""
    left: list[Any] = []

    def take_note(_: Session, __: int, names: Any, ___: Any) -> None:
        left.append(names)

    def count_in_two(session: Session, find_zone: Any) -> bool:
        if left:
            recount(session, 1, left.pop(), find_zone)
            return True
        statistics._recount = take_note
        return statistics.count_some(session, find_zone) or True

    recount, alerts.counting.count_some, alerts.counting._STEP_SECONDS = statistics._recount, count_in_two, 0.5


def rank_by_age_alone() -> None:
    """The oldest first, doubtful or not."""
    store.list_doubts = lambda _: []


def hide_the_doubtful() -> None:
    """Shows whoever looks at the board what it believes, and nothing else."""
    find = store.find_open_alerts
    store.find_open_alerts = lambda *args, **more: [each for each in find(*args, **more) if not list_doubts(each)]


def refuse_in_a_flood() -> None:
    """Takes so many SOS and no more."""
    raise_alert, left = AlertServicer.RaiseAlert, count(_LIMIT, -1)

    async def raise_some(self: AlertServicer, request: Any, context: grpc.aio.ServicerContext) -> Any:
        if next(left) <= 0:
            raise Overloaded
        return await raise_alert(self, request, context)

    AlertServicer.RaiseAlert = raise_some


def read_the_log_seldom() -> None:
    """Whatever came meanwhile waits for its turn."""
    chassis.tail._PAUSE_SECONDS = 3.0


def stop_at_the_first_pin() -> None:
    """Compares with the duress PIN where the other one does not match, and only there; and answers when it has."""

    def match_first(pin: str, pin_hash: str, duress_hash: str) -> pins.Match:
        if pins._is_of(pin, pin_hash):
            return pins.Match.PIN
        return pins.Match.DURESS if pins._is_of(pin, duress_hash) else pins.Match.NONE

    pins._match, pins._STEP_SECONDS = match_first, 0.001


def note_duress_before_the_reply() -> None:
    """In transactions of their own, which the caller waits for: three, because one alone takes less than the bar on a fast disk."""
    cancel = AlertServicer.CancelAlert

    async def cancel_and_note(self: AlertServicer, request: Any, context: grpc.aio.ServicerContext) -> Any:
        reply, mine = await cancel(self, request, context), Alert.name == request.name
        if await self._database.read(lambda session: session.scalar(select(Alert.cancel_claim).where(mine))) == CancelClaim.DURESS:
            for note in ("duress", "", "duress"):
                await self._database.write(lambda session, note=note: session.execute(update(Alert).where(mine).values(note=note)).close())
        return reply

    AlertServicer.CancelAlert = cancel_and_note


BROKEN = (
    reply_before_commit,
    commit_without_fsync,
    forget_request_ids,
    trust_the_bell,
    ask_the_directory,
    count_watches_as_calls,
    wait_for_the_database,
    wait_for_slow_readers,
    move_the_cursor_alone,
    forget_timers,
    fire_without_a_lock,
    move_on_before_counting,
    rank_by_age_alone,
    hide_the_doubtful,
    refuse_in_a_flood,
    read_the_log_seldom,
    stop_at_the_first_pin,
    note_duress_before_the_reply,
)
MUTANTS = {each.__name__: each for each in BROKEN}

if __name__ == "__main__":
    MUTANTS[sys.argv[1]]()
    asyncio.run(program.serve(Settings()))
