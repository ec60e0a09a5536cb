"""What callers decide about themselves: their PINs, and what is kept of them."""

from dataclasses import replace
from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AlertNotFound
from alerts.model.alerts import Alert
from alerts.model.callers import Caller
from alerts.model.tables import keys, log
from alerts.operations.changes import Change, claim, take_for_caller
from alerts.pins import Match
from alerts.store import alerts as store
from alerts.store import callers as caller_store
from alerts.store import webhooks as webhook_store

# What a request that was refused has made.
_REFUSED = "refused"
# Of what events say.
_PERSONAL = ("user", "cell")


def set_pins(
    session: Session, user: str, request_id: str, request: Message, old: Match | None, hashes: tuple[str, str], now: datetime
) -> bool:
    """`old` is what the old PIN is among those that were set last, None where whoever asks need not know it, `hashes` are of the
    new ones. Who gave the duress PIN is to believe that they have set them. False where it is refused, which counts as a guess.
    """
    caller = caller_store.find_caller(session, user, for_update=True)
    right = old is None or (caller is not None and old is not Match.NONE and not caller.is_limited(now))
    if request_id and (earlier := keys.claim(session, f"caller\0{user}", request_id, request, user if right else _REFUSED)):
        return earlier != _REFUSED
    if caller is None and right:
        caller = Caller(user=user, pin_hash="", duress_hash="", decoy_pin_hash="", decoy_duress_hash="", wrong_count=0)
        caller_store.add_caller(session, caller)
    if caller is None:
        return False
    if old is Match.NONE:
        caller.guessed(now)
    elif right and (old is Match.DURESS or (old is Match.PIN and caller.decoy_pin_hash)):
        caller.seem_to_set_pins(*hashes)
    elif right:
        caller.set_pins(*hashes)
    _settle(session, caller)
    return right


def settle_pins(session: Session, user: str) -> None:
    """After an alert of theirs was closed."""
    caller = caller_store.find_caller(session, user, for_update=True) if user else None
    if caller:
        session.flush()
        _settle(session, caller)


def erase_alert(session: Session, change: Change) -> Alert:
    if claim(session, change):
        # Whose it was, it may not know any more.
        erased = store.find_alert(session, change.name)
        if erased is None:
            raise AlertNotFound
        return erased
    alert, _ = take_for_caller(session, replace(change, request_id=""))
    if alert.erase(change.now):
        events.alert_erased(session, alert)
        erase_content(session, alert)
    return alert


def erase_all(session: Session, user: str, request_id: str, request: Message, now: datetime) -> None:
    if request_id and keys.claim(session, f"caller\0{user}", request_id, request, user):
        return
    erased = [alert for alert in caller_store.lock_alerts_of_caller(session, user) if alert.erase(now)]
    for alert in erased:
        events.alert_erased(session, alert)
    erase_content(session, *erased)


def erase_content(session: Session, *alerts: Alert) -> None:
    """What their caller has asked for, once nobody needs it any more."""
    wiped = [alert.name for alert in alerts if alert.wipe()]
    for name in wiped:
        store.remove_content(session, name)
        log.redact(session, name, _PERSONAL)
    for delivery in webhook_store.lock_deliveries_about(session, wiped):
        delivery.redact(_PERSONAL)


def _settle(session: Session, caller: Caller) -> None:
    if not caller_store.has_open_alert(session, caller.user):
        caller.settle()
