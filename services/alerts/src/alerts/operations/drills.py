"""Removes what is left of past drills, or a sentinel's would outnumber the emergencies."""

from datetime import datetime

from sqlalchemy.orm import Session

from alerts.model.tables import log, timers
from alerts.store import alerts as alert_store
from alerts.store import drills as store


def remove_drills(session: Session, before: datetime, limit: int) -> int:
    """Some of those that were closed, and have not changed since; how many."""
    names = store.lock_past_drills(session, before, limit)
    for name in names:
        alert_store.remove_content(session, name)
        timers.replace(session, name, ())
    store.remove_alerts(session, names)
    log.forget(session, names)
    return len(names)


def remove_incidents(session: Session, before: datetime, limit: int) -> int:
    """Some of those whose members have gone; in a transaction of its own, because an incident is locked before its alerts."""
    names = store.find_empty_incidents(session, before, limit)
    store.remove_incidents(session, names)
    log.forget(session, names)
    return len(names)
