"""What of an alert those are shown who may know no more than that it exists."""

from datetime import datetime

from sqlalchemy import inspect
from sqlalchemy.orm import Mapped, mapped_column

_SHOWN = ("state", "restricted", "area", "agency", "deliver_time", "acknowledge_time", "dispatch_time", "arrive_time", "close_time")


class Outline:
    """Its own time and revision: by those of the alert everybody could tell that somebody rang, wrote, or called it off."""

    # None where it is as it was raised.
    outline_update_time: Mapped[datetime | None]
    outline_revision: Mapped[int] = mapped_column(default=1)

    def count_outline(self, now: datetime) -> None:
        """Where anything of it has changed since it was loaded or written."""
        attributes = inspect(self, raiseerr=True).attrs
        if any(attributes[name].history.has_changes() for name in _SHOWN):
            self.outline_update_time, self.outline_revision = now, self.outline_revision + 1
