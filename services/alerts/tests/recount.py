"""The statistics as anybody would count them who has all alerts in a list: the slow way, which has no sums to keep up to date."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from alerts.model.alerts import Alert
from siaga.alerts.v1 import alert_pb2

# By the beginning of an area's code; Jayapura is two hours ahead of Jakarta, Makassar one.
ZONES = {"areas/31": ZoneInfo("Asia/Jakarta"), "areas/73": ZoneInfo("Asia/Makassar"), "areas/91": ZoneInfo("Asia/Jayapura")}
NAMES = {
    alert_pb2.Alert.HELPED: "helped",
    alert_pb2.Alert.FALSE_ALARM: "false_alarm",
    alert_pb2.Alert.PRANK: "prank",
    alert_pb2.Alert.UNREACHABLE: "unreachable",
    alert_pb2.Alert.NON_EMERGENCY: "non_emergency",
}


class Wanted(NamedTuple):
    """Which alerts; days are local and belong to it."""

    area: str = ""
    kind: int | None = None
    agency: str = ""
    first: str = "0001-01-01"
    last: str = "9999-12-31"
    hour: int | None = None


class Recount(NamedTuple):
    """`times` holds every single one, in milliseconds."""

    counts: dict[str, int]
    times: dict[str, list[int]]


def find_zone(area: str) -> ZoneInfo:
    return ZONES.get(area[:8], ZONES["areas/31"])


def recount(alerts: Iterable[Alert], wanted: Wanted, zone_of: Callable[[str], ZoneInfo] = find_zone) -> Recount:
    words = ["raised", "open", *NAMES.values(), "cancelled_verified", "cancelled_unverified", "duplicates"]
    counts = dict.fromkeys(words, 0)
    times: dict[str, list[int]] = {word: [] for word in ("delivery", "answer", "dispatch", "dispatch_since_raised", "turnout", "arrival")}
    for alert in alerts:
        if alert.drill or not _is_wanted(alert, wanted, alert.create_time.astimezone(zone_of(alert.area))):
            continue
        if alert.outcome == alert_pb2.Alert.DUPLICATE or (alert.merged_into and not alert.close_time):
            counts["duplicates"] += 1
            continue
        counts["raised"] += 1
        counts[NAMES.get(alert.outcome) or ("cancelled_verified" if alert.close_time else "open")] += 1
        counts["cancelled_unverified"] += alert.cancel_time is not None and not (alert.close_time and not alert.outcome)
        for word, (start, end) in _find_times(alert).items():
            if start and end:
                times[word].append(round((end - start) / timedelta(milliseconds=1)))
    return Recount(counts, times)


def _is_wanted(alert: Alert, wanted: Wanted, local: datetime) -> bool:
    return (
        (not wanted.area or alert.area == wanted.area or alert.area.startswith(f"{wanted.area}."))
        and wanted.kind in {None, alert.kind}
        and wanted.agency in {"", alert.agency}
        and wanted.first <= local.date().isoformat() <= wanted.last
        and wanted.hour in {None, local.hour}
    )


def _find_times(alert: Alert) -> dict[str, tuple[datetime | None, datetime | None]]:
    set_out = sorted((each.en_route_time, each.dispatch_time) for each in alert.assignments if each.en_route_time)
    return {
        "delivery": (alert.create_time, alert.deliver_time),
        "answer": (alert.create_time, alert.acknowledge_time),
        "dispatch": (alert.acknowledge_time, alert.dispatch_time),
        "dispatch_since_raised": (alert.create_time, alert.dispatch_time),
        "turnout": (set_out[0][1], set_out[0][0]) if set_out else (None, None),
        "arrival": (alert.create_time, alert.arrive_time),
    }
