"""What the watches of alerts show, to whom, and when they end."""

from collections.abc import AsyncIterator
from functools import partial

from alerts.errors import UnitNotFound
from alerts.model.alerts import Alert
from alerts.model.enums import Audience, State, View
from alerts.model.responses import ends_part, tells_that_it_exists
from alerts.model.viewers import Viewer
from alerts.operations.changes import require_view
from alerts.operations.reading import is_recorded, record_reading
from alerts.operations.units import require_unit
from alerts.store import alerts as store
from alerts.store import units as unit_store
from alerts.wire import alerts as wire
from alerts.wire.alerts import Shown
from chassis import telemetry
from chassis.database import Database
from chassis.tail import Change
from chassis.watch import Found, Step, Watches
from siaga.alerts.v1 import alert_service_pb2 as pb

_CLOSED, _RELIEVED = pb.WatchAlertsResponse.End.ALERT_CLOSED, pb.WatchAlertsResponse.End.CREW_RELIEVED


class Watching:
    """The messages of each watch, serialized once for all who watch."""

    def __init__(self, database: Database, watches: Watches[Shown]) -> None:
        self._database, self._watches = database, watches

    async def watch_alert(self, name: str, cursor: str, viewer: Viewer, expire_time: float) -> AsyncIterator[bytes]:
        alert, view = await self._database.read(lambda session: require_view(viewer, store.find_alert(session, name)))
        audience = view.audience
        steps = self._watches.follow(
            f"WatchAlert {name} {audience}",
            cursor,
            lambda session: {each.name: Shown(each) for each in store.find_alerts(session, {name})},
            lambda change: change.event.resource == name and change.event.audience <= audience and _is_news(change),
            expire_time,
        )
        # Whoever comes back with a cursor is first told what they missed, however the alert has ended meanwhile.
        told = cursor in {"", "now"}
        reading = _Reading(self._database, viewer)
        async for place, step in steps:
            if isinstance(step, Found | Change):
                alert = step.subject.alert
                seen = viewer.view_unasked(alert)
                if seen is None or seen.audience < audience or (view is View.CALLER and seen is not view):
                    # A crew's work has ended; or whose it was is erased, and they are not to see by it what the agency sees.
                    yield wire.to_end(place, _CLOSED)
                    return
                shown = seen
                await reading.record(alert, shown)
            else:
                shown = view
            for message in _tell(place, step, shown) if _is_shown(step, shown, viewer.agency) else ():
                yield message
            if _is_last(step, view) if isinstance(step, Found | Change) else told and has_ended(alert, view):
                yield wire.to_end(place, _CLOSED)
                return
            told = True

    async def watch_alerts(self, cursor: str, viewer: Viewer, expire_time: float, *, drills: bool) -> AsyncIterator[bytes]:
        agency = viewer.agency
        question = f"WatchAlerts {agency} {drills}"

        def wants(change: Change[Shown]) -> bool:
            return (drills or not change.subject.alert.drill) and _concerns(change, agency) and _is_news(change)

        steps = self._watches.follow(
            question,
            cursor,
            lambda session: {each.name: Shown(each) for each in store.find_open_alerts(session, agency, drills=drills)},
            wants,
            expire_time,
        )
        reading = _Reading(self._database, viewer)
        if (last := await self._watches.find_last(question, cursor, wants)) and _has_left(last, viewer):
            yield wire.to_left(cursor, last.subject.alert.name)
        async for place, step in steps:
            if not isinstance(step, Found | Change):
                for message in _tell(place, step, View.AGENCY):
                    yield message
                continue
            alert = step.subject.alert
            if viewer.has_raised(alert):
                # The room's screen would show whoever stands behind them that it is still worked on.
                continue
            if alert.restricted and alert.concerns(agency):
                await reading.record(alert, viewer.view_unasked(alert) or View.REDACTED)
            for message in _tell_room(place, step, viewer):
                yield message

    async def watch_assignments(self, unit: str, cursor: str, viewer: Viewer, expire_time: float) -> AsyncIterator[bytes]:
        found = await self._database.read(lambda session: require_unit(viewer, unit_store.find_unit(session, unit)))
        if found.agency != viewer.agency and viewer.user not in found.crew:
            raise UnitNotFound
        steps = self._watches.follow(
            f"WatchAssignments {unit}",
            cursor,
            lambda session: {each.name: Shown(each) for each in store.find_alerts_of_unit(session, unit)},
            lambda change: change.event.audience <= Audience.RESPONDER and change.subject.alert.find_assignment(unit) is not None,
            expire_time,
        )
        reading = _Reading(self._database, viewer)
        # Whoever resumes may have been shown any of them.
        shown = set[str]()
        resumed = bool(cursor)
        async for place, step in steps:
            if not isinstance(step, Found | Change):
                for message in _tell(place, step, View.CREW):
                    yield message
                continue
            alert = step.subject.alert
            assignment = alert.find_assignment(unit)
            if assignment is None or viewer.has_raised(alert):
                continue
            commands, view = viewer.commands(assignment), viewer.view(alert)
            if assignment.is_active and commands and view:
                shown.add(alert.name)
                await reading.record(alert, view)
                for message in _tell(place, step, view) if _is_shown(step, view, viewer.agency) else ():
                    yield message
            elif alert.name in shown or (resumed and commands):
                shown.discard(alert.name)
                yield wire.to_left(place, alert.name)
            if assignment.is_active and not commands:
                # Another crew has relieved this one.
                yield wire.to_end(place, _RELIEVED)
                raise UnitNotFound


class _Reading:
    """Leaves a trace of each restricted alert that one watch shows, once."""

    def __init__(self, database: Database, viewer: Viewer) -> None:
        self._database, self._viewer = database, viewer
        self._recorded = set[str]()

    async def record(self, alert: Alert, view: View) -> None:
        if is_recorded(alert, view) and alert.name not in self._recorded:
            self._recorded.add(alert.name)
            await self._database.write(partial(record_reading, read=[alert.name], reader=self._viewer.user, reason=""))


def has_ended(alert: Alert, view: View) -> bool:
    """Whether nothing more will be shown: for the caller's side with its own cancel or the agency's close."""
    return alert.caller_state in {State.RESOLVED, State.CANCELLED} if view is View.CALLER else alert.close_time is not None


def _tell(place: str, step: Step[Shown], view: View) -> list[bytes]:
    """The messages of a step; one that a sampled write caused is the last span of that write's trace."""
    if isinstance(step, Change) and step.traceparent:
        with telemetry.event_span(f"watch {step.event.type}", step.traceparent):
            return wire.to_steps(place, step, view)
    return wire.to_steps(place, step, view)


def _tell_room(place: str, step: Found[Shown] | Change[Shown], viewer: Viewer) -> list[bytes]:
    """What of a step is shown on the screens of an agency's room: once for all of them, unless it depends on who looks."""
    shared = not step.subject.alert.restricted and not (isinstance(step, Change) and step.traceparent)
    told = step.subject.told.get(place) if shared else None
    if told is None:
        alert, view = step.subject.alert, viewer.view_unasked(step.subject.alert) or View.REDACTED
        # What the agency has refused or given away is none of its business any more.
        told = _tell(place, step, view) if alert.concerns(viewer.agency) and _is_shown(step, view, viewer.agency) else []
        if isinstance(step, Change) and _has_left(step, viewer):
            told.append(wire.to_left(place, alert.name))
        if shared:
            step.subject.told[place] = told
    return told


def _has_left(change: Change[Shown], viewer: Viewer) -> bool:
    """Also with what is added to a closed one, or a list from which it was taken would have it again; not with what is not shown."""
    alert = change.subject.alert
    concerned = alert.concerns(viewer.agency)
    if (concerned and not alert.close_time) or viewer.has_raised(alert):
        return False
    return not concerned or _is_shown(change, viewer.view_unasked(alert) or View.REDACTED, viewer.agency)


def _concerns(change: Change[Shown], agency: str) -> bool:
    """Whether the agency has a part in the alert, or this is how it lost it."""
    return change.subject.alert.concerns(agency) or ends_part(change.event, agency)


def _is_shown(step: Step[Shown], view: View, agency: str) -> bool:
    """Whoever is not shown what an alert says is not told either when somebody called, cancelled or read."""
    if view is not View.REDACTED or not isinstance(step, Change):
        return True
    return tells_that_it_exists(step.event, agency, step.subject.alert.state)


def _is_news(change: Change[Shown]) -> bool:
    """That somebody read an alert is for the timeline alone, or each reading would be read."""
    return change.event.type != "AlertRead"


def _is_last(step: Found[Shown] | Change[Shown], view: View) -> bool:
    if not isinstance(step, Change):
        return False
    if view is View.CALLER:
        return step.event.type in {"AlertResolved", "AlertCancelled"}
    alert = step.subject.alert
    # Of one that has ended since, what came before its end may be told, too.
    return alert.close_time is not None and step.event.type in ({"AlertResolved"} if alert.outcome else {"AlertCancelled", "CancelClaimed"})
