"""What new alerts belong to, and what makes them doubtful: for many at a time, because in a flood there are."""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from datetime import datetime, timedelta

import h3
from sqlalchemy.orm import Session

from alerts import events
from alerts.model.enums import Audience, Kind, State
from alerts.model.incidents import MAX_MEMBERS, REACH, WITHIN, assess, can_lead, can_rest, find_doubts, is_held, is_news, join
from alerts.model.tables import timers
from alerts.operations.incidents import form_incident, join_incident
from alerts.routing import Router
from alerts.store import alerts as alert_store
from alerts.store import incidents as store
from alerts.store.incidents import Candidate, History, Waiting
from chassis.clock import new_uuid, now

_A_YEAR = timedelta(days=365)
_LATELY = timedelta(minutes=10)
# The names of the alerts of which there is something to say, by their doubts and what their callers raised before.
News = Mapping[tuple[tuple[int, ...], History | None], Sequence[str]]


def assess_alerts(session: Session, limit: int, hear: Callable[[Waiting], bool], router: Router) -> int:
    """How many were looked at, under the lock of grouping; `hear` says whether the words of one came often of late."""
    waiting = store.find_waiting(session, limit)
    if not waiting:
        return 0
    time = now()
    histories = store.read_histories(session, {each.user for each in waiting if each.user}, time - _A_YEAR, time - _LATELY)
    found = _find_news(waiting, histories, hear)
    doubtful = {name for (doubts, _), names in found.items() if doubts for name in names}
    groups = _find_groups(session, waiting, doubtful)
    # Whatever is written is locked before, as by all others who lock several.
    alert_store.lock_alerts(session, {*groups, *(each.name for each in waiting)})
    store.mark_done(session, [each.name for each in waiting])
    _assess(session, found, time)
    for first, others in groups.items():
        _put_together(session, first, others, doubtful, router, time)
    return len(waiting)


def pass_over(session: Session) -> None:
    """Nobody looks again at the first that waits."""
    name = store.find_first_waiting(session)
    store.mark_done(session, [name] if name else [])


def _find_news(waiting: Sequence[Waiting], histories: Mapping[tuple[str, bool], History], hear: Callable[[Waiting], bool]) -> News:
    """Of most there is nothing to say."""
    found: defaultdict[tuple[tuple[int, ...], History | None], list[str]] = defaultdict(list)
    for each in waiting:
        history = histories.get((each.user, each.drill))
        doubts = find_doubts(history.pranks if history else 0, history.lately if history else 0, same_words=hear(each))
        # The alert itself is not among those before it.
        before = history._replace(alerts=history.alerts - 1) if history and history.alerts > 1 else None
        if doubts or before:
            found[tuple(doubts), before].append(each.name)
    return found


def _assess(session: Session, found: News, time: datetime) -> None:
    """Most are as they were raised: they are not loaded."""
    for (doubts, before), names in found.items():
        history = before.describe() if before else None
        fresh = store.assess_fresh(session, names, list(doubts), history, time)
        if is_news(list(doubts), history):
            for name in fresh:
                events.alert_assessed(session, name)
        for alert in alert_store.find_alerts(session, set(names).difference(fresh), for_update=True):
            if assess(alert, list(doubts), history, time):
                events.alert_assessed(session, alert.name)


def _find_groups(session: Session, waiting: Sequence[Waiting], doubtful: Container[str]) -> Mapping[str, list[str]]:
    """By the name of the alert that there was first, those that are near it. What is doubtful stands for its like alone: a genuine
    alert must not be closed with a prank.
    """
    placed = [each for each in waiting if each.cell and not (each.restricted or each.by_staff) and each.kind in REACH]
    if not placed:
        return {}
    cells = {cell for each in placed for cell in h3.grid_disk(each.cell, 1)}
    candidates = {each.name: each for each in store.find_candidates(session, cells, waiting[-1].name)}
    size = {candidate.name: candidate.members for candidate in candidates.values()}
    own = {each.name: candidates.pop(each.name, None) for each in placed}
    near: defaultdict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates.values():
        near[candidate.cell].append(candidate)
    groups: dict[str, list[str]] = {}
    for each in placed:
        fitting = [
            (away, candidate)
            for cell in h3.grid_disk(each.cell, 1)
            for candidate in near[cell]
            if (each.name in doubtful or not (candidate.doubts or candidate.name in doubtful))
            and candidate.fits(each, WITHIN)
            and size[candidate.name] < MAX_MEMBERS
            and (away := h3.great_circle_distance(each.place, candidate.place, "m")) <= REACH[Kind(each.kind)]
        ]
        if fitting:
            _, nearest = min(fitting, key=lambda found: (found[0], found[1].name))
            groups.setdefault(nearest.name, []).append(each.name)
            size[nearest.name] += 1
        elif alone := own[each.name]:
            near[alone.cell].append(alone)
    return groups


def _put_together(session: Session, first: str, others: Sequence[str], doubtful: Container[str], router: Router, time: datetime) -> None:
    """Most of them are as they were raised, and rest without being loaded."""
    alert = alert_store.find_alert(session, first, for_update=True)
    if alert is None or not can_lead(alert):
        return
    incident = store.find_incident(session, alert.incident, for_update=True) if alert.incident else None
    if incident is None:
        incident = form_incident(session, f"incidents/{new_uuid()}", alert, time)
        join(alert, incident.name, time)
        events.alert_merged(session, alert.name, "", incident.name)
    if alert.name == incident.lead and not alert.parts.lead.claimant and alert.state == State.RAISED:
        doubted = [name for name in others if name in doubtful]
        delivered = alert.deliver_time is not None
        fresh = store.rest_fresh(session, others, doubted, incident.name, alert.name, time, delivered=delivered)
        timers.cancel(session, fresh)
        for name in fresh:
            events.alert_merged(session, name, "", incident.name)
            if delivered:
                events.alert_delivered(session, name, Audience.CALLER, "")
        incident.admit(len(fresh), time)
        events.incident_changed(session, incident, "IncidentChanged")
        others = [name for name in others if name not in set(fresh)]
    found = [alert_store.find_alert(session, name, for_update=True) for name in others]
    holder = alert.parts.lead.claimant
    # Whoever has taken one meanwhile keeps it.
    free = [each for each in found if each and not (is_held(each) and holder and each.parts.lead.claimant != holder)]
    if joining := [each for each in free if not each.incident and can_rest(each)]:
        join_incident(session, incident, joining, router, time)
