"""IncidentService: one method per RPC."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
from sqlalchemy.orm import Session

from alerts.model.incidents import Incident, IncidentState
from alerts.operations import answering
from alerts.operations.changes import Change
from alerts.routing import Router
from alerts.servicer.viewing import find_operator, find_viewer
from alerts.store import incidents as store
from alerts.wire import incidents as wire
from alerts.wire.incidents import ShownIncident
from chassis.clock import now
from chassis.database import Database
from chassis.identity import caller
from chassis.paging import Page
from chassis.tail import Change as LogChange
from chassis.watch import Found, Watches
from siaga.alerts.v1 import incident_pb2, incident_service_pb2_grpc
from siaga.alerts.v1 import incident_service_pb2 as pb


class IncidentServicer(incident_service_pb2_grpc.IncidentServiceServicer):
    def __init__(self, database: Database, watches: Watches[ShownIncident], router: Router) -> None:
        self._database, self._watches, self._router = database, watches, router

    async def GetIncident(self, request: pb.GetIncidentRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        viewer = find_viewer(context)
        return await self._database.read(
            lambda session: _show(session, answering.require_incident(session, viewer, store.find_incident(session, request.name)))
        )

    async def ListIncidents(self, request: pb.ListIncidentsRequest, context: grpc.aio.ServicerContext) -> pb.ListIncidentsResponse:
        agency = find_viewer(context).agency
        page = Page(request, agency)

        def read(session: Session) -> pb.ListIncidentsResponse:
            kinds, drills = list(request.kind), request.include_drills
            found = store.list_incidents(session, agency, request.state, kinds, page.after, page.size + 1, drills=drills)
            incidents, next_page_token = page.cut(found, lambda incident: incident.name)
            return pb.ListIncidentsResponse(incidents=[_show(session, each) for each in incidents], next_page_token=next_page_token)

        return await self._database.read(read)

    async def WatchIncidents(
        self, request: pb.WatchIncidentsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.WatchIncidentsResponse]:
        agency, drills = find_viewer(context).agency, request.include_drills
        question = f"WatchIncidents {agency} {drills}"

        def wants(change: LogChange[ShownIncident]) -> bool:
            return _concerns(agency, change) and (drills or not change.subject.incident.drill)

        find_open = partial(_find_open, agency=agency, drills=drills)
        steps = self._watches.follow(question, request.cursor, find_open, wants, caller.get().expire_time)
        last = await self._watches.find_last(question, request.cursor, wants)
        if last and _has_left(last.subject.incident, agency):
            yield wire.to_left(request.cursor, last.subject.incident.name)
        async for cursor, step in steps:
            incident = step.subject.incident if isinstance(step, Found | LogChange) else None
            if incident is None or incident.agency == agency:
                yield wire.to_step(cursor, step)
            if incident and _has_left(incident, agency):
                yield wire.to_left(cursor, incident.name)

    async def AcknowledgeIncident(self, request: pb.AcknowledgeIncidentRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        return await self._answer(answering.acknowledge_incident, request, context)

    async def DispatchIncident(self, request: pb.DispatchIncidentRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        operation = partial(answering.dispatch_incident, names=list(request.units), accept_old_positions=request.accept_old_positions)
        return await self._answer(operation, request, context)

    async def MessageIncident(self, request: pb.MessageIncidentRequest, context: grpc.aio.ServicerContext) -> pb.MessageIncidentResponse:
        change = self._ask(request, context, request.name)
        callers = await self._database.write(partial(answering.message_incident, change=change, text=request.text))
        return pb.MessageIncidentResponse(callers=callers)

    async def ResolveIncident(self, request: pb.ResolveIncidentRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        return await self._answer(partial(answering.resolve_incident, outcome=request.outcome), request, context)

    async def MergeAlerts(self, request: pb.MergeAlertsRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        return await self._answer(partial(answering.merge_alerts, names=list(request.alerts)), request, context, "")

    async def UnmergeAlert(self, request: pb.UnmergeAlertRequest, context: grpc.aio.ServicerContext) -> incident_pb2.Incident:
        return await self._answer(partial(answering.unmerge_alert, name=request.alert), request, context)

    async def _answer(
        self,
        operation: Callable[[Session, Change], Incident],
        request: Any,  # noqa: ANN401  # requests share no type
        context: grpc.aio.ServicerContext,
        name: str | None = None,
    ) -> incident_pb2.Incident:
        change = self._ask(request, context, request.name if name is None else name)
        return await self._database.write(lambda session: _show(session, operation(session, change)))

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, name: str) -> Change:  # noqa: ANN401
        operator = find_operator(request.operator)
        return Change(name, request.request_id, request, find_viewer(context), operator, now(), self._router)


def _has_left(incident: Incident, agency: str) -> bool:
    return incident.agency != agency or incident.state == IncidentState.CLOSED


def _concerns(agency: str, change: LogChange[ShownIncident]) -> bool:
    """Whether it is the agency's, or was until then."""
    return agency in {change.subject.incident.agency, change.event.attributes.get("former")}


def _show(session: Session, incident: Incident) -> incident_pb2.Incident:
    return wire.to_message(incident, store.find_members(session, [incident.name])[incident.name])


def _find_open(session: Session, agency: str, *, drills: bool) -> dict[str, ShownIncident]:
    found = store.find_open_incidents(session, agency, drills=drills)
    return wire.show_incidents(found, store.find_members(session, [each.name for each in found]))
