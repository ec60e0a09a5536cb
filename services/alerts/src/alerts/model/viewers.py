"""Who asks, and how much of an alert they are shown."""

from dataclasses import dataclass

from alerts.model.alerts import Alert
from alerts.model.enums import View
from alerts.model.responses import Response
from alerts.model.units import Assignment


@dataclass(frozen=True, slots=True)
class Viewer:
    """A signed-in user or nobody, perhaps with an alert's token. `agency` is whose alerts they answer, `crew_of` whose
    units they may be of the crew of.
    """

    user: str
    agency: str
    supervises: bool
    token_hash: bytes
    crew_of: str = ""

    def view(self, alert: Alert) -> View | None:
        """None where the alert does not exist for this one; the most of what they are, where they are several."""
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
        if self.token_hash and self.token_hash == alert.token_hash:
            return True
        return bool(self.user) and self.user == alert.user and not alert.silent and not alert.erase_time

    def commands(self, assignment: Assignment) -> bool:
        """Whether this one may say how far the unit has come."""
        return assignment.agency == self.agency or (assignment.agency == self.crew_of and self.user in assignment.crew)

    def _find_part(self, alert: Alert) -> Response | None:
        """Whoever must not know of it has none."""
        return alert.parts.find(self.agency) if self.agency and self.agency != alert.conflict_agency else None

    def _is_sent_to(self, alert: Alert) -> bool:
        return (
            bool(self.crew_of)
            and self.crew_of != alert.conflict_agency
            and any(each.is_active and each.agency == self.crew_of and self.user in each.crew for each in alert.assignments)
        )
