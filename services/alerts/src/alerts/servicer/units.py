"""UnitService: one method per RPC."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from sqlalchemy.orm import Session

from alerts.model.enums import Duty, View
from alerts.model.units import Unit
from alerts.model.viewers import Viewer
from alerts.operations import units as operations
from alerts.operations.units import UnitChange, require_unit
from alerts.servicer.viewing import find_viewer
from alerts.store import alerts as alert_store
from alerts.store import units as store
from alerts.wire import units as wire
from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import InvalidRequest, InvalidToken
from chassis.identity import caller
from chassis.masks import read_mask
from chassis.paging import Page
from siaga.alerts.v1 import unit_pb2, unit_service_pb2_grpc
from siaga.alerts.v1 import unit_service_pb2 as pb


class UnitServicer(unit_service_pb2_grpc.UnitServiceServicer):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def CreateUnit(self, request: pb.CreateUnitRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        columns = wire.to_columns(request.unit, (*wire.CHANGEABLE, "drill"))
        change = self._ask(request, context, f"units/{request.unit_id or new_uuid()}")

        def create(session: Session) -> unit_pb2.Unit:
            # A repetition may find it at work.
            return _show(session, change.viewer, operations.create_unit(session, change, columns))

        return await self._database.write(create)

    async def GetUnit(self, request: pb.GetUnitRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        viewer = find_viewer(context)
        return await self._database.read(
            lambda session: _show(session, viewer, require_unit(viewer, store.find_unit(session, request.name)))
        )

    async def ListUnits(self, request: pb.ListUnitsRequest, context: grpc.aio.ServicerContext) -> pb.ListUnitsResponse:
        viewer = find_viewer(context)
        agency = viewer.agency or viewer.crew_of
        page = Page(request, agency)

        def read(session: Session) -> pb.ListUnitsResponse:
            kinds, drills = list(request.kind), request.include_drills
            found = store.list_units(session, agency, kinds, request.duty, page.after, page.size + 1, drills=drills)
            units, next_page_token = page.cut(found, lambda unit: unit.name)
            return pb.ListUnitsResponse(units=_show_all(session, viewer, units), next_page_token=next_page_token)

        return await self._database.read(read)

    async def UpdateUnit(self, request: pb.UpdateUnitRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        if not request.unit.name:
            raise InvalidRequest(fields=[("unit.name", "is required")])
        columns = wire.to_columns(request.unit, read_mask(request.update_mask, request.unit, wire.CHANGEABLE))
        change = self._ask(request, context, request.unit.name)
        operation = partial(operations.update_unit, change=change, columns=columns, etag=request.unit.etag)
        return await self._database.write(lambda session: _show(session, change.viewer, operation(session)))

    async def DeleteUnit(self, request: pb.DeleteUnitRequest, context: grpc.aio.ServicerContext) -> Empty:
        change = self._ask(request, context, request.name)
        await self._database.write(partial(operations.delete_unit, change=change, etag=request.etag))
        return Empty()

    async def StartDuty(self, request: pb.StartDutyRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        return await self._set_duty(request, context, Duty.ON_DUTY)

    async def EndDuty(self, request: pb.EndDutyRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        return await self._set_duty(request, context, Duty.OFF_DUTY)

    async def ReportUnitPositions(
        self, request: pb.ReportUnitPositionsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ReportUnitPositionsResponse:
        return pb.ReportUnitPositionsResponse(moved=await self._report(request, context, request.request_id))

    async def StreamUnitPositions(
        self, request_iterator: AsyncIterator[pb.StreamUnitPositionsRequest], context: grpc.aio.ServicerContext
    ) -> pb.ReportUnitPositionsResponse:
        moved, by = 0, caller.get()
        async for message in request_iterator:
            if by.expire_time < now().timestamp():
                raise InvalidToken
            moved += await self._report(message, context)
        return pb.ReportUnitPositionsResponse(moved=moved)

    async def _report(
        self,
        request: pb.ReportUnitPositionsRequest | pb.StreamUnitPositionsRequest,
        context: grpc.aio.ServicerContext,
        request_id: str = "",
    ) -> int:
        time = now()
        change = UnitChange("units/-", request_id, request, find_viewer(context), time)
        return await self._database.write(
            partial(operations.report_positions, change=change, reports=wire.to_reports(request.reports, time))
        )

    async def _set_duty(
        self, request: pb.StartDutyRequest | pb.EndDutyRequest, context: grpc.aio.ServicerContext, duty: Duty
    ) -> unit_pb2.Unit:
        change: UnitChange = self._ask(request, context, request.name)
        return await self._database.write(lambda session: _show(session, change.viewer, operations.set_duty(session, change, duty)))

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, name: str) -> UnitChange:  # noqa: ANN401  # requests share no type
        return UnitChange(name, request.request_id, request, find_viewer(context), now())


def _show(session: Session, viewer: Viewer, unit: Unit) -> unit_pb2.Unit:
    [shown] = _show_all(session, viewer, [unit])
    return shown


def _show_all(session: Session, viewer: Viewer, units: Sequence[Unit]) -> list[unit_pb2.Unit]:
    """Where a unit is at work tells where the alert is: which one it is, they are told who are shown that."""
    alerts = alert_store.find_alerts(session, {unit.alert for unit in units if unit.alert})
    shown = {alert.name for alert in alerts if viewer.view(alert) in {View.AGENCY, View.CREW}}
    return [wire.to_message(unit, unit.alert if unit.alert in shown else "") for unit in units]
