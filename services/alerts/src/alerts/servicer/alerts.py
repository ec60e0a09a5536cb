"""AlertService: one method per RPC."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
from sqlalchemy.orm import Session

from alerts import sos
from alerts.errors import UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import Audience, State, Status, View
from alerts.model.recommending import recommend_units
from alerts.model.tables import keys, log
from alerts.operations import alerts as operations
from alerts.operations import contacts, dispatch
from alerts.operations.changes import Change, require_answering, require_content, require_view
from alerts.operations.units import require_unit
from alerts.routing import Router
from alerts.servicer.viewing import find_operator, find_viewer, hash_token
from alerts.store import alerts as store
from alerts.store import units as unit_store
from alerts.wire import alerts as wire
from alerts.wire import units as unit_wire
from alerts.wire.alerts import Shown
from chassis import telemetry
from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import InvalidRequest
from chassis.identity import caller
from chassis.paging import Page
from chassis.tail import Change as LogChange
from chassis.watch import Found, Step, Watches
from siaga.alerts.v1 import alert_pb2, alert_service_pb2_grpc
from siaga.alerts.v1 import alert_service_pb2 as pb

_RECOMMENDED = 10
_CLOSED = pb.WatchAlertsResponse.End.ALERT_CLOSED


class AlertServicer(alert_service_pb2_grpc.AlertServiceServicer):
    def __init__(self, database: Database, watches: Watches[Shown], router: Router) -> None:
        self._database, self._watches, self._router = database, watches, router

    async def RaiseAlert(self, request: pb.RaiseAlertRequest, context: grpc.aio.ServicerContext) -> pb.RaiseAlertResponse:
        by = caller.get()
        ignored = sos.salvage(request, by)
        place = request.target.point if request.target.HasField("point") else request.location.point
        route = self._router.route(place.latitude, place.longitude) if place.HasField("latitude") else self._router.route(None, None)
        scope = f"token\0{request.alert_token}" if request.alert_token else f"user\0{by.user}"
        # Without a token or a user nobody can be told from anybody else who has the request id.
        request_id = request.request_id.lower() if request.alert_token or by.user else ""
        token = request.alert_token or _make_token(scope, request_id)
        # By any channel but their own app, whoever is signed in speaks for a caller and is not the one.
        operator, user, display_name = ("", by.user, by.name) if request.channel == alert_pb2.Alert.APP else (by.user, "", "")
        time = now()
        columns, response = wire.to_columns(request, f"alerts/{new_uuid()}", user, display_name, hash_token(token), route, time)
        operation = partial(
            operations.raise_alert,
            scope=scope,
            request_id=request_id,
            alert=columns,
            response=response,
            due_time=time + self._router.find_policy(route.agency).deliver,
            operator=operator,
        )
        alert = await self._database.write(operation, urgent=True)
        message = wire.to_message(alert, View.CALLER)
        return pb.RaiseAlertResponse(alert=message, alert_token=token, ignored_fields=ignored, credential_problem=by.problem)

    async def GetAlert(self, request: pb.GetAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        viewer = find_viewer(context)
        return await self._database.read(lambda session: wire.to_message(*require_view(viewer, store.find_alert(session, request.name))))

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: grpc.aio.ServicerContext) -> pb.ListAlertsResponse:
        viewer = find_viewer(context)
        page = Page(request, f"{viewer.user} {viewer.agency}")
        filters = store.Filters(
            states=list(request.state),
            kinds=list(request.kind),
            areas=self._router.areas_within(request.area) if request.area else None,
            agency=request.agency,
            created_after=wire.to_time(request, "created_after"),
            created_before=wire.to_time(request, "created_before"),
            updated_after=wire.to_time(request, "updated_after"),
            drills=request.include_drills,
        )
        if viewer.agency:
            question = partial(store.list_alerts_of_agency, viewer=viewer, filters=filters, before=page.after, limit=page.size + 1)
        else:
            question = partial(store.list_alerts_of_user, user=viewer.user, filters=filters, before=page.after, limit=page.size + 1)
        alerts, next_page_token = page.cut(await self._database.read(question), lambda alert: alert.name)
        return pb.ListAlertsResponse(
            alerts=[wire.to_message(*require_view(viewer, each)) for each in alerts], next_page_token=next_page_token
        )

    async def TrackAlert(self, request: pb.TrackAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        positions = wire.to_positions(request, now())
        return await self._change(partial(operations.track_alert, positions=positions), self._ask(request, context))

    async def WatchAlert(  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes, serialized once for all watchers
        self, request: pb.WatchAlertRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        viewer = find_viewer(context)
        alert, view = await self._database.read(lambda session: require_view(viewer, store.find_alert(session, request.name)))
        audience = view.audience
        steps = self._watches.follow(
            f"WatchAlert {request.name} {audience}",
            request.cursor,
            lambda session: [Shown(each) for each in store.find_alerts(session, {request.name})],
            lambda change: change.event.resource == request.name and change.event.audience <= audience,
            caller.get().expire_time,
        )
        # Whoever comes back with a cursor is first told what they missed, however the alert has ended meanwhile.
        told = request.cursor in {"", "now"}
        async for cursor, step in steps:
            if isinstance(step, Found | LogChange):
                alert = step.subject.alert
            shown = viewer.view(alert)
            if shown is None or shown.audience < audience:
                # A crew's work has ended.
                yield wire.to_end(cursor, _CLOSED)
                return
            for message in self._tell(cursor, step, shown):
                yield message
            if _is_last(step, view) if isinstance(step, Found | LogChange) else told and _has_ended(alert, view):
                yield wire.to_end(cursor, _CLOSED)
                return
            told = True

    async def WatchAlerts(  # pyright: ignore[reportIncompatibleMethodOverride]  # as WatchAlert
        self, request: pb.WatchAlertsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        viewer = find_viewer(context)
        agency, drills = viewer.agency, request.include_drills
        steps = self._watches.follow(
            f"WatchAlerts {agency} {drills}",
            request.cursor,
            lambda session: [Shown(each) for each in store.find_open_alerts(session, agency, drills=drills)],
            lambda change: (
                (drills or not change.subject.alert.drill) and any(each.agency == agency for each in change.subject.alert.responses)
            ),
            caller.get().expire_time,
        )
        async for cursor, step in steps:
            shown = isinstance(step, Found | LogChange)
            view = viewer.view(step.subject.alert) or View.REDACTED if shown else View.AGENCY
            # What the agency has refused or given away is none of its business any more.
            if not shown or step.subject.alert.concerns(agency):
                for message in self._tell(cursor, step, view):
                    yield message
            # Also after what is added to a closed one, or a list from which it was taken would have it again.
            if isinstance(step, LogChange) and not step.subject.alert.is_open_to(agency):
                yield wire.to_left(cursor, step.event.resource)

    async def ConfirmReceipt(self, request: pb.ConfirmReceiptRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.confirm_receipt, self._answer(request, context))

    async def AcknowledgeAlert(self, request: pb.AcknowledgeAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.acknowledge_alert, self._answer(request, context))

    async def ReleaseAlert(self, request: pb.ReleaseAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.release_alert, self._answer(request, context))

    async def ResolveAlert(self, request: pb.ResolveAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(partial(operations.resolve_alert, outcome=request.outcome), self._answer(request, context))

    async def CancelAlert(self, request: pb.CancelAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.cancel_alert, self._ask(request, context))

    async def AddNote(self, request: pb.AddNoteRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        audience = Audience(request.audience or Audience.AGENCY)
        return await self._change(partial(operations.add_note, text=request.text, audience=audience), self._answer(request, context))

    async def AssignAlert(self, request: pb.AssignAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        change = self._ask(request, context, caller.get().user)
        return await self._change(partial(dispatch.assign_alert, assignee=request.assignee), change)

    async def UpdateAlert(self, request: pb.UpdateAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(dispatch.update_alert, values=wire.to_changes(request), etag=request.alert.etag)
        return await self._change(operation, self._answer(request, context, request.alert.name))

    async def RecordContact(self, request: pb.RecordContactRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(contacts.record_contact, means=request.means, result=request.result, text=request.text)
        return await self._change(operation, self._answer(request, context))

    async def SendMessage(self, request: pb.SendMessageRequest, context: grpc.aio.ServicerContext) -> pb.AlertMessage:
        viewer = find_viewer(context)
        change = self._answer(request, context) if viewer.agency or viewer.crew_of else self._ask(request, context)
        message, view = await self._database.write(partial(contacts.send_message, change=change, text=request.text))
        return wire.to_text(message, view)

    async def ListMessages(self, request: pb.ListMessagesRequest, context: grpc.aio.ServicerContext) -> pb.ListMessagesResponse:
        viewer, page = find_viewer(context), Page(request)

        def read(session: Session) -> pb.ListMessagesResponse:
            _, view = require_content(viewer, store.find_alert(session, request.name))
            found = store.list_messages(session, request.name, page.after, page.size + 1)
            messages, next_page_token = page.cut(found, lambda message: message.id)
            return pb.ListMessagesResponse(messages=[wire.to_text(each, view) for each in messages], next_page_token=next_page_token)

        return await self._database.read(read)

    async def RequestAgency(self, request: pb.RequestAgencyRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(dispatch.request_agency, agency=request.agency, reason=request.reason, hand_over=False)
        return await self._change(operation, self._answer(request, context))

    async def HandOverAlert(self, request: pb.HandOverAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(dispatch.request_agency, agency=request.agency, reason=request.reason, hand_over=True)
        return await self._change(operation, self._answer(request, context))

    async def RespondToRequest(self, request: pb.RespondToRequestRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        if request.answer == pb.RespondToRequestRequest.ACCEPT:
            return await self._change(dispatch.accept_request, self._answer(request, context))
        if not request.reason:
            raise InvalidRequest(fields=[("reason", "is required of a refusal")])
        return await self._change(partial(dispatch.reject_request, reason=request.reason), self._answer(request, context))

    async def RecommendUnits(self, request: pb.RecommendUnitsRequest, context: grpc.aio.ServicerContext) -> pb.RecommendUnitsResponse:
        viewer = find_viewer(context)

        def read(session: Session) -> pb.RecommendUnitsResponse:
            alert = require_answering(viewer, store.find_alert(session, request.name))
            require_content(viewer, alert)
            units = unit_store.find_units_of(session, viewer.agency)
            found, missing = recommend_units(alert, units, self._router.find_policy(viewer.agency), now())
            return unit_wire.to_recommendations(found[: request.max_units or _RECOMMENDED], missing)

        return await self._database.read(read)

    async def DispatchAlert(self, request: pb.DispatchAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(dispatch.dispatch_alert, names=list(request.units), accept_old_positions=request.accept_old_positions)
        return await self._change(operation, self._answer(request, context))

    async def UpdateAssignment(self, request: pb.UpdateAssignmentRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        operation = partial(
            dispatch.update_assignment,
            change=self._answer(request, context),
            unit=request.unit,
            status=Status(request.status),
            reason=request.reason,
        )
        return wire.to_message(*await self._database.write(operation))

    async def WatchAssignments(  # pyright: ignore[reportIncompatibleMethodOverride]  # as WatchAlert
        self, request: pb.WatchAssignmentsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        viewer, name = find_viewer(context), request.unit
        unit = await self._database.read(lambda session: require_unit(viewer, unit_store.find_unit(session, name)))
        if unit.agency != viewer.agency and viewer.user not in unit.crew:
            raise UnitNotFound
        steps = self._watches.follow(
            f"WatchAssignments {name}",
            request.cursor,
            lambda session: [Shown(each) for each in store.find_alerts_of_unit(session, name)],
            lambda change: change.event.audience <= Audience.RESPONDER and change.subject.alert.find_assignment(name) is not None,
            caller.get().expire_time,
        )
        shown = set[str]()
        async for cursor, step in steps:
            if not isinstance(step, Found | LogChange):
                for message in self._tell(cursor, step, View.CREW):
                    yield message
                continue
            alert = step.subject.alert
            assignment = alert.find_assignment(name)
            if assignment is None:
                continue
            commands, view = viewer.commands(assignment), viewer.view(alert)
            if assignment.is_active and commands and view:
                shown.add(alert.name)
                for message in self._tell(cursor, step, view):
                    yield message
            elif alert.name in shown or (request.cursor and commands):
                shown.discard(alert.name)
                yield wire.to_left(cursor, alert.name)
            if assignment.is_active and not commands:
                # Another crew has relieved this one.
                raise UnitNotFound

    async def ListAlertEvents(self, request: pb.ListAlertEventsRequest, context: grpc.aio.ServicerContext) -> pb.ListAlertEventsResponse:
        viewer = find_viewer(context)

        def read(session: Session) -> pb.ListAlertEventsResponse:
            _, view = require_content(viewer, store.find_alert(session, request.name))
            audience = view.audience
            page = Page(request, f"{audience}")
            rows = log.timeline(session, request.name, audience, page.after_number(), page.size + 1)
            events, next_page_token = page.cut(rows, lambda event: str(event.id))
            notes = store.find_notes(session, {event.attributes["note"] for event in events if "note" in event.attributes})
            return pb.ListAlertEventsResponse(events=[wire.to_entry(each, view, notes) for each in events], next_page_token=next_page_token)

        return await self._database.read(read)

    async def _change(self, operation: Callable[[Session, Change], Alert], change: Change) -> alert_pb2.Alert:
        alert = await self._database.write(lambda session: operation(session, change))
        return wire.to_message(*require_view(change.viewer, alert))

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, operator: str = "", name: str = "") -> Change:  # noqa: ANN401  # requests share no type
        return Change(name or request.name, request.request_id, request, find_viewer(context), operator, now(), self._router)

    def _answer(self, request: Any, context: grpc.aio.ServicerContext, name: str = "") -> Change:  # noqa: ANN401
        """A change by the agency's side. Raises OperatorRequired."""
        return self._ask(request, context, find_operator(request.operator), name)

    def _tell(self, cursor: str, step: Step[Shown], view: View) -> list[bytes]:
        """The messages of a step; one that a sampled write caused is the last span of that write's trace."""
        if isinstance(step, LogChange) and step.traceparent:
            with telemetry.event_span(f"watch {step.event.type}", step.traceparent):
                return wire.to_steps(cursor, step, view)
        return wire.to_steps(cursor, step, view)


def load_shown(session: Session, names: set[str]) -> dict[str, Shown]:
    """For the tail: what the events' alerts are now, by name."""
    return {alert.name: Shown(alert) for alert in store.find_alerts(session, names)}


def _is_last(step: Found[Shown] | LogChange[Shown], view: View) -> bool:
    closing = {"AlertResolved", "AlertCancelled"} if view is View.CALLER else {"AlertResolved"}
    return isinstance(step, LogChange) and step.event.type in closing


def _has_ended(alert: Alert, view: View) -> bool:
    """Whether nothing more will be shown: for the caller's side with its own cancel or the agency's close."""
    return alert.caller_state in {State.RESOLVED, State.CANCELLED} if view is View.CALLER else alert.close_time is not None


def _make_token(scope: str, request_id: str) -> str:
    """A repetition by the same user gets the same one again, though only its hash is kept."""
    made = keys.digest(f"{scope}\0{request_id}")[:24] if request_id else secrets.token_bytes(24)
    return base64.urlsafe_b64encode(made).decode()
