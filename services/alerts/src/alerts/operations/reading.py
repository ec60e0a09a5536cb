"""An alert's timeline, and who has read a restricted one: it stands there, too."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.enums import View
from alerts.model.tables import log
from alerts.model.timeline import Entry, Note
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


def read_timeline(session: Session, alert: str, view: View, after: int, limit: int) -> list[Entry]:
    """What this viewer is shown after the one of that number. To the caller's side the log's own numbers would tell how much happens
    that they are not shown: theirs count what they are.
    """
    if view is View.CALLER:
        found = log.timeline(session, alert, view.audience, 0, limit, skip=after)
        return [Entry(number, event) for number, event in enumerate(found, after + 1)]
    return [Entry(event.id, event) for event in log.timeline(session, alert, view.audience, after, limit)]


def find_notes(session: Session, entries: Iterable[Entry]) -> dict[str, str]:
    """The texts by id."""
    return store.find_notes(session, {event.attributes["note"] for _, event in entries if event.attributes.get("note")})
