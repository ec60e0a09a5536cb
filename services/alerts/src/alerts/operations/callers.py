"""What callers decide about themselves: their PINs, and what is kept of them."""

from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events
from alerts.model.alerts import Alert
from alerts.model.callers import Caller
from alerts.model.tables import keys, log
from alerts.operations.changes import Change, take_for_caller
from alerts.store import alerts as store
from alerts.store import callers as caller_store
from alerts.store import webhooks as webhook_store

# Of what events say.
_PERSONAL = ("user", "cell")


def set_pins(session: Session, user: str, request_id: str, request: Message, hashes: tuple[str, str] | None) -> None:
    """`hashes` of the PIN and of the duress PIN; None where whoever asks gave the duress PIN as the old one, and is to believe
    that they have set them.
    """
    replayed = request_id and keys.claim(session, f"caller\0{user}", request_id, request, user)
    if replayed or hashes is None:
        return
    caller = caller_store.find_caller(session, user, for_update=True)
    if caller is None:
        caller = Caller(user=user, pin_hash="", duress_hash="", wrong_count=0)
        caller_store.add_caller(session, caller)
    caller.set_pins(*hashes)
    _settle(session, caller)


def try_old_pin(session: Session, user: str, now: datetime, *, right: bool) -> bool:
    """Whether it counts as right. What was wrong is counted also where the change is refused."""
    caller = caller_store.find_caller(session, user, for_update=True)
    if caller is None:
        return False
    counts = right and not caller.is_limited(now)
    caller.tried(now, right=counts)
    return counts


def settle_pins(session: Session, user: str) -> None:
    """After an alert of theirs was closed."""
    caller = caller_store.find_caller(session, user, for_update=True) if user else None
    if caller:
        session.flush()
        _settle(session, caller)


def erase_alert(session: Session, change: Change) -> Alert:
    alert, replayed = take_for_caller(session, change)
    if not replayed and alert.erase(change.now):
        events.alert_erased(session, alert)
        erase_content(session, alert)
    return alert


def erase_all(session: Session, user: str, request_id: str, request: Message, now: datetime) -> None:
    if request_id and keys.claim(session, f"caller\0{user}", request_id, request, user):
        return
    for alert in caller_store.lock_alerts_of_caller(session, user):
        if alert.erase(now):
            events.alert_erased(session, alert)
            erase_content(session, alert)
    caller = caller_store.find_caller(session, user, for_update=True)
    if caller:
        caller.set_pins("", "")
        session.flush()
        _settle(session, caller)


def erase_content(session: Session, alert: Alert) -> None:
    """What its caller has asked for, once nobody needs it any more."""
    if alert.wipe():
        store.remove_content(session, alert.name)
        log.redact(session, alert.name, _PERSONAL)
        for delivery in webhook_store.find_deliveries_about(session, alert.name):
            delivery.redact(_PERSONAL)


def _settle(session: Session, caller: Caller) -> None:
    if not caller_store.has_open_alert(session, caller.user):
        caller.settle()
