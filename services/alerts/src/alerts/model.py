"""An alert and its rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, MetaData, SmallInteger, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from alerts.errors import AlertClosed, AlreadyAcknowledged, NotAcknowledged, NotClaimant
from chassis.clock import UtcTime
from chassis.events import EventLog
from chassis.idempotency import RequestKeys

# A phone that was torn from its owner's hand may be cancelled and still be carried somewhere.
TRACKED_AFTER_CANCEL = timedelta(hours=2)
# The caller of a silent alert is not to learn from a refusal that it was closed.
SILENT_TRACKED = timedelta(days=7)
_TICK = timedelta(microseconds=1)


class Model(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, IntEnum: SmallInteger, dict[str, Any]: JSON, bytes: LargeBinary}  # noqa: RUF012  # SQLAlchemy's own form


log = EventLog(Model.metadata)
keys = RequestKeys(Model.metadata)


class Kind(IntEnum):
    """The contract's numbers, here and in the other enums."""

    VIOLENCE = 4


class State(IntEnum):
    RAISED = 1
    ACKNOWLEDGED = 2
    RESOLVED = 5
    CANCELLED = 6


class ContactPreference(IntEnum):
    DO_NOT_CONTACT = 3


class Routing(IntEnum):
    AREA = 1
    NEAREST = 2
    DEFAULT = 3


class CancelClaim(IntEnum):
    NONE = 0
    UNVERIFIED = 1


class Part(IntEnum):
    LEAD = 1


class ResponseState(IntEnum):
    REQUESTED = 1
    ACCEPTED = 2
    DONE = 5


class Audience(IntEnum):
    """Each sees its own events and those of the ones before it."""

    CALLER = 1
    CONTACT = 2
    RESPONDER = 3
    AGENCY = 4


class View(Enum):
    """How much of an alert somebody is shown."""

    CALLER = "caller"
    AGENCY = "agency"
    # That it exists, and no more.
    REDACTED = "redacted"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks: a signed-in user or nobody, for an agency or none, perhaps with an alert's token."""

    user: str
    agency: str
    supervises: bool
    token_hash: bytes

    def view(self, alert: "Alert") -> View | None:
        """None where the alert does not exist for this one."""
        if self.agency and any(each.agency == self.agency for each in alert.responses):
            held = any(each.claimant == self.user for each in alert.responses)
            return View.REDACTED if alert.restricted and not (held or self.supervises) else View.AGENCY
        return View.CALLER if self.is_caller(alert) else None

    def is_caller(self, alert: "Alert") -> bool:
        """Whoever answers for an agency may call for help, too."""
        if self.token_hash and self.token_hash == alert.token_hash:
            return True
        return bool(self.user) and self.user == alert.user and not alert.silent


class Response(Model):
    """One agency's part in an alert."""

    __tablename__ = "responses"

    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), primary_key=True)
    agency: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[int] = mapped_column(SmallInteger)
    # Whom the agency names as holding the alert, and the account that took it: a system acts for many.
    operator: Mapped[str] = mapped_column(default="")
    claimant: Mapped[str] = mapped_column(default="")
    request_time: Mapped[datetime]
    accept_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]

    __table_args__ = (Index("ix_responses_agency", "agency", "alert"),)


class Alert(Model):
    """`caller_…` is what the caller's side is shown, which never goes back."""

    __tablename__ = "alerts"

    name: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[int] = mapped_column(SmallInteger)
    caller_state: Mapped[int] = mapped_column(SmallInteger)
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
    restricted: Mapped[bool]
    drill: Mapped[bool]
    area: Mapped[str]
    routing: Mapped[int] = mapped_column(SmallInteger)
    agency: Mapped[str]
    cancel_claim: Mapped[int] = mapped_column(SmallInteger)
    outcome: Mapped[int] = mapped_column(SmallInteger)
    external_ids: Mapped[dict[str, Any]]
    token_hash: Mapped[bytes]
    create_time: Mapped[datetime]
    deliver_time: Mapped[datetime | None]
    acknowledge_time: Mapped[datetime | None]
    close_time: Mapped[datetime | None]
    cancel_time: Mapped[datetime | None]
    update_time: Mapped[datetime]
    revision: Mapped[int]
    caller_update_time: Mapped[datetime]
    caller_revision: Mapped[int]

    responses: Mapped[list[Response]] = relationship(order_by=Response.part, lazy="raise")

    __table_args__ = (
        Index("ix_alerts_user", "user", "name"),
        Index("ix_alerts_open", "name", sqlite_where=text("close_time IS NULL"), postgresql_where=text("close_time IS NULL")),
    )

    @property
    def caller_audience(self) -> Audience:
        """Of what the agency does: a silent alert's caller, or one who has called it off, is shown none of it."""
        return Audience.RESPONDER if self.silent or self.cancel_time else Audience.CALLER

    @property
    def lead(self) -> Response:
        return self.responses[0]

    def confirm_receipt(self, now: datetime) -> bool:
        """False where it was on a screen before."""
        if self.deliver_time:
            return False
        now = self._order(now)
        self.deliver_time = now
        self._changed(now, shown=self.caller_audience is Audience.CALLER)
        return True

    def acknowledge(self, operator: str, claimant: str, now: datetime) -> bool:
        """False where this one holds it already. Raises AlreadyAcknowledged and AlertClosed."""
        self._require_open()
        lead = self.lead
        if lead.claimant:
            if (lead.operator, lead.claimant) == (operator, claimant):
                return False
            raise AlreadyAcknowledged(operator=lead.operator, agency=lead.agency)
        now = self._order(now)
        lead.operator, lead.claimant, lead.state, lead.accept_time = operator, claimant, ResponseState.ACCEPTED, now
        self.state = State.ACKNOWLEDGED
        self.acknowledge_time = self.acknowledge_time or now
        # Whoever answers it has seen it.
        self.deliver_time = self.deliver_time or now
        shown = self.caller_audience is Audience.CALLER
        if shown:
            self.caller_state = State.ACKNOWLEDGED
        self._changed(now, shown=shown)
        return True

    def release(self, by: Viewer, now: datetime) -> None:
        """Raises NotAcknowledged, NotClaimant and AlertClosed."""
        self._require_open()
        self._require_claimant(by)
        lead = self.lead
        lead.operator, lead.claimant, lead.state, lead.accept_time = "", "", ResponseState.REQUESTED, None
        self.state = State.RAISED
        self._changed(self._order(now), shown=False)

    def resolve(self, outcome: int, by: Viewer, now: datetime) -> bool:
        """False where it was resolved so before. Raises NotAcknowledged, NotClaimant and AlertClosed."""
        self._require_claimant(by)
        if self.close_time and self.outcome == outcome:
            return False
        self._require_open()
        now = self._order(now)
        self.state, self.outcome, self.close_time = State.RESOLVED, outcome, now
        for each in self.responses:
            each.state, each.end_time = ResponseState.DONE, now
        shown = self.caller_audience is Audience.CALLER
        if shown:
            self.caller_state = State.RESOLVED
        self._changed(now, shown=shown)
        return True

    def cancel(self, now: datetime) -> bool:
        """For the caller's side alone; False where it was cancelled before. Raises AlertClosed."""
        if self.cancel_time:
            return False
        if self.caller_state == State.RESOLVED:
            raise AlertClosed
        now = self._order(now)
        self.caller_state, self.cancel_claim, self.cancel_time = State.CANCELLED, CancelClaim.UNVERIFIED, now
        self._changed(now, shown=True)
        return True

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

    def track(self, position: "Position", now: datetime) -> "Position | None":
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

    def tracked(self, now: datetime) -> None:
        self._changed(self._order(now), shown=True)

    def note_added(self, now: datetime) -> None:
        self._changed(self._order(now), shown=False)

    def _require_open(self) -> None:
        if self.close_time:
            raise AlertClosed

    def _require_claimant(self, by: Viewer) -> None:
        if not self.lead.claimant:
            raise NotAcknowledged
        if self.lead.claimant != by.user and not (by.supervises and by.agency == self.lead.agency):
            raise NotClaimant

    def _order(self, now: datetime) -> datetime:
        """A change is later than the one before it: it may have waited for its turn, or come by a clock that is behind."""
        return max(now, self.update_time + _TICK)

    def _changed(self, now: datetime, *, shown: bool) -> None:
        self.update_time = now
        self.revision += 1
        if shown:
            self.caller_update_time = now
            self.caller_revision += 1


class NewAlert:
    """The columns of an alert that was inserted, by attribute: an entity would be a fifth of what an SOS costs."""

    caller_audience = Alert.caller_audience

    def __init__(self, columns: dict[str, Any]) -> None:
        self.__dict__ = columns


class Position(Model):
    """A place of the caller other than the live one, which stands in the alert."""

    __tablename__ = "positions"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), index=True)
    latitude: Mapped[float]
    longitude: Mapped[float]
    accuracy_meters: Mapped[float | None]
    fix_time: Mapped[datetime]
    source: Mapped[int] = mapped_column(SmallInteger)
    receive_time: Mapped[datetime]


class Note(Model):
    """What somebody wrote in the timeline; the log says that it was written and never what."""

    __tablename__ = "notes"

    id: Mapped[str] = mapped_column(primary_key=True)
    alert: Mapped[str] = mapped_column(ForeignKey("alerts.name"), index=True)
    text: Mapped[str]
