"""A public warning and its rules."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import JSON, ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column, relationship

from alerts.errors import NotPending, SecondPersonRequired, WarningChanged, WarningClosed, WarningFull
from alerts.model.enums import Audience, MessageType, WarningState
from alerts.model.shapes import Circle, Corners, hold
from alerts.model.tables import Model
from chassis.errors import InvalidRequest

# How long a warning may be in force without a new message.
_LONGEST = timedelta(days=30)
# How many messages it may have beside the one that cancels it: each names all those before it.
_MOST_MESSAGES = 200
_TICK = timedelta(microseconds=1)
_IN_UPDATE = "warning.info.expireTime"


class Author(NamedTuple):
    """Who acts: the account, and the person whom an agency's system names; for a person both are the account."""

    user: str
    operator: str

    def may_be(self, user: str) -> bool:
        """Whether this is the same person; one who acts through a system is no second one."""
        return user in {self.user, self.operator}


class Sender(NamedTuple):
    """From whom a message comes, for machines and for people."""

    address: str
    name: str


class Info:
    """What is said: the columns of every table that keeps it."""

    categories: Mapped[list[int]] = mapped_column(JSON)
    response_types: Mapped[list[int]] = mapped_column(JSON)
    urgency: Mapped[int] = mapped_column(SmallInteger)
    severity: Mapped[int] = mapped_column(SmallInteger)
    certainty: Mapped[int] = mapped_column(SmallInteger)
    indonesian: Mapped[dict[str, Any]]
    # None where there is no translation.
    english: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    areas: Mapped[list[str]]
    polygons: Mapped[list[Corners]] = mapped_column(JSON)
    circles: Mapped[list[Circle]] = mapped_column(JSON)
    onset_time: Mapped[datetime | None]
    effective_time: Mapped[datetime | None]
    expire_time: Mapped[datetime]
    contact: Mapped[str]
    web: Mapped[str]
    # What follows from where it is: the areas that it reaches, whether it needs two persons, and the time that it is told by.
    reached: Mapped[list[str]]
    wide: Mapped[bool]
    time_zone: Mapped[str]


INFO = tuple(name for name in Info.__annotations__)


class Proposal(Info, Model):
    """An update that awaits the approval of a second person."""

    __tablename__ = "warning_proposals"

    warning: Mapped[str] = mapped_column(ForeignKey("warnings.name"), primary_key=True)
    user: Mapped[str]
    operator: Mapped[str]


class Message(Info, Model):
    """What was sent, as it was."""

    __tablename__ = "warning_messages"

    warning: Mapped[str] = mapped_column(ForeignKey("warnings.name"), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    type: Mapped[int] = mapped_column(SmallInteger)
    sender: Mapped[str]
    sender_name: Mapped[str]
    sent_time: Mapped[datetime]
    note: Mapped[str]
    # Of all messages up to this one: who sent them, when, in seconds of the Unix epoch, and their time zones.
    messages: Mapped[list[tuple[str, int, str]]] = mapped_column(JSON)


class Reached(Model):
    """An area that a warning reaches, to find it by."""

    __tablename__ = "warning_areas"

    area: Mapped[str] = mapped_column(primary_key=True)
    warning: Mapped[str] = mapped_column(ForeignKey("warnings.name"), primary_key=True, index=True)


class PublicWarning(Info, Model):
    """What is said now: by the latest message, or, before the first one, by what awaits approval."""

    __tablename__ = "warnings"

    name: Mapped[str] = mapped_column(primary_key=True)
    agency: Mapped[str]
    status: Mapped[int] = mapped_column(SmallInteger)
    # EXPIRED is never kept: it follows from the time.
    state: Mapped[int] = mapped_column(SmallInteger)
    # Who wrote what is said now, and who approved it.
    user: Mapped[str]
    operator: Mapped[str]
    approver: Mapped[str]
    # Of the latest message; 0 before the first one.
    number: Mapped[int] = mapped_column(SmallInteger)
    type: Mapped[int] = mapped_column(SmallInteger)
    sender: Mapped[str]
    sender_name: Mapped[str]
    sent_time: Mapped[datetime | None]
    note: Mapped[str]
    messages: Mapped[list[tuple[str, int, str]]] = mapped_column(JSON)
    # The box around the shapes, to find it by.
    south: Mapped[float | None]
    west: Mapped[float | None]
    north: Mapped[float | None]
    east: Mapped[float | None]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    revision: Mapped[int]

    proposal: Mapped[Proposal | None] = relationship(lazy="raise", cascade="all, delete-orphan")

    __table_args__ = (Index("ix_warnings_expire_time", "expire_time"), Index("ix_warnings_sent_time", "sent_time"))

    @property
    def etag(self) -> str:
        """For the agency; what others see changes with its messages alone."""
        return f'"{self.revision}"'

    @property
    def is_public(self) -> bool:
        return self.number > 0

    @property
    def audience(self) -> Audience:
        """Of what happens to it."""
        return Audience.PUBLIC if self.is_public else Audience.AGENCY

    def find_state(self, now: datetime) -> WarningState:
        if self.state != WarningState.CANCELLED and self.expire_time <= now:
            return WarningState.EXPIRED
        return WarningState(self.state)

    def is_in_force(self, now: datetime) -> bool:
        return self.find_state(now) in {WarningState.ISSUED, WarningState.UPDATED}

    def reaches(self, areas: Collection[str]) -> bool:
        return not set(areas).isdisjoint(self.reached)

    def holds(self, latitude: float, longitude: float, areas: Collection[str]) -> bool:
        """Whether it holds at the place, which is in these areas."""
        return not set(areas).isdisjoint(self.areas) or hold(self.polygons, self.circles, latitude, longitude)

    def issue(self, sender: Sender, now: datetime) -> bool:
        """A new one is sent, unless it needs a second person: False. Raises InvalidRequest."""
        _require_times(self, now, "info.expireTime")
        return self._send_unless_wide(sender, now)

    def update(self, values: Mapping[str, Any], etag: str, by: Author, sender: Sender, now: datetime) -> bool:
        """`values` are columns. False where it needs a second person. Raises WarningClosed, WarningChanged, WarningFull and
        InvalidRequest.
        """
        self._require_open(etag, now)
        info = {column: getattr(self, column) for column in INFO} | dict(values)
        self.proposal = None
        if not self.is_public:
            self._say(info, by, "")
            _require_times(self, now, _IN_UPDATE)
            return self._send_unless_wide(sender, now)
        self._require_room()
        proposal = Proposal(warning=self.name, user=by.user, operator=by.operator, **info)
        _require_times(proposal, now, _IN_UPDATE)
        if proposal.wide:
            self.proposal = proposal
            self._changed(now)
            return False
        self._say(info, by, "")
        self._send(MessageType.UPDATE, sender, now)
        return True

    def approve(self, user: str, etag: str, sender: Sender, now: datetime) -> None:
        """Raises WarningClosed, NotPending, WarningChanged, SecondPersonRequired and WarningFull."""
        if self.is_public and self.proposal is None:
            raise NotPending
        self._require_open(etag, now)
        proposal = self.proposal
        author = Author(proposal.user, proposal.operator) if proposal else Author(self.user, self.operator)
        if author.may_be(user):
            raise SecondPersonRequired
        if proposal is None:
            self.approver = user
            self._send(MessageType.ALERT, sender, now)
            return
        if proposal.expire_time <= now:
            raise WarningClosed
        self._require_room()
        self._say({column: getattr(proposal, column) for column in INFO}, author, user)
        self._send(MessageType.UPDATE, sender, now)

    def cancel(self, note: str, etag: str, sender: Sender, now: datetime) -> bool:
        """False where it was cancelled before. Raises WarningClosed and WarningChanged."""
        if self.state == WarningState.CANCELLED:
            return False
        self._require_open(etag, now)
        if self.is_public:
            self._send(MessageType.CANCEL, sender, now, note)
        else:
            self.state = WarningState.CANCELLED
            self._changed(now)
        return True

    def withdraw_update(self, etag: str, now: datetime) -> None:
        """Raises NotPending, WarningClosed and WarningChanged."""
        if self.proposal is None:
            raise NotPending
        self._require_open(etag, now)
        self.proposal = None
        self._changed(now)

    def copy_message(self) -> Message:
        """What was sent last, to be kept."""
        same = (*INFO, "number", "type", "sender", "sender_name", "sent_time", "note", "messages")
        return Message(warning=self.name, **{column: getattr(self, column) for column in same})

    def _require_open(self, etag: str, now: datetime) -> None:
        if self.find_state(now) in {WarningState.CANCELLED, WarningState.EXPIRED}:
            raise WarningClosed
        if etag and etag != self.etag:
            raise WarningChanged

    def _require_room(self) -> None:
        if self.number >= _MOST_MESSAGES:
            raise WarningFull

    def _say(self, info: Mapping[str, Any], by: Author, approver: str) -> None:
        for column, value in info.items():
            setattr(self, column, value)
        self.user, self.operator, self.approver = by.user, by.operator, approver

    def _send_unless_wide(self, sender: Sender, now: datetime) -> bool:
        if self.wide:
            self._changed(now)
            return False
        self._send(MessageType.ALERT, sender, now)
        return True

    def _send(self, type: MessageType, sender: Sender, now: datetime, note: str = "") -> None:  # noqa: A002  # the contract's word
        # CAP knows no fractions of seconds, and no message was sent before the one that it takes the place of.
        second = now.replace(microsecond=0)
        self.sent_time = sent_time = max(second, self.sent_time or second)
        self.number, self.type, self.note = self.number + 1, type, note
        self.sender, self.sender_name = sender
        self.messages = [*self.messages, (self.sender, int(sent_time.timestamp()), self.time_zone)]
        self.state = _STATES[type]
        self.proposal = None
        self._changed(now)

    def _changed(self, now: datetime) -> None:
        self.update_time = max(now, self.update_time + _TICK) if self.revision else now
        self.revision += 1


_STATES = {
    MessageType.ALERT: WarningState.ISSUED,
    MessageType.UPDATE: WarningState.UPDATED,
    MessageType.CANCEL: WarningState.CANCELLED,
}


def _require_times(info: Info, now: datetime, field: str) -> None:
    """Raises InvalidRequest."""
    begins = [time for time in (info.onset_time, info.effective_time) if time]
    wrong = ""
    if info.expire_time <= now:
        wrong = "must be in the future"
    elif info.expire_time > now + _LONGEST:
        wrong = f"must be within {_LONGEST.days} days"
    elif any(time >= info.expire_time for time in begins):
        wrong = "must be after the other times"
    if wrong:
        raise InvalidRequest(fields=[(field, wrong)])
