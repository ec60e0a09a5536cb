"""How long an agency may take before somebody else is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from alerts.model.enums import State


@dataclass(frozen=True, slots=True)
class Limit:
    """How long an alert of a kind, or of any where it is 0, may stay in a state."""

    kind: int
    state: int
    warn: timedelta
    alert: timedelta


# Dispatch within a minute (NFPA 1225), the scene within 15 minutes (Jakarta's 112, which reports a mean of eight).
_LIMITS = (
    Limit(0, State.ACKNOWLEDGED, timedelta(seconds=60), timedelta(seconds=120)),
    Limit(0, State.DISPATCHED, timedelta(minutes=8), timedelta(minutes=15)),
    Limit(0, State.ON_SCENE, timedelta(hours=1), timedelta(hours=2)),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """Times since the agency was asked; the first two as NENA-STA-020 wants calls answered. No `roll_call`: none is held."""

    deliver: timedelta = timedelta(seconds=10)
    acknowledge: timedelta = timedelta(seconds=15)
    supervisor: timedelta = timedelta(seconds=20)
    parent: timedelta = timedelta(seconds=60)
    roll_call: timedelta = timedelta(seconds=60)
    position_age: timedelta = timedelta(minutes=5)
    limits: Sequence[Limit] = ()

    def find_limit(self, kind: int, state: int) -> Limit | None:
        """The agency's own for the kind, then its own for all, then the default."""
        fitting = [each for each in (*self.limits, *_LIMITS) if each.state == state and each.kind in {kind, 0}]
        return max(fitting, key=lambda each: each.kind == kind and kind != 0, default=None)

    def when(self, step: int) -> timedelta:
        """Of a step of escalation: undelivered, unacknowledged, to the supervisors, to the agency above, and that again."""
        return (self.deliver, self.acknowledge, self.supervisor, self.parent, self.parent)[step]
