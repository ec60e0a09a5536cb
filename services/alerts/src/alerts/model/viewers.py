"""Who asks, and how much of an alert they are shown."""

from dataclasses import dataclass

from alerts.model.alerts import Alert
from alerts.model.enums import Channel, View
from alerts.model.responses import Response
from alerts.model.units import Assignment


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in user or nobody, perhaps with an alert's token. `agency` is whose alerts they answer, `crew_of` whose
    units they may be of the crew of. A system's account acts for many: nobody stands behind it.
    """

    user: str
    agency: str
    supervises: bool
    token_hash: bytes
    crew_of: str = ""
    is_system: bool = False

    def view(self, alert: Alert) -> View | None:
        """None where the alert does not exist for this one; the most of what they are, where they are several. Of their own SOS
        they are the caller alone.
        """
        part = self._find_part(alert)
        if part and part.is_live and (not alert.restricted or self.supervises or part.claimant == self.user):
            return View.AGENCY
        if self._is_sent_to(alert):
            return View.CREW
        if part:
            return View.REDACTED
        return View.CALLER if self.is_caller(alert) else None

    def view_unasked(self, alert: Alert) -> View | None:
        """As view, where nobody says why they read: a restricted alert that is closed is not shown by the way."""
        view = self.view(alert)
        return View.REDACTED if view is View.AGENCY and alert.restricted and alert.close_time else view

    def answers(self, alert: Alert) -> bool:
        """Whether their agency has, or had, a part in it."""
        return self._find_part(alert) is not None

    def is_caller(self, alert: Alert) -> bool:
        """Whoever answers for an agency may call for help, too."""
        if self._holds_token(alert):
            return True
        return bool(self.user) and self.user == alert.user and not alert.silent and not alert.erase_time

    def has_raised(self, alert: Alert) -> bool:
        """Whether it is their own SOS: whoever made them call it off may look on, whatever else they are. Who writes down
        another's call, and whoever exercises, is in no danger.
        """
        mine = self._holds_token(alert) or (bool(self.user) and self.user == alert.user and not self.is_system)
        return mine and alert.channel == Channel.APP and not alert.drill

    def commands(self, assignment: Assignment) -> bool:
        """Whether this one may say how far the unit has come."""
        return assignment.agency == self.agency or (assignment.agency == self.crew_of and self.user in assignment.crew)

    def _find_part(self, alert: Alert) -> Response | None:
        """Whoever must not know of it has none, and nobody in their own SOS."""
        if not self.agency or self.agency == alert.conflict_agency or self.has_raised(alert):
            return None
        return alert.parts.find(self.agency)

    def _is_sent_to(self, alert: Alert) -> bool:
        return (
            bool(self.crew_of)
            and self.crew_of != alert.conflict_agency
            and not self.has_raised(alert)
            and any(each.is_active and each.agency == self.crew_of and self.user in each.crew for each in alert.assignments)
        )

    def _holds_token(self, alert: Alert) -> bool:
        return bool(self.token_hash) and self.token_hash == alert.token_hash
