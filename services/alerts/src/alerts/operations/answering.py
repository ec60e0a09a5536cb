"""What is done for all alerts of an emergency at once."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import AgencyInConflict, AlertClosed, AlertNotFound, CallerIsStaff, IncidentNotFound, NotClaimant
from alerts.model.alerts import Alert
from alerts.model.enums import ContactPreference, Outcome, Sender, View
from alerts.model.incidents import Incident, IncidentState, leave, rest_with
from alerts.model.tables import keys
from alerts.model.timeline import Message
from alerts.model.viewers import Viewer
from alerts.operations.alerts import acknowledge_alert, end_alert, lock_ending, resolve_alert
from alerts.operations.changes import Change, keep_clocks, require_answering, require_content
from alerts.operations.dispatch import dispatch_alert
from alerts.operations.incidents import carry_on, find_bound, form_incident, join_incident
from alerts.store import alerts as alert_store
from alerts.store import incidents as store
from chassis.clock import new_uuid


def acknowledge_incident(session: Session, change: Change) -> Incident:
    incident, replayed = _take(session, change)
    if not replayed:
        acknowledge_alert(session, _of_lead(change, incident))
    return incident


def dispatch_incident(session: Session, change: Change, names: Sequence[str], *, accept_old_positions: bool) -> Incident:
    incident, replayed = _take(session, change)
    if not replayed:
        dispatch_alert(session, _of_lead(change, incident), names, accept_old_positions=accept_old_positions)
    return incident


def message_incident(session: Session, change: Change, text: str) -> int:
    """How many callers it reaches; those who must not be contacted are left out."""
    incident = store.find_incident(session, change.name, for_update=True)
    contacted = [
        each
        for each in (_find_resting(session, incident) if incident else ())
        if not each.cancel_time and each.contact_preference != ContactPreference.DO_NOT_CONTACT
    ]
    # Whoever repeats the request has to learn whom it reached then, though the incident may be another agency's by now.
    if earlier := _claim(session, change, f"{change.name}/callers/{len(contacted)}"):
        return int(earlier.rpartition("/")[2])
    incident = _require_open(require_incident(session, change.viewer, incident))
    lead, _ = require_content(change.viewer, require_answering(change.viewer, alert_store.find_alert(session, incident.lead)))
    lead.require_open()
    lead.parts.require_holder(change.viewer)
    for alert in contacted:
        message = Message(
            id=new_uuid(), alert=alert.name, sender=Sender.AGENCY, operator=change.operator, text=text, create_time=change.now
        )
        alert_store.add_message(session, message)
        alert.touch(change.now, shown=True)
        events.message_sent(session, alert, change.operator)
    return len(contacted)


def resolve_incident(session: Session, change: Change, outcome: int) -> Incident:
    """The lead with its outcome, those that rest with it as its duplicates. What is left open stands for itself alone: whoever says
    it once more closes none of those.
    """
    incident, replayed = _take(session, change)
    if replayed or incident.outcome == outcome:
        return incident
    members = [] if incident.outcome else _find_resting(session, incident)
    if not members:
        raise AlertClosed
    lead, *others = members
    lead.parts.require_lead(change.viewer)
    lock_ending(session, members)
    for alert in others:
        at_work = alert.at_work
        alert.resolve(Outcome.DUPLICATE, change.viewer, change.now)
        end_alert(session, alert, at_work)
        events.alert_resolved(session, alert, change.operator)
        keep_clocks(session, alert, change.router)
    resolve_alert(session, _of_lead(change, incident), outcome)
    incident.outcome = outcome
    return incident


def merge_alerts(session: Session, change: Change, names: Sequence[str]) -> Incident:
    """Raises AlertNotFound, NotClaimant, AgencyInConflict, CallerIsStaff, AlertClosed and DrillMismatch for one of them."""
    if not any(change.viewer.view(each) for name in names if (each := alert_store.find_alert(session, name))):
        # Whoever has no part in any of them makes nobody wait.
        raise AlertNotFound
    store.lock_grouping(session)
    found = [_require(alert_store.find_alert(session, name, fresh=True)) for name in names]
    kept = next((each.incident for each in found if each.incident), "")
    change = replace(change, name=kept or f"incidents/{new_uuid()}")
    if earlier := _claim(session, change):
        return _find(session, earlier, change.viewer)
    belonged = [store.find_incident(session, name, for_update=True) for name in sorted({each.incident for each in found if each.incident})]
    heirs = {each.heir for each in belonged if each and each.name != kept}
    incident = store.find_incident(session, kept) if kept else None
    bound = find_bound(session, [each for each in found if each.incident != kept])
    # What goes along by itself may be kept from whoever names the other one.
    alerts = [
        _lock_answered(session, change.viewer, name, redacted=name not in names) for name in sorted({*names, *chain.from_iterable(bound)})
    ]
    for alert in alerts:
        _require_mergeable(change.viewer, alert)
    held_by = {alert.name: alert.parts.lead.claimant for alert in alerts}
    former = {alert.incident for alert in alerts if alert.incident and alert.incident != kept}
    for alert in (each for each in alerts if each.name in heirs):
        # It comes as the one that would lead.
        rest_with(alert, "", change.now)
        keep_clocks(session, alert, change.router)
    incident = incident or form_incident(session, change.name, alerts[0], change.now)
    join_incident(session, incident, alerts, change.router, change.now, change.operator)
    if not change.viewer.supervises and any(
        held_by[alert.name] not in {"", change.viewer.user, alert.parts.lead.claimant} for alert in alerts
    ):
        # What a colleague holds would come to another one.
        raise NotClaimant
    for name in former:
        if left := store.find_incident(session, name, for_update=True):
            carry_on(session, left, change.router, change.now)
    return incident


def unmerge_alert(session: Session, change: Change, name: str) -> Incident:
    incident, replayed = _take(session, change)
    if not replayed:
        found = alert_store.find_alert(session, name)
        if found is None or found.incident != incident.name:
            # Another incident's is not locked after this one.
            raise AlertNotFound
        alert = _lock_answered(session, change.viewer, name)
        _require_leading(change.viewer, alert)
        leave(alert, change.now)
        events.alert_unmerged(session, alert, change.operator, incident.name)
        keep_clocks(session, alert, change.router)
        carry_on(session, incident, change.router, change.now)
    return incident


def require_incident(session: Session, viewer: Viewer, incident: Incident | None) -> Incident:
    """Raises IncidentNotFound, alike for what is absent and what is another agency's."""
    if incident is None:
        raise IncidentNotFound
    if incident.agency != viewer.agency:
        lead = alert_store.find_alert(session, incident.lead)
        if lead is None or viewer.view(lead) is not View.AGENCY:
            raise IncidentNotFound
    return incident


def _lock_answered(session: Session, viewer: Viewer, name: str, *, redacted: bool = False) -> Alert:
    """As an agency that has a part in it sees it, its caller's side not: that one puts nothing together. `redacted` allows that the
    viewer is shown no more than that it exists.
    """
    alert = require_answering(viewer, alert_store.find_alert(session, name, for_update=True))
    return alert if redacted else require_content(viewer, alert)[0]


def _require_mergeable(viewer: Viewer, alert: Alert) -> None:
    _require_leading(viewer, alert)
    if alert.conflict_agency:
        # Whichever agency comes to lead the incident, or to help, is shown the names of all of its alerts.
        raise AgencyInConflict(alert=alert.name)
    if alert.by_staff:
        raise CallerIsStaff(alert=alert.name)
    alert.require_open()


def _require_leading(viewer: Viewer, alert: Alert) -> None:
    """Whoever only helps does not say what an alert belongs to: its clocks may rest with another one's."""
    if alert.agency != viewer.agency:
        raise NotClaimant


def _of_lead(change: Change, incident: Incident) -> Change:
    """The same, asked of the alert that stands for the others; the request was taken note of for the incident. Raises AlertClosed."""
    return replace(change, name=_require_open(incident).lead, request_id="")


def _require_open(incident: Incident) -> Incident:
    """Raises AlertClosed where nobody is left: whoever led last may belong to another incident by now."""
    if incident.state == IncidentState.CLOSED:
        raise AlertClosed
    return incident


def _find_resting(session: Session, incident: Incident) -> Sequence[Alert]:
    """The lead first, then those for whom it stands; locked."""
    members = store.lock_open_members(session, incident.name)
    return sorted((each for each in members if incident.lead in {each.name, each.merged_into}), key=lambda each: each.name != incident.lead)


def _take(session: Session, change: Change) -> tuple[Incident, bool]:
    replayed = _claim(session, change) is not None
    return _find(session, change.name, change.viewer, for_update=True), replayed


def _claim(session: Session, change: Change, resource: str = "") -> str | None:
    if not change.request_id:
        return None
    return keys.claim(session, f"incident\0{change.viewer.user}", change.request_id, change.request, resource or change.name)


def _find(session: Session, name: str, viewer: Viewer, *, for_update: bool = False) -> Incident:
    return require_incident(session, viewer, store.find_incident(session, name, for_update=for_update))


def _require(alert: Alert | None) -> Alert:
    if alert is None:
        raise AlertNotFound
    return alert
