"""Who has read a restricted alert: it stands in the alert's own timeline."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.enums import View
from alerts.model.timeline import Note
from alerts.store import alerts as store
from chassis.clock import new_uuid


def is_recorded(alert: Alert, view: View | None) -> bool:
    """Whether showing it so is a reading that must leave a trace."""
    return alert.restricted and view in {View.AGENCY, View.CREW}


def record_reading(session: Session, read: Iterable[str], reader: str, reason: str) -> None:
    for name in read:
        note = Note(id=new_uuid(), alert=name, text=reason) if reason else None
        if note:
            store.add_note(session, note)
        events.alert_read(session, name, reader, note.id if note else "")
