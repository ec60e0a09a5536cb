"""Between the caller and whoever answers."""

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AlertNotFound, CallerNotContactable
from alerts.model.alerts import Alert
from alerts.model.enums import ContactPreference, Sender, View
from alerts.model.timeline import Message, Note
from alerts.operations.changes import Change, claim, require_content, require_view, take_for_agency
from alerts.store import alerts as store
from chassis.clock import new_uuid


def record_contact(session: Session, change: Change, means: int, result: int, text: str) -> Alert:
    alert, replayed = take_for_agency(session, change)
    if not replayed:
        require_content(change.viewer, alert)
        alert.require_kept()
        note = Note(id=new_uuid(), alert=alert.name, text=text)
        store.add_note(session, note)
        alert.touch(change.now, shown=False)
        events.contact_recorded(session, alert, change.operator, means, result, note.id)
    return alert


def send_message(session: Session, change: Change, text: str) -> tuple[Message, View]:
    """From the caller's side to the agency's or back. Raises CallerNotContactable and AlertClosed."""
    message = Message(id=new_uuid(), alert=change.name, text=text, create_time=change.now)
    earlier = claim(session, change, message.id)
    # Whoever repeats it is shown their own message, though the alert may be another agency's by now.
    require = require_view if earlier else require_content
    alert, view = require(change.viewer, store.find_alert(session, change.name, for_update=True))
    if earlier and alert.is_erased_for(view):
        # Whether or not it is kept still; it was theirs.
        message.id, message.sender, message.operator = earlier, Sender.CALLER, ""
        return message, view
    if earlier:
        found = store.find_message(session, earlier)
        if found is None:
            raise AlertNotFound
        return found, view
    if view is View.CALLER:
        alert.require_trackable(change.now)
        message.sender, message.operator = Sender.CALLER, ""
    else:
        alert.require_open()
        if alert.cancel_time or alert.contact_preference == ContactPreference.DO_NOT_CONTACT:
            raise CallerNotContactable
        message.sender, message.operator = Sender.AGENCY, change.operator
    # Of an alert that was erased none is kept, and the caller's side is not told whether it is.
    if not alert.is_erased:
        store.add_message(session, message)
    alert.touch(change.now, shown=True)
    events.message_sent(session, alert, message.operator)
    return message, view
