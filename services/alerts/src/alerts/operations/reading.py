"""Who has read a restricted alert: it stands in the alert's own timeline."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.enums import View
from alerts.model.tables import log
from alerts.model.timeline import Note
from alerts.operations.changes import Change
from alerts.store import alerts as store
from chassis.clock import new_uuid


def is_recorded(alert: Alert, view: View | None) -> bool:
    """Whether showing it so is a reading that must leave a trace."""
    return alert.restricted and view in {View.AGENCY, View.CREW}


def show_changed(session: Session, change: Change, alert: Alert) -> View | None:
    """How much whoever has changed it is shown. Where they have left no other trace in its timeline, it is a reading."""
    view = change.viewer.view_unasked(alert)
    if is_recorded(alert, view) and not log.has_pending(session, alert.name, change.operator):
        record_reading(session, [alert.name], change.viewer.user, "")
    return view


def record_reading(session: Session, read: Iterable[str], reader: str, reason: str) -> None:
    for name in read:
        note = Note(id=new_uuid(), alert=name, text=reason) if reason else None
        if note:
            store.add_note(session, note)
        events.alert_read(session, name, reader, note.id if note else "")
