"""What reaches the emergency number without data, and which alerts it raises, adds to and moves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.orm import Session

from alerts.model.alerts import Alert
from alerts.model.enums import Channel
from alerts.model.tables import keys
from alerts.model.texts import ADDED_WITHIN, KEPT, ONE_CALL, Number, Sighting, choose_alert, hears, is_flooding
from alerts.model.viewers import Viewer
from alerts.operations.alerts import cancel_alert, raise_alert, track_alert
from alerts.operations.changes import Change
from alerts.operations.contacts import send_message
from alerts.routing import Route, Router
from alerts.store import alerts as alert_store
from alerts.store import texts as store
from alerts.texts.numbers import read_number
from chassis.clock import new_uuid

# The columns of a new alert and those of its lead's response, for its name, its place and its route.
Describe = Callable[[str, Sighting | None, Route], tuple[dict[str, Any], dict[str, Any]]]


class Effect(StrEnum):
    """What became of a message."""

    RAISED = "raised"
    ADDED = "added"
    CANCELLED = "cancelled"
    # Of an open alert, and over the limit of its number: its position counts, and the text is not kept.
    LIMITED = "limited"
    TRACKED = "tracked"
    # An AML message before its alert.
    KEPT = "kept"
    # An AML message of a handset that does not know where it is, or does not say who it is.
    EMPTY = "empty"
    PASSED_OVER = "passed_over"
    REPEATED = "repeated"


class Receipt(NamedTuple):
    """`alert` is the name of the one concerned, empty for none."""

    effect: Effect
    alert: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it was read. `number` is the keyed hash of whom it came from, empty for nobody; `key` names the message among
    all of them, empty where it cannot be told from others.
    """

    number: bytes
    key: str
    content: str
    distress: bool
    urgent: bool
    cancel: bool
    kept: bool
    seen: Sighting | None
    now: datetime


def receive_call(session: Session, text: Text, router: Router, describe: Describe) -> Receipt | None:
    """One that calls for help; None where it would wait for others, who do something with its number or with an alert of it."""
    if text.number and not store.take_number(session, text.number):
        return None
    return receive_text(session, text, router, describe)


def receive_text(session: Session, text: Text, router: Router, describe: Describe) -> Receipt:
    number, known = store.lock_number(session, text.number, text.now) if text.number else (None, True)
    alert = None
    if number:
        limited = number.is_limited(text.now)
        alert = choose_alert(store.lock_open_alerts(session, text.number), text.now, distress=text.distress, limited=limited)
    passed_over = alert is None and not (text.distress or text.urgent)
    name = alert.name if alert else "" if passed_over else f"alerts/{new_uuid()}"
    # Of one that was passed over, too: handed over again it must not call off what has been raised since.
    earlier = keys.claim(session, text.key, "", None, name) if text.key else None
    if earlier == "" and not passed_over:
        # A call for help is never taken for one that was passed over, whatever a gateway calls it.
        earlier = keys.claim(session, f"{text.key}\0call", "", None, name) if text.distress or text.urgent else earlier
    if passed_over and number and not known:
        # Nor is it kept that the number has sent it.
        store.forget_number(session, number)
    if earlier is not None:
        return Receipt(Effect.REPEATED, earlier)
    if passed_over:
        return Receipt(Effect.PASSED_OVER)
    if number and text.seen:
        number.learn(text.seen, text.now)
    if alert is None:
        _raise(session, text, name, number, router, describe)
        return Receipt(Effect.RAISED, name)
    added = store.count_messages(session, text.number, text.now - ADDED_WITHIN) if text.kept else 0
    flooding = is_flooding(added, distress=text.distress or text.urgent)
    _add(session, replace(text, kept=text.kept and not flooding), alert, number, router)
    return Receipt(Effect.CANCELLED if text.cancel else Effect.LIMITED if flooding else Effect.ADDED, name)


def receive_aml(session: Session, number: bytes, key: str, seen: Sighting | None, now: datetime, router: Router) -> Receipt:
    """Tracks the alerts that the handset's call or text has raised, or keeps the position until it does."""
    if seen is None or not number:
        earlier = keys.claim(session, key, "", None, "") if key else None
        return Receipt(Effect.EMPTY) if earlier is None else Receipt(Effect.REPEATED, earlier)
    kept, _ = store.lock_number(session, number, now)
    alerts = [each for each in store.lock_open_alerts(session, number) if each.create_time > now - ONE_CALL and hears(each, now)]
    name = alerts[-1].name if alerts else ""
    if key and (earlier := keys.claim(session, key, "", None, name)) is not None:
        return Receipt(Effect.REPEATED, earlier)
    kept.learn(seen, now)
    for alert in alerts:
        _track(session, alert, [seen], now, router)
    return Receipt(Effect.TRACKED if alerts else Effect.KEPT, name)


def give_number(
    session: Session, change: Callable[[Session], Alert], number: bytes, now: datetime, router: Router, read: Callable[[Alert], bytes]
) -> Alert:
    """`change` raises an alert for somebody who called, or says from which number: it has the handset's last position. `read` tells an
    alert's number: after a repetition it may be another one.
    """
    kept, _ = store.lock_number(session, number, now)
    alert = change(session)
    if alert.channel not in {Channel.SMS, Channel.VOICE} or read(alert) != number:
        return alert
    if store.link_alert(session, number, alert.name) and (seen := kept.find_sighting(now, ONE_CALL)):
        found = alert_store.find_alert(session, alert.name)
        if found and hears(found, now):
            return _track(session, found, [seen], now, router)
    return alert


def hash_number(number: str, country: str) -> bytes:
    """The one hash of a number however it is written, and of a name that is none; empty for nothing."""
    written = read_number(number, country) or number.strip()
    return keys.digest(f"number\0{written}") if written else b""


def sweep(session: Session, now: datetime) -> None:
    store.sweep_numbers(session, now)


def _raise(session: Session, text: Text, name: str, number: Number | None, router: Router, describe: Describe) -> None:
    """At the place in the text, else at the last known one of the number."""
    kept = number.find_sighting(text.now, KEPT) if number else None
    seen = text.seen or kept
    route = router.route(seen.latitude, seen.longitude) if seen else router.route(None, None)
    columns, response = describe(name, seen, route)
    due_time = text.now + router.find_policy(route.agency).deliver
    raise_alert(session, "", "", columns, response, due_time, "")
    if number:
        store.link_alert(session, number.hash, name)
        number.raised(text.now)
    alert = alert_store.find_alert(session, name) if kept and seen and kept.fix_time > seen.fix_time else None
    if alert and kept:
        _track(session, alert, [kept], text.now, router)


def _add(session: Session, text: Text, alert: Alert, number: Number | None, router: Router) -> None:
    if text.kept:
        send_message(session, _ask(alert, text.now, router), text.content)
    seen = [text.seen] if text.seen else []
    kept = number.find_sighting(text.now, ONE_CALL) if number else None
    if kept and kept not in seen and not (alert.fix_time and alert.fix_time >= kept.fix_time):
        # An AML message that came when the alert seemed to be another call's.
        seen.append(kept)
    if seen:
        _track(session, alert, seen, text.now, router)
    if text.cancel:
        cancel_alert(session, _ask(alert, text.now, router), None)


def _track(session: Session, alert: Alert, seen: Sequence[Sighting], now: datetime, router: Router) -> Alert:
    return track_alert(session, _ask(alert, now, router), [each.to_position(alert.name, now) for each in seen])


def _ask(alert: Alert, now: datetime, router: Router) -> Change:
    """A change by the alert's own caller, who proves to be it by the number: nobody holds such an alert's token."""
    caller = Viewer(user="", agency="", supervises=False, token_hash=alert.token_hash)
    return Change(alert.name, "", Empty(), caller, "", now, router)
