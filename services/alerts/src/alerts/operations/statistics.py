"""Counts alerts, each change of one exactly once, and has them counted anew."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from datetime import tzinfo

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts.model.histograms import fold_hours, pack_sum
from alerts.model.statistics import Contribution, Counting, Key, count_alert
from alerts.model.tables import keys, log
from alerts.store import statistics as store

# Of a transaction: on SQLite an SOS may have to wait for it.
EVENTS_AT_ONCE = 100
ALERTS_AT_ONCE = 50
_ALERTS, _INCIDENTS = "alerts/", "incidents/"
# From here on a vector by hours is long enough to keep the sum of its hours beside it.
_LONG_BYTES = 2000
# What changes nothing that is counted; in an hour in which nobody answers, most of the log.
_UNCOUNTED = frozenset(
    {
        *("AlertRouted", "AlertAssessed", "AlertEscalated", "AlertOverdue", "AlertTracked", "AlertRead"),
        *("NoteAdded", "MessageSent", "ContactRecorded", "CrewChanged", "RollCallDue", "RollCallMissed", "MaydayRaised"),
    }
)
FindZone = Callable[[str], tzinfo]


def is_behind(session: Session) -> bool:
    """Whether `count_some` would find something to do."""
    countings = store.find_countings(session)
    if len(countings) != 1 or not countings[0].current:
        return True
    return bool(log.after(session, countings[0].position, 1))


def count_some(session: Session, find_zone: FindZone, alerts_at_once: int = ALERTS_AT_ONCE) -> bool:
    """One step of each count that there is: the alerts' past, then what happens to them, until it takes the place of the one
    before. Whether more is to be done at once.
    """
    countings = store.lock_countings(session)
    if not countings:
        # Unless another replica holds them.
        store.add_counting(session, 1)
        return bool(store.lock_countings(session))
    more = False
    for counting in countings:
        if counting.counted_to is not None:
            more |= _count_past(session, counting, find_zone, alerts_at_once)
        elif counting is countings[0] or counting.current:
            more |= _count_changes(session, counting, find_zone)
        else:
            more |= store.remove_some(session, counting.number)
    newest, *others = countings
    if not newest.current and newest.counted_to is None and len(log.after(session, newest.position, EVENTS_AT_ONCE)) < EVENTS_AT_ONCE:
        newest.current = more = True
        for each in others:
            each.current = False
    return more


def begin_rebuild(session: Session, user: str, request_id: str, request: Message) -> int:
    """The number of the new count, or of the one that this request has begun or that is being made already."""
    countings = store.find_countings(session)
    newest = countings[0].number if countings else 0
    building = bool(countings) and not countings[0].current
    wanted = newest if building else newest + 1
    if request_id and (earlier := keys.claim(session, f"statistics\0{user}", request_id, request, f"{wanted}")):
        return int(earlier)
    if not building:
        store.add_counting(session, wanted)
    return wanted


def _count_past(session: Session, counting: Counting, find_zone: FindZone, limit: int) -> bool:
    assert counting.counted_to is not None
    if not counting.counted_to:
        # Whatever is raised or changes from here on is found in the log.
        counting.position = log.position(session)
    names = store.find_alerts_after(session, counting.counted_to, limit)
    _recount(session, counting.number, names, find_zone)
    counting.counted_to = names[-1] if len(names) == limit else None
    return counting.counted_to is not None


def _count_changes(session: Session, counting: Counting, find_zone: FindZone) -> bool:
    events = log.after(session, counting.position, EVENTS_AT_ONCE)
    if events:
        resources = {each.resource for each in events if each.type not in _UNCOUNTED}
        # Which alert stands for the others may change with no word of those.
        members = store.find_members(session, {each for each in resources if each.startswith(_INCIDENTS)})
        _recount(session, counting.number, {*members, *(each for each in resources if each.startswith(_ALERTS))}, find_zone)
        counting.position = events[-1].id
    return len(events) == EVENTS_AT_ONCE


def _recount(session: Session, counting: int, names: Collection[str], find_zone: FindZone) -> None:
    """Takes back what each alert has added to the sums, and adds what it adds as it is now."""
    changed = store.find_changed(session, counting, names)
    turnouts = store.find_turnouts(session, [alert.name for alert, _ in changed])
    now: dict[str, tuple[int, Contribution]] = {}
    gone: list[str] = []
    more: defaultdict[Key, defaultdict[int, int]] = defaultdict(lambda: defaultdict(int))
    for alert, old in changed:
        new = count_alert(alert, turnouts.get(alert.name), find_zone(alert.area))
        if new:
            now[alert.name] = alert.revision, new
        elif old:
            gone.append(alert.name)
        if new == old:
            continue
        if old:
            _add(more, old, -1)
        if new:
            _add(more, new, 1)
    if now:
        store.keep_counted(session, counting, now)
    if gone:
        store.remove_counted(session, counting, gone)
    _add_to_sums(session, counting, more)


def _add(more: Mapping[Key, dict[int, int]], contribution: Contribution, times: int) -> None:
    places = list(contribution.find_places())
    for key in contribution.find_keys():
        vector = more[key]
        for place, count in places:
            vector[place] += times * count


def _add_to_sums(session: Session, counting: int, more: Mapping[Key, Mapping[int, int]]) -> None:
    changed = {key: kept for key, vector in more.items() if (kept := {place: count for place, count in vector.items() if count})}
    if not changed:
        return
    known = store.find_hours(session, counting, changed.keys())
    sums: dict[Key, tuple[bytes, bytes | None]] = {}
    for key, vector in changed.items():
        hours = pack_sum(known.get(key, b""), vector)
        sums[key] = hours, fold_hours(hours) if len(hours) > _LONG_BYTES else None
    store.keep_sums(session, counting, sums)
