"""AlertService: one method per RPC."""

import base64
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
from google.api import httpbody_pb2
from sqlalchemy.orm import Session

from alerts import sos
from alerts.errors import AlertNotFound, PinsTooAlike, ReasonRequired, WrongPin
from alerts.model.alerts import Alert
from alerts.model.callers import are_too_alike
from alerts.model.enums import Audience, Status, View
from alerts.model.recommending import recommend_units
from alerts.model.tables import keys
from alerts.model.units import Unit
from alerts.model.viewers import Viewer
from alerts.operations import alerts as operations
from alerts.operations import callers, contacts, dispatch, texts
from alerts.operations.callers import OldPin
from alerts.operations.changes import Change, require_answering, require_content, require_view
from alerts.operations.reading import find_notes, is_recorded, read_timeline, record_reading, show_changed
from alerts.pins import Given, hash_pins, hide_time, match_pin
from alerts.routing import Router
from alerts.servicer.statistics import Statistics
from alerts.servicer.viewing import find_operator, find_viewer, hash_token, is_staff
from alerts.servicer.watching import Watching, has_ended
from alerts.store import alerts as store
from alerts.store import units as unit_store
from alerts.store.callers import find_caller, list_alerts_of_caller
from alerts.wire import alerts as wire
from alerts.wire import units as unit_wire
from alerts.wire.alerts import Shown
from alerts.wire.changes import to_changes
from chassis.clock import new_uuid, now
from chassis.database import Database
from chassis.errors import InvalidRequest
from chassis.identity import caller
from chassis.paging import Page
from chassis.watch import Watches
from siaga.alerts.v1 import alert_pb2, alert_service_pb2_grpc, statistics_pb2
from siaga.alerts.v1 import alert_service_pb2 as pb

# Whoever speaks for a caller says from which number they called: their handset may have told where it is.
_BY_NUMBER = frozenset({alert_pb2.Alert.SMS, alert_pb2.Alert.VOICE})
_RECOMMENDED = 10
_FRESH_SECONDS = 300
_MAX_EXPORTED = 10_000
_NOBODYS = ("", "")


class AlertServicer(alert_service_pb2_grpc.AlertServiceServicer):
    def __init__(self, database: Database, watches: Watches[Shown], router: Router, country: str) -> None:
        self._database, self._router, self._country = database, router, country
        self._watching = Watching(database, watches)
        self._statistics = Statistics(database, router)

    async def RaiseAlert(self, request: pb.RaiseAlertRequest, context: grpc.aio.ServicerContext) -> pb.RaiseAlertResponse:
        by = caller.get()
        ignored = sos.salvage(request, by, self._router.knows)
        place = request.target.point if request.target.HasField("point") else request.location.point
        located = place.HasField("latitude")
        route = self._router.route(place.latitude if located else None, place.longitude if located else None, avoid=request.conflict_agency)
        if request.drill_agency:
            route = replace(route, agency=request.drill_agency)
        scope = f"token\0{request.alert_token}" if request.alert_token else f"user\0{by.user}"
        # Without a token or a user nobody can be told from anybody else who has the request id.
        request_id = request.request_id.lower() if request.alert_token or by.user else ""
        token = request.alert_token or _make_token(scope, request_id)
        # By any channel but their own app, whoever is signed in speaks for a caller and is not the one.
        operator, user, display_name = ("", by.user, by.name) if request.channel == alert_pb2.Alert.APP else (by.user, "", "")
        time = now()
        columns, response = wire.to_columns(request, f"alerts/{new_uuid()}", user, display_name, hash_token(token), route, time)
        if route.agency == request.conflict_agency:
            # Nobody else can answer there: help comes before secrecy, and it stays restricted.
            columns["conflict_agency"] = ""
            ignored.append("conflictAgency")
        # As `Viewer.has_raised`: what is done for others with it would tell them what is done for theirs.
        columns["by_staff"] = bool(user) and not request.drill and is_staff(by)
        operation = partial(
            operations.raise_alert,
            scope=scope,
            request_id=request_id,
            alert=columns,
            response=response,
            due_time=time + self._router.find_policy(route.agency).deliver,
            operator=operator,
        )
        if request.channel in _BY_NUMBER and (number := self._hash_number(columns["callback_phone"])):
            operation = partial(texts.give_number, change=operation, number=number, now=time, router=self._router, read=self._read_number)
        alert = await self._database.write(operation, urgent=True)
        message = wire.to_message(alert, View.CALLER)
        return pb.RaiseAlertResponse(alert=message, alert_token=token, ignored_fields=ignored, credential_problem=by.problem)

    async def GetAlert(self, request: pb.GetAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        viewer = find_viewer(context)
        alert, view = await self._database.read(lambda session: require_view(viewer, store.find_alert(session, request.name)))
        await self._record_reading(viewer, alert, view, request.reason)
        return wire.to_message(alert, view)

    async def GetAlertView(self, request: pb.GetAlertViewRequest, context: grpc.aio.ServicerContext) -> pb.AlertView:
        alert = await self._database.read(lambda session: store.find_alert(session, request.name))
        # A silent alert's close, which its caller is not shown, ends it, too.
        if alert is None or alert.erase_time or alert.close_time or has_ended(alert, View.CALLER):
            raise AlertNotFound
        return wire.to_view(alert)

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: grpc.aio.ServicerContext) -> pb.ListAlertsResponse:
        viewer = find_viewer(context)
        page = Page(request, f"{viewer.user} {viewer.agency}")
        filters = store.Filters(
            states=list(request.state),
            kinds=list(request.kind),
            areas=self._router.areas_within(request.area) if request.area else None,
            agency=request.agency,
            incident=request.incident,
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
        shown = [(each, viewer.view_unasked(each)) for each in alerts]
        await self._record_readings(viewer, [each for each, view in shown if is_recorded(each, view)])
        return pb.ListAlertsResponse(alerts=[wire.to_message(each, view) for each, view in shown if view], next_page_token=next_page_token)

    async def TrackAlert(self, request: pb.TrackAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        positions = wire.to_positions(request, now())
        return await self._change(partial(operations.track_alert, positions=positions), self._ask(request, context))

    def WatchAlert(  # pyright: ignore[reportIncompatibleMethodOverride]  # bytes, serialized once for all watchers
        self, request: pb.WatchAlertRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        return self._watching.watch_alert(request.name, request.cursor, find_viewer(context), caller.get().expire_time)

    def WatchAlerts(  # pyright: ignore[reportIncompatibleMethodOverride]  # as WatchAlert
        self, request: pb.WatchAlertsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        expire_time = caller.get().expire_time
        return self._watching.watch_alerts(request.cursor, find_viewer(context), expire_time, drills=request.include_drills)

    async def ConfirmReceipt(self, request: pb.ConfirmReceiptRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.confirm_receipt, self._answer(request, context))

    async def AcknowledgeAlert(self, request: pb.AcknowledgeAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.acknowledge_alert, self._answer(request, context))

    async def ReleaseAlert(self, request: pb.ReleaseAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(operations.release_alert, self._answer(request, context))

    async def ResolveAlert(self, request: pb.ResolveAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        return await self._change(partial(operations.resolve_alert, outcome=request.outcome), self._answer(request, context))

    async def CancelAlert(self, request: pb.CancelAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        change = self._ask(request, context)
        if not request.pin:
            return await self._change(partial(operations.cancel_alert, given=None), change)
        async with hide_time():
            hashes = await self._database.read(lambda session: _find_hashes(session, change))
            given = Given(*await match_pin(request.pin, *hashes))
            # Which takes a while, and how long is nobody's business.
            change = replace(change, now=now())
            return await self._change(partial(operations.cancel_alert, given=given), change)

    async def SetPins(self, request: pb.SetPinsRequest, context: grpc.aio.ServicerContext) -> pb.SetPinsResponse:
        by, time = caller.get(), now()
        fresh = time.timestamp() - by.sign_in_time <= _FRESH_SECONDS
        if are_too_alike(request.pin, request.duress_pin):
            raise PinsTooAlike(fields=[("duressPin", "is one slip away from the PIN")])
        # The duress PIN as the old one takes as long as the right one.
        async with hide_time():
            given = None
            if request.old_pin:
                kept = await self._database.read(lambda session: find_caller(session, by.user))
                told = kept.told if kept else _NOBODYS
                [match] = await match_pin(request.old_pin, told)
                given = OldPin(match, told)
            pin_hash, duress_hash = await hash_pins(request.pin, request.duress_pin)
            set_pins = partial(callers.set_pins, given=given, hashes=(pin_hash, duress_hash), now=time, fresh=fresh)
            if not await self._database.write(partial(set_pins, user=by.user, request_id=request.request_id, request=request)):
                raise WrongPin
        return pb.SetPinsResponse()

    async def EraseAlert(self, request: pb.EraseAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        change = self._ask(request, context)
        # What its agency has closed is erased at once, which takes longer.
        async with hide_time():
            erased = await self._database.write(partial(callers.erase_alert, change=change))
        # Not by what the caller may see after it: who raised it has gone with the rest.
        return wire.to_message(erased, View.CALLER)

    async def ExportMyAlerts(self, request: pb.ExportMyAlertsRequest, context: grpc.aio.ServicerContext) -> pb.ExportMyAlertsResponse:
        user = caller.get().user
        page = Page(request, user)

        def read(session: Session) -> pb.ExportMyAlertsResponse:
            found = list_alerts_of_caller(session, user, page.after, page.size + 1)
            alerts, next_page_token = page.cut(found, lambda alert: alert.name)
            return pb.ExportMyAlertsResponse(alerts=[_export(session, each) for each in alerts], next_page_token=next_page_token)

        return await self._database.read(read)

    async def EraseMyAlerts(self, request: pb.EraseMyAlertsRequest, context: grpc.aio.ServicerContext) -> pb.EraseMyAlertsResponse:
        erase_all = partial(callers.erase_all, user=caller.get().user, request_id=request.request_id, request=request, now=now())
        # Among them may be silent ones, of which nobody learns by the account.
        async with hide_time():
            await self._database.write(erase_all)
        return pb.EraseMyAlertsResponse()

    async def AddNote(self, request: pb.AddNoteRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        audience = Audience(request.audience or Audience.AGENCY)
        return await self._change(partial(operations.add_note, text=request.text, audience=audience), self._answer(request, context))

    async def AssignAlert(self, request: pb.AssignAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        change = self._ask(request, context, caller.get().user)
        return await self._change(partial(dispatch.assign_alert, assignee=request.assignee), change)

    async def UpdateAlert(self, request: pb.UpdateAlertRequest, context: grpc.aio.ServicerContext) -> alert_pb2.Alert:
        if not request.alert.name:
            raise InvalidRequest(fields=[("alert.name", "is required")])
        values = to_changes(request)
        number = self._hash_number(values.get("callback_phone", ""))

        def update(session: Session, change: Change) -> Alert:
            asked = partial(dispatch.update_alert, change=change, values=values, etag=request.alert.etag)
            return texts.give_number(session, asked, number, change.now, self._router, self._read_number) if number else asked(session)

        return await self._change(update, self._answer(request, context, request.alert.name))

    def _hash_number(self, number: str) -> bytes:
        return texts.hash_number(number, self._country)

    def _read_number(self, alert: Alert) -> bytes:
        return self._hash_number(alert.callback_phone)

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

        alert, view = await self._database.read(lambda session: require_content(viewer, store.find_alert(session, request.name)))
        await self._record_reading(viewer, alert, view, request.reason)
        if alert.is_erased_for(view):
            return pb.ListMessagesResponse()

        def read(session: Session) -> pb.ListMessagesResponse:
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
        if not request.reason.strip():
            raise InvalidRequest(fields=[("reason", "is required of a refusal")])
        return await self._change(partial(dispatch.reject_request, reason=request.reason), self._answer(request, context))

    async def RecommendUnits(self, request: pb.RecommendUnitsRequest, context: grpc.aio.ServicerContext) -> pb.RecommendUnitsResponse:
        viewer = find_viewer(context)

        def read(session: Session) -> tuple[Alert, View, Sequence[Unit]]:
            alert, view = require_content(viewer, require_answering(viewer, store.find_alert(session, request.name)))
            return alert, view, unit_store.find_units_of(session, viewer.agency)

        alert, view, units = await self._database.read(read)
        alert.require_open()
        # How far from it they are tells where it is.
        await self._record_reading(viewer, alert, view, "")
        found, missing = recommend_units(alert, units, self._router.find_policy(viewer.agency), now())
        return unit_wire.to_recommendations(found[: request.max_units or _RECOMMENDED], missing)

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

    def WatchAssignments(  # pyright: ignore[reportIncompatibleMethodOverride]  # as WatchAlert
        self, request: pb.WatchAssignmentsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[bytes]:
        return self._watching.watch_assignments(request.unit, request.cursor, find_viewer(context), caller.get().expire_time)

    async def ListAlertEvents(self, request: pb.ListAlertEventsRequest, context: grpc.aio.ServicerContext) -> pb.ListAlertEventsResponse:
        viewer = find_viewer(context)
        alert, view = await self._database.read(lambda session: require_content(viewer, store.find_alert(session, request.name)))
        await self._record_reading(viewer, alert, view, request.reason)

        def read(session: Session) -> pb.ListAlertEventsResponse:
            page = Page(request, f"{view.audience}")
            rows = read_timeline(session, request.name, view, page.after_number(), page.size + 1)
            entries, next_page_token = page.cut(rows, lambda entry: str(entry.number))
            notes = {} if alert.is_erased_for(view) else find_notes(session, entries)
            return pb.ListAlertEventsResponse(
                events=[wire.to_entry(each, view, notes) for each in entries], next_page_token=next_page_token
            )

        return await self._database.read(read)

    async def GetAlertStatistics(
        self, request: statistics_pb2.GetAlertStatisticsRequest, context: grpc.aio.ServicerContext
    ) -> statistics_pb2.GetAlertStatisticsResponse:
        return await self._statistics.tell(request)

    async def ExportAlertStatistics(
        self, request: statistics_pb2.ExportAlertStatisticsRequest, context: grpc.aio.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        return await self._statistics.export(request)

    async def RebuildAlertStatistics(
        self, request: statistics_pb2.RebuildAlertStatisticsRequest, context: grpc.aio.ServicerContext
    ) -> statistics_pb2.RebuildAlertStatisticsResponse:
        return await self._statistics.rebuild(request)

    async def _change(self, operation: Callable[[Session, Change], Alert], change: Change) -> alert_pb2.Alert:
        def answer(session: Session) -> tuple[Alert, View | None]:
            alert = operation(session, change)
            return alert, show_changed(session, change, alert)

        alert, view = await self._database.write(answer)
        if view is None:
            raise AlertNotFound
        return wire.to_message(alert, view)

    async def _record_reading(self, viewer: Viewer, alert: Alert, view: View, reason: str) -> None:
        """Before it is shown. Raises ReasonRequired."""
        if is_recorded(alert, view):
            if alert.close_time and not reason.strip():
                raise ReasonRequired
            await self._database.write(partial(record_reading, read=[alert.name], reader=viewer.user, reason=reason))

    async def _record_readings(self, viewer: Viewer, alerts: Sequence[Alert]) -> None:
        if alerts:
            await self._database.write(partial(record_reading, read=[each.name for each in alerts], reader=viewer.user, reason=""))

    def _ask(self, request: Any, context: grpc.aio.ServicerContext, operator: str = "", name: str = "") -> Change:  # noqa: ANN401  # requests share no type
        return Change(name or request.name, request.request_id, request, find_viewer(context), operator, now(), self._router)

    def _answer(self, request: Any, context: grpc.aio.ServicerContext, name: str = "") -> Change:  # noqa: ANN401
        """A change by the agency's side. Raises OperatorRequired."""
        return self._ask(request, context, find_operator(request.operator), name)


def _find_hashes(session: Session, change: Change) -> tuple[tuple[str, str], tuple[str, str]]:
    """Of the PINs of whoever raised the alert, where its caller's side asks, in force and as told; nobody else's are tried."""
    alert = store.find_alert(session, change.name)
    known = alert.user if alert and change.viewer.is_caller(alert) else ""
    kept = find_caller(session, known) if known else None
    return ((kept.pin_hash, kept.duress_hash), kept.told) if kept else (_NOBODYS, _NOBODYS)


def _export(session: Session, alert: Alert) -> pb.ExportMyAlertsResponse.Record:
    found = read_timeline(session, alert.name, View.CALLER, 0, _MAX_EXPORTED)
    notes = find_notes(session, found)
    return pb.ExportMyAlertsResponse.Record(
        alert=wire.to_message(alert, View.CALLER),
        events=[wire.to_entry(each, View.CALLER, notes) for each in found],
        messages=[wire.to_text(each, View.CALLER) for each in store.list_messages(session, alert.name, "", _MAX_EXPORTED)],
        locations=[wire.to_location(each) for each in store.list_positions(session, alert.name)],
    )


def _make_token(scope: str, request_id: str) -> str:
    """A repetition by the same user gets the same one again, though only its hash is kept."""
    made = keys.digest(f"{scope}\0{request_id}")[:24] if request_id else secrets.token_bytes(24)
    return base64.urlsafe_b64encode(made).decode()
