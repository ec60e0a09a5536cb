"""UnitService: one method per RPC."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from alerts.model.enums import Duty
from alerts.model.units import Unit
from alerts.operations import units as operations
from alerts.operations.units import UnitChange, require_unit
from alerts.servicer.viewing import find_viewer
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
        return wire.to_message(await self._database.write(partial(operations.create_unit, change=change, columns=columns)))

    async def GetUnit(self, request: pb.GetUnitRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        viewer = find_viewer(context)
        return await self._database.read(lambda session: wire.to_message(require_unit(viewer, store.find_unit(session, request.name))))

    async def ListUnits(self, request: pb.ListUnitsRequest, context: grpc.aio.ServicerContext) -> pb.ListUnitsResponse:
        viewer = find_viewer(context)
        agency = viewer.agency or viewer.crew_of
        page = Page(request, agency)
        question = partial(
            store.list_units,
            agency=agency,
            kinds=list(request.kind),
            duty=request.duty,
            drills=request.include_drills,
            after=page.after,
            limit=page.size + 1,
        )
        units, next_page_token = page.cut(await self._database.read(question), lambda unit: unit.name)
        return pb.ListUnitsResponse(units=map(wire.to_message, units), next_page_token=next_page_token)

    async def UpdateUnit(self, request: pb.UpdateUnitRequest, context: grpc.aio.ServicerContext) -> unit_pb2.Unit:
        if not request.unit.name:
            raise InvalidRequest(fields=[("unit.name", "is required")])
        columns = wire.to_columns(request.unit, read_mask(request.update_mask, request.unit, wire.CHANGEABLE))
        change = self._ask(request, context, request.unit.name)
        operation = partial(operations.update_unit, change=change, columns=columns, etag=request.unit.etag)
        return wire.to_message(await self._database.write(operation))

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
        unit: Unit = await self._database.write(partial(operations.set_duty, change=change, duty=duty))
        return wire.to_message(unit)

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, name: str) -> UnitChange:  # noqa: ANN401  # requests share no type
        return UnitChange(name, request.request_id, request, find_viewer(context), now())
