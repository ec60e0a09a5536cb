"""What callers decide about themselves: their PINs, and what is kept of them."""

from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AlertNotFound, SignInRequired
from alerts.model.alerts import Alert
from alerts.model.callers import Caller
from alerts.model.incidents import IncidentState
from alerts.model.tables import keys, log
from alerts.operations.changes import Change, claim, take_for_caller
from alerts.pins import Match
from alerts.store import alerts as store
from alerts.store import callers as caller_store
from alerts.store import incidents as incident_store
from alerts.store import webhooks as webhook_store

# What a request that was refused has made.
_REFUSED = "refused"


class OldPin(NamedTuple):
    """What it is among those that were `told` when it was looked at."""

    match: Match
    told: tuple[str, str]


def set_pins(
    session: Session,
    user: str,
    request_id: str,
    request: Message,
    given: OldPin | None,
    hashes: tuple[str, str],
    now: datetime,
    *,
    fresh: bool,
) -> bool:
    """`given` is None where no old PIN came along: then their sign-in must be `fresh`, unless this request has set them before.
    `hashes` are of the new ones. Who gave the duress PIN is to believe that they have set them. False where it is refused, which
    counts as a guess. Raises SignInRequired.
    """
    caller = caller_store.find_caller(session, user, for_update=True)
    if caller is None and given is None and fresh:
        caller = caller_store.make_caller(session, user)
    # Where others were set meanwhile, it is the old PIN no more, whichever it was.
    old = given.match if given and caller and caller.told == given.told else Match.NONE
    right = fresh if given is None else caller is not None and old is not Match.NONE and not caller.is_limited(now)
    if request_id and (earlier := keys.claim(session, f"caller\0{user}", request_id, request, user if right else _REFUSED)):
        return earlier != _REFUSED
    if given is None and not fresh:
        raise SignInRequired
    if caller is None:
        return False
    if given and old is Match.NONE:
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
    gone = [alert for alert in alerts if alert.wipe()]
    wiped = [alert.name for alert in gone]
    for name in sorted({alert.incident for alert in gone if alert.incident}):
        session.flush()
        incident = incident_store.find_incident(session, name, for_update=True)
        if incident and incident.state == IncidentState.CLOSED:
            incident.forget(incident_store.find_places(session, name))
    for name in wiped:
        store.remove_content(session, name)
        log.redact(session, name, events.PERSONAL)
    for delivery in webhook_store.lock_deliveries_about(session, wiped):
        delivery.redact(events.PERSONAL)


def _settle(session: Session, caller: Caller) -> None:
    if not caller_store.has_open_alert(session, caller.user):
        caller.settle()
