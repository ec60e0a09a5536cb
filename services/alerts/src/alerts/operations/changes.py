"""What every change of an alert has: who asks for it, whether they may, and the clocks that follow from it."""

from dataclasses import dataclass
from datetime import datetime

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts.errors import AlertNotFound, NotClaimant
from alerts.model.alerts import Alert
from alerts.model.clocks import find_clocks
from alerts.model.enums import View
from alerts.model.tables import keys, timers
from alerts.model.viewers import Viewer
from alerts.routing import Router
from alerts.store import alerts as store
from chassis.errors import AccessDenied
from chassis.timers import Timer


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change one alert. `operator` is whom the viewer names as the person who acts."""

    name: str
    request_id: str
    request: Message
    viewer: Viewer
    operator: str
    now: datetime
    router: Router


def require_view(viewer: Viewer, alert: Alert | None) -> tuple[Alert, View]:
    """Raises AlertNotFound, alike for what is absent and for what this viewer may not know of."""
    view = viewer.view(alert) if alert else None
    if alert is None or view is None:
        raise AlertNotFound
    return alert, view


def require_content(viewer: Viewer, alert: Alert | None) -> tuple[Alert, View]:
    """As require_view. Raises NotClaimant where the viewer is shown no more than that it exists."""
    found, view = require_view(viewer, alert)
    if view is View.REDACTED:
        raise NotClaimant
    return found, view


def require_answering(viewer: Viewer, alert: Alert | None) -> Alert:
    """Raises AlertNotFound for everybody whose agency has no part in it, its caller and crews included."""
    if alert is None or not viewer.answers(alert):
        raise AlertNotFound
    return alert


def take_for_agency(session: Session, change: Change) -> tuple[Alert, bool]:
    alert, _, replayed = take(session, change)
    require_answering(change.viewer, alert)
    return alert, replayed


def take_for_caller(session: Session, change: Change) -> tuple[Alert, bool]:
    alert, _, replayed = take(session, change)
    if not change.viewer.is_caller(alert):
        raise AccessDenied
    return alert, replayed


def take(session: Session, change: Change) -> tuple[Alert, View, bool]:
    """The alert, locked, and whether this request has changed it before: then it changes nothing again."""
    replayed = claim(session, change) is not None
    alert, view = require_view(change.viewer, store.find_alert(session, change.name, for_update=True))
    return alert, view, replayed


def claim(session: Session, change: Change, resource: str = "") -> str | None:
    """The name of what this request has changed or made before; None where it is new."""
    if not change.request_id:
        return None
    # A caller goes on by the alert's token alone when their own has expired.
    scope = change.viewer.token_hash.hex() or change.viewer.user
    return keys.claim(session, scope, change.request_id, change.request, resource or change.name)


def keep_clocks(session: Session, alert: Alert, router: Router) -> None:
    """Sets the alert's timers to what follows from it."""
    clocks = find_clocks(alert, router.find_policy)
    timers.replace(session, alert.name, [Timer(each.kind, alert.name, each.subject, each.due_time) for each in clocks])
