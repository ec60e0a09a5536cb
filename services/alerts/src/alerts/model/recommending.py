"""Which units to send: the nearest that can do it, and what is missing."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from alerts.model.alerts import Alert
from alerts.model.enums import Duty, Kind, UnitKind
from alerts.model.policies import Policy
from alerts.model.units import Unit

# What each kind of alert needs; every unit will do for the others.
_NEEDED: dict[int, tuple[UnitKind, ...]] = {
    Kind.MEDICAL: (UnitKind.AMBULANCE,),
    Kind.FIRE: (UnitKind.FIRE_ENGINE, UnitKind.AMBULANCE),
    Kind.CRIME: (UnitKind.PATROL_CAR,),
    Kind.VIOLENCE: (UnitKind.PATROL_CAR,),
    Kind.ACCIDENT: (UnitKind.AMBULANCE, UnitKind.PATROL_CAR),
    Kind.DISASTER: (UnitKind.RESCUE, UnitKind.AMBULANCE),
}


class Reason(IntEnum):
    """What speaks for or against a unit."""

    NEAREST = 1
    SUITABLE = 2
    OTHER_KIND = 3
    PLACE_UNKNOWN = 4
    POSITION_OLD = 5
    ALERT_PLACE_UNKNOWN = 6


class Lack(IntEnum):
    """Why nobody can be sent."""

    NONE_OF_THE_KIND = 1
    OFF_DUTY = 2
    BUSY = 3
    DRILL_MISMATCH = 4


class Recommendation(NamedTuple):
    """A unit that is on duty and free."""

    unit: Unit
    distance_meters: float | None
    reasons: Sequence[Reason]


class Shortfall(NamedTuple):
    """A kind of unit that is needed, of which nobody can be sent."""

    kind: UnitKind
    reason: Lack


def recommend_units(alert: Alert, units: Sequence[Unit], policy: Policy, now: datetime) -> tuple[list[Recommendation], list[Shortfall]]:
    """Suitable ones first, whose position is known and fresh, the nearest of those first."""
    needed = _NEEDED.get(alert.kind, ())
    fitting = [unit for unit in units if unit.drill == alert.drill]
    ready = [unit for unit in fitting if unit.duty == Duty.ON_DUTY and not unit.alert]
    found = [(unit, unit.measure_distance(alert.place), _is_old(unit, policy, now)) for unit in ready]
    found.sort(key=lambda each: (bool(needed) and each[0].kind not in needed, each[1] is None, each[2], each[1] or 0.0, each[0].name))
    nearest = set[int]()
    ranked: list[Recommendation] = []
    for unit, distance, old in found:
        reasons = [Reason.SUITABLE if not needed or unit.kind in needed else Reason.OTHER_KIND]
        if old:
            reasons.append(Reason.POSITION_OLD)
        if alert.place is None:
            reasons.append(Reason.ALERT_PLACE_UNKNOWN)
        elif distance is None:
            reasons.append(Reason.PLACE_UNKNOWN)
        elif unit.kind not in nearest and not old:
            nearest.add(unit.kind)
            reasons.insert(0, Reason.NEAREST)
        ranked.append(Recommendation(unit, distance, reasons))
    present = {unit.kind for unit in ready}
    return ranked, [Shortfall(kind, _explain(kind, units, fitting)) for kind in needed if kind not in present]


def _is_old(unit: Unit, policy: Policy, now: datetime) -> bool:
    return unit.fix_time is not None and now - unit.fix_time > policy.position_age


def _explain(kind: UnitKind, units: Sequence[Unit], fitting: Sequence[Unit]) -> Lack:
    of_the_kind = [unit for unit in fitting if unit.kind == kind]
    if not of_the_kind:
        return Lack.DRILL_MISMATCH if any(unit.kind == kind for unit in units) else Lack.NONE_OF_THE_KIND
    return Lack.BUSY if any(unit.duty == Duty.ON_DUTY for unit in of_the_kind) else Lack.OFF_DUTY
