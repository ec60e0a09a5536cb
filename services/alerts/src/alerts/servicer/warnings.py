"""WarningService: one method per RPC."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

import grpc
from sqlalchemy.orm import Session

from alerts.errors import AgencyNotFound, AreaNotFound, WarningNotFound
from alerts.model.enums import Audience, WarningStatus
from alerts.model.warnings import PublicWarning, Sender
from alerts.operations import warnings as operations
from alerts.operations.warnings import WarningChange, require_visible
from alerts.routing import Router
from alerts.servicer.viewing import find_operator, find_viewer
from alerts.store import warnings as store
from alerts.wire import warnings as wire
from alerts.wire.warnings import ShownWarning
from chassis import telemetry
from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import InvalidRequest, Overloaded
from chassis.identity import caller
from chassis.paging import Page
from chassis.tail import Change as LogChange
from chassis.watch import Found, Step, Watches
from siaga.alerts.v1 import warning_pb2, warning_service_pb2_grpc
from siaga.alerts.v1 import warning_service_pb2 as pb

_RETRY_SECONDS = 1.0
# As the directory names agencies: the name becomes a part of the sender's.
_AGENCY = re.compile("agencies/[A-Za-z0-9.-]{1,60}")


class WarningServicer(warning_service_pb2_grpc.WarningServiceServicer):
    """`max_watches` are for everybody together: the other places are kept for those who call for help and who answer."""

    def __init__(self, database: Database, watches: Watches[ShownWarning], router: Router, sender_domain: str, max_watches: int) -> None:
        self._database, self._watches, self._router = database, watches, router
        self._sender_domain, self._max_watches = sender_domain, max_watches
        self._watching = 0

    async def IssueWarning(self, request: pb.IssueWarningRequest, context: grpc.aio.ServicerContext) -> warning_pb2.Warning:
        change = self._ask(request, context, f"warnings/{new_uuid()}")
        info = await self._read_info(request.info, wire.FIELDS, "info", change.viewer.agency)
        return await self._change(partial(operations.issue_warning, status=request.status, info=info), change)

    async def UpdateWarning(self, request: pb.UpdateWarningRequest, context: grpc.aio.ServicerContext) -> warning_pb2.Warning:
        if not request.warning.name:
            raise InvalidRequest(fields=[("warning.name", "is required")])
        change = self._ask(request, context, request.warning.name)
        fields = wire.read_info_mask(request.update_mask, request.warning.info)
        values = await self._read_info(request.warning.info, fields, "warning.info", change.viewer.agency)
        return await self._change(partial(operations.update_warning, values=values, etag=request.warning.etag), change)

    async def CancelWarning(self, request: pb.CancelWarningRequest, context: grpc.aio.ServicerContext) -> warning_pb2.Warning:
        change = self._ask(request, context, request.name)
        if request.update_only:
            return await self._change(partial(operations.withdraw_update, etag=request.etag), change)
        if wrong := wire.find_line_fault(request.note):
            raise InvalidRequest(fields=[("note", wrong)])
        return await self._change(partial(operations.cancel_warning, note=request.note, etag=request.etag), change)

    async def ApproveWarning(self, request: pb.ApproveWarningRequest, context: grpc.aio.ServicerContext) -> warning_pb2.Warning:
        change = self._ask(request, context, request.name)
        return await self._change(partial(operations.approve_warning, etag=request.etag), change)

    async def GetWarning(self, request: pb.GetWarningRequest, context: grpc.aio.ServicerContext) -> warning_pb2.Warning:
        viewer = find_viewer(context)

        def read(session: Session) -> warning_pb2.Warning:
            warning = require_visible(viewer, store.find_warning(session, request.name))
            if not request.message:
                return wire.to_message(warning, viewer.agency, now())
            sent = store.find_message(session, request.name, request.message) if request.message <= warning.number else None
            if sent is None:
                raise WarningNotFound
            return wire.to_message(warning, viewer.agency, now(), sent)

        return await self._database.read(read)

    async def ListWarnings(self, request: pb.ListWarningsRequest, context: grpc.aio.ServicerContext) -> pb.ListWarningsResponse:
        viewer = find_viewer(context)
        page, time = Page(request, viewer.agency), now()
        filters = store.Filters(
            reader=viewer.agency,
            states=list(request.state),
            areas=self._find_areas(request.area),
            place=self._find_place(request),
            agency=request.agency,
            unexpired=request.unexpired,
            exercises=request.include_exercises,
        )

        def read(session: Session) -> pb.ListWarningsResponse:
            found = store.list_warnings(session, filters, time, page.after, page.size + 1)
            warnings, next_page_token = page.cut(found, lambda warning: warning.name)
            shown = [wire.to_message(each, viewer.agency, time) for each in warnings]
            response = pb.ListWarningsResponse(warnings=shown, next_page_token=next_page_token)
            if changed := store.find_change_time(session, time):
                response.update_time.FromDatetime(changed)
            return response

        return await self._database.read(read)

    async def WatchWarnings(  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes, serialized once for all watchers
        self, request: pb.WatchWarningsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        if self._watching >= self._max_watches:
            raise Overloaded(retry_seconds=_RETRY_SECONDS)
        self._watching += 1
        try:
            async for message in self._watch(request):
                yield message
        finally:
            self._watching -= 1

    async def _watch(self, request: pb.WatchWarningsRequest) -> AsyncIterator[bytes]:
        areas, exercises = self._find_areas(request.area), request.include_exercises
        steps = self._watches.follow(
            f"WatchWarnings {request.area} {exercises}",
            request.cursor,
            lambda session: {
                each.name: ShownWarning(each) for each in store.find_warnings_in_force(session, areas, now(), exercises=exercises)
            },
            lambda change: (
                change.event.audience == Audience.PUBLIC and (exercises or change.subject.warning.status == WarningStatus.ACTUAL)
            ),
            caller.get().expire_time,
        )
        shown = set[str]()
        async for cursor, step in steps:
            if not isinstance(step, Found | LogChange):
                yield wire.to_steps(cursor, step, now())
                continue
            warning = step.subject.warning
            reached = areas is None or warning.reaches(areas)
            if reached:
                yield self._tell(cursor, step)
            if reached and warning.is_in_force(now()):
                shown.add(warning.name)
            # Whoever began with a cursor or with `now` may have it from before, or from a list.
            elif reached or request.cursor or warning.name in shown:
                shown.discard(warning.name)
                yield wire.to_left(cursor, warning.name)

    def _tell(self, cursor: str, step: Step[ShownWarning]) -> bytes:
        """The message of a step; one that a sampled write caused is the last span of that write's trace."""
        if isinstance(step, LogChange) and step.traceparent:
            with telemetry.event_span(f"watch {step.event.type}", step.traceparent):
                return wire.to_steps(cursor, step, now())
        return wire.to_steps(cursor, step, now())

    async def _change(self, operation: Callable[[Session, WarningChange], PublicWarning], change: WarningChange) -> warning_pb2.Warning:
        warning = await self._database.write(lambda session: operation(session, change))
        return wire.to_message(warning, change.viewer.agency, now())

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, name: str) -> WarningChange:  # noqa: ANN401  # requests share no type
        """Raises AgencyNotFound and OperatorRequired."""
        viewer = find_viewer(context)
        if not _AGENCY.fullmatch(viewer.agency):
            raise AgencyNotFound
        # An approval is a supervisor's own.
        operator = find_operator(getattr(request, "operator", ""))
        address = f"{viewer.agency.removeprefix('agencies/')}@{self._sender_domain}"
        sender = Sender(address, self._router.name_agency(viewer.agency))
        return WarningChange(name, request.request_id, request, viewer, operator, sender, now())

    async def _read_info(self, info: warning_pb2.Warning.Info, fields: Sequence[str], path: str, agency: str) -> dict[str, Any]:
        """The columns of these fields, as the agency may set them. Raises InvalidRequest, AreaNotFound and OutsideJurisdiction."""
        columns = wire.to_columns(info, fields, path)
        if unknown := self._router.regions.find_unknown(columns.get("areas", ())):
            raise AreaNotFound(area=unknown)
        # To hold shapes against many boundaries takes longer than the loop may stand still.
        return await asyncio.to_thread(wire.add_reach, columns, self._router.regions, self._router.jurisdiction, agency)

    def _find_areas(self, area: str) -> set[str] | None:
        """What reaches the area reaches one of these; None for any."""
        regions = self._router.regions
        return {*regions.find_around(area), *regions.find_within(area)} if area else None

    def _find_place(self, request: pb.ListWarningsRequest) -> store.Place | None:
        if not request.HasField("point"):
            return None
        latitude, longitude = request.point.latitude, request.point.longitude
        return store.Place(latitude, longitude, self._router.regions.find_at(latitude, longitude))
