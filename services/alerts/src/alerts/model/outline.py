"""What of an alert those are shown who may know no more than that it exists."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import inspect
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.enums import Part, ResponseState
from alerts.model.responses import Response
from alerts.model.tables import Model
from alerts.model.units import Assignment

_SHOWN = ("state", "restricted", "area", "agency", "deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time")


class Outline:
    """Its own time and revision: by those of the alert everybody could tell that somebody rang, wrote, or called it off."""

    # None and 0 in rows of before there were any: then the alert's own count.
    outline_update_time: Mapped[datetime | None]
    outline_revision: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int]
    restricted: Mapped[bool]

    def count_outline(self, responses: Iterable[Response], assignments: Iterable[Assignment], now: datetime) -> None:
        """Where anything of it has changed since it was loaded or written, or who is shown no more than it: what they were shown before is
        older.
        """
        if (
            _changes(self, *_SHOWN)
            or any(self._is_shown(each) for each in responses if inspect(each).persistent)
            or any(_changes(each, "crew") or (_changes(each, "status") and not each.is_active) for each in assignments)
        ):
            self.outline_update_time, self.outline_revision = now, (self.outline_revision or self.revision - 1) + 1

    def _is_shown(self, response: Response) -> bool:
        """Whether a part has changed for whoever is shown no more than the outline, or who is so from now on. What another agency answers
        is not: those of the room would learn when.
        """
        if response.part == Part.LEAD:
            return _changes(response, "state", "claimant")
        refused = not self.restricted and response.state == ResponseState.REJECTED and _changes(response, "state")
        return refused or any(inspect(response, raiseerr=True).attrs.claimant.history.deleted)

    @property
    def outline_changed(self) -> bool:
        """Whether its outline was counted since it was loaded or written."""
        return _changes(self, "outline_revision")


def _changes(entity: Outline | Model, *columns: str) -> bool:
    attributes = inspect(entity, raiseerr=True).attrs
    return any(attributes[each].history.has_changes() for each in columns)
