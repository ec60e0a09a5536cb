"""What a caller said: who they are, where they are, where help is needed."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.errors import AlertClosed
from alerts.model.enums import Audience, State, View
from alerts.model.timeline import Position

# A phone that was torn from its owner's hand may be cancelled and still be carried somewhere.
TRACKED_AFTER_CANCEL = timedelta(hours=2)
# The caller of a silent alert is not to learn from a refusal that it was closed.
SILENT_TRACKED = timedelta(days=7)
# A clock that is ahead would keep every later position from moving the alert.
AHEAD = timedelta(seconds=5)

_IMPERSONAL = frozenset({"kind", "area", "routing", "agency", "restricted", "contact_preference"})


class Call:
    """The part of an alert that comes from its caller, and what the caller's side is shown of it."""

    name: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[int] = mapped_column(SmallInteger)
    channel: Mapped[int] = mapped_column(SmallInteger)
    user: Mapped[str]
    display_name: Mapped[str]
    callback_phone: Mapped[str]
    contact_preference: Mapped[int] = mapped_column(SmallInteger)
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    accuracy_meters: Mapped[float | None]
    fix_time: Mapped[datetime | None]
    location_source: Mapped[int] = mapped_column(SmallInteger)
    target_latitude: Mapped[float | None]
    target_longitude: Mapped[float | None]
    target_address: Mapped[str]
    note: Mapped[str]
    silent: Mapped[bool]
    external_ids: Mapped[dict[str, Any]]
    create_time: Mapped[datetime]
    close_time: Mapped[datetime | None]
    cancel_time: Mapped[datetime | None]
    cancel_claim: Mapped[int] = mapped_column(SmallInteger)
    # Since when the caller wants nothing kept of them; gone where the agency needs it no more.
    erase_time: Mapped[datetime | None]
    # An agency that must not know of it.
    conflict_agency: Mapped[str] = mapped_column(default="")
    # Its caller raised it in the app and answers for an agency themselves.
    by_staff: Mapped[bool] = mapped_column(default=False)
    # Of an exercise that is for one agency alone; empty for every other alert.
    drill_agency: Mapped[str] = mapped_column(default="")
    # What the caller's side is shown never goes back.
    caller_state: Mapped[int] = mapped_column(SmallInteger)
    caller_update_time: Mapped[datetime]
    caller_revision: Mapped[int]
    # What they were shown last of columns that have changed since they are shown no change.
    withheld: Mapped[dict[str, Any]]

    @property
    def caller_audience(self) -> Audience:
        """Of what the agency does: a silent alert's caller, or one who has called it off, is shown none of it."""
        return Audience.RESPONDER if self.silent or self.cancel_time else Audience.CALLER

    @property
    def place(self) -> tuple[float, float] | None:
        """Where help is needed, as (latitude, longitude)."""
        if self.target_latitude is not None and self.target_longitude is not None:
            return self.target_latitude, self.target_longitude
        return (self.latitude, self.longitude) if self.latitude is not None and self.longitude is not None else None

    @property
    def is_erased(self) -> bool:
        """Whether what its caller said is gone, and nothing of the kind is kept any more."""
        return self.erase_time is not None and self.close_time is not None

    def require_kept(self) -> None:
        """Raises AlertClosed where nothing that is written of its caller is kept any more."""
        if self.is_erased:
            raise AlertClosed

    def is_erased_for(self, view: View) -> bool:
        """The caller's side is shown nothing that they wanted erased, whether or not it is gone by now."""
        return view is View.CALLER and self.erase_time is not None

    def find_shown(self, column: str) -> Any:  # noqa: ANN401  # of any column
        """What the caller's side is shown of it."""
        return self.withheld.get(column, getattr(self, column))

    def change(self, column: str, value: object) -> None:
        """By the agency's side."""
        if self.caller_audience is not Audience.CALLER:
            self.withheld = {column: getattr(self, column), **self.withheld}
        setattr(self, column, value)

    def require_trackable(self, now: datetime) -> None:
        """Raises AlertClosed, and no sooner for what the agency did after a cancel."""
        if self.cancel_time:
            closed = now > self.cancel_time + TRACKED_AFTER_CANCEL
        elif self.silent:
            closed = now > self.create_time + SILENT_TRACKED
        else:
            closed = self.caller_state == State.RESOLVED
        if closed:
            raise AlertClosed

    def track(self, position: Position, now: datetime) -> Position | None:
        """Moves the alert to a newer position; returns the one that is not, or no longer, the live one."""
        if self.fix_time and self.fix_time >= position.fix_time:
            return position
        replaced = None
        if self.latitude is not None and self.longitude is not None and self.fix_time:
            replaced = Position(
                alert=self.name,
                latitude=self.latitude,
                longitude=self.longitude,
                accuracy_meters=self.accuracy_meters,
                fix_time=self.fix_time,
                source=self.location_source,
                receive_time=now,
            )
        self.latitude, self.longitude, self.accuracy_meters = position.latitude, position.longitude, position.accuracy_meters
        self.fix_time, self.location_source = position.fix_time, position.source
        return replaced

    def wipe(self) -> bool:
        """What its caller wanted erased, of an alert that is closed; False where there is nothing to erase."""
        if not self.is_erased:
            return False
        self.user = self.display_name = self.callback_phone = self.target_address = self.note = ""
        self.latitude = self.longitude = self.accuracy_meters = self.fix_time = self.target_latitude = self.target_longitude = None
        self.external_ids = {}
        self.withheld = {column: value for column, value in self.withheld.items() if column in _IMPERSONAL}
        return True


class NewAlert:
    """The columns of an alert that was inserted, by attribute: an entity would be a fifth of what an SOS costs."""

    caller_audience = Call.caller_audience
    find_shown = Call.find_shown
    is_erased_for = Call.is_erased_for

    def __init__(self, columns: dict[str, Any]) -> None:
        self.__dict__ = columns
