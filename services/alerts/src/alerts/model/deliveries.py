"""Events on their way to webhooks: which of them one is told of, what it is told, and when it is tried again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import JSON, BigInteger, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from alerts.model.alerts import Alert
from alerts.model.enums import Audience, Kind, WarningStatus
from alerts.model.responses import ends_part, tells_that_it_exists
from alerts.model.tables import Model
from alerts.model.warnings import PublicWarning
from chassis.events import Event

if TYPE_CHECKING:
    from alerts.model.webhooks import Webhook

_FIRST, _LONGEST = timedelta(seconds=2), timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(hours=24)
_ATTEMPTS_KEPT = 40
# Of the log's attributes: never who did it, nor what leads to anybody's words.
_TOLD = frozenset({"kind", "area", "cell", "agency", "incident", "units", "status", "state", "called", "number"})


class DeliveryState(IntEnum):
    PENDING = 1
    DELIVERED = 2
    GIVEN_UP = 3


class Result(IntEnum):
    """What came of an attempt."""

    TAKEN = 1
    STATUS = 2
    TIMED_OUT = 3
    UNREACHABLE = 4
    INSECURE = 5
    CUT_OFF = 6
    NO_ADDRESS = 7


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try. `status` is 0 without an answer; `retry_after` is how long the receiver wants to be spared."""

    time: datetime
    result: Result
    status: int = 0
    seconds: float = 0.0
    retry_after: timedelta | None = None


class About(NamedTuple):
    """What is told of every alert, as it is now."""

    drill: bool
    restricted: bool


class Cursor(Model):
    """How far a consumer has read the event log. It moves in the commit of what comes of the events."""

    __tablename__ = "cursors"

    consumer: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)


class Delivery(Model):
    """One event for one webhook. It holds what is told, so that it does not depend on how long the log is kept."""

    __tablename__ = "webhook_deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook: Mapped[str]
    # The event's in the log; a test has none.
    event: Mapped[int | None] = mapped_column(BigInteger)
    type: Mapped[str]
    subject: Mapped[str]
    data: Mapped[dict[str, Any]]
    traceparent: Mapped[str]
    event_time: Mapped[datetime]
    state: Mapped[int] = mapped_column(SmallInteger)
    attempts: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    # How many since it was last queued.
    tries: Mapped[int]
    due_time: Mapped[datetime | None]
    give_up_time: Mapped[datetime]
    create_time: Mapped[datetime]

    __table_args__ = (
        # One for each event and webhook, whoever reads the log how often.
        Index("ix_webhook_deliveries_event", "webhook", "event", unique=True),
        Index("ix_webhook_deliveries_webhook", "webhook", "id"),
        Index("ix_webhook_deliveries_subject", "subject"),
        Index(
            "ix_webhook_deliveries_due",
            "webhook",
            "due_time",
            "id",
            sqlite_where=text("due_time IS NOT NULL"),
            postgresql_where=text("due_time IS NOT NULL"),
        ),
    )

    @property
    def name(self) -> str:
        return f"{self.webhook}/deliveries/{self.id}"

    def queue(self, now: datetime) -> None:
        """To be sent, for the first time or again."""
        self.state, self.tries, self.due_time, self.give_up_time = DeliveryState.PENDING, 0, now, now + _GIVEN_UP_AFTER

    def redact(self, names: Collection[str]) -> None:
        """What was personal after all is told no more."""
        self.data = {name: value for name, value in self.data.items() if name not in names}

    def record(self, attempt: Attempt, now: datetime, jitter: float) -> None:
        """`jitter` is a random number from 0 to 1."""
        kept = {"time": attempt.time.isoformat(), "result": attempt.result, "status": attempt.status, "seconds": round(attempt.seconds, 3)}
        self.attempts = [*self.attempts, kept][-_ATTEMPTS_KEPT:]
        self.tries += 1
        if attempt.result is Result.TAKEN:
            self.state, self.due_time = DeliveryState.DELIVERED, None
            return
        due_time = now + max(back_off(self.tries - 1, _FIRST, _LONGEST, jitter), attempt.retry_after or timedelta(0))
        if due_time < self.give_up_time:
            self.due_time = due_time
        else:
            self.state, self.due_time = DeliveryState.GIVEN_UP, None


def make_delivery(id: str, webhook: str, event: Event, now: datetime) -> Delivery:  # noqa: A002
    """An event of the log for a webhook."""
    told = {name: value for name, value in event.attributes.items() if name in _TOLD}
    if "kind" in told:
        told["kind"] = Kind(told["kind"]).name if told["kind"] else "KIND_UNSPECIFIED"
    delivery = Delivery(
        id=id,
        webhook=webhook,
        event=event.id or None,
        type=event.type,
        subject=event.resource,
        data=told,
        traceparent=event.traceparent,
        event_time=event.create_time,
        attempts=[],
        create_time=now,
    )
    delivery.queue(now)
    return delivery


def tell(delivery: Delivery, about: About | None) -> Mapping[str, Any]:
    """The event's data. Of an alert that is restricted, has become so since, or was erased: that it exists, and no more."""
    if delivery.event is None:
        return {}
    if about is None:
        collection, _, _ = delivery.subject.partition("/")
        return {"warning": delivery.subject, **delivery.data} if collection == "warnings" else {"alert": delivery.subject}
    told = {"alert": delivery.subject, **about._asdict()}
    return told if about.restricted else told | delivery.data


def is_told(webhook: "Webhook", event: Event, subject: Alert | PublicWarning) -> bool:
    """Whether the webhook gets an event: a public warning's, or one of an alert in which its agency has a part, or had one when it
    happened, and that it has ended.
    """
    if event.id <= webhook.position or (webhook.events and event.type not in webhook.events):
        return False
    if isinstance(subject, PublicWarning):
        return event.audience == Audience.PUBLIC and (webhook.include_drills or subject.status == WarningStatus.ACTUAL)
    if subject.drill and not webhook.include_drills:
        return False
    alert, part = subject, subject.parts.find(webhook.agency)
    if part is None or webhook.agency == alert.conflict_agency:
        return False
    if alert.restricted and not tells_that_it_exists(event, webhook.agency, alert.state):
        return False
    return part.is_live or ends_part(event, webhook.agency) or (part.end_time is not None and event.create_time <= part.end_time)


def back_off(failures: int, first: timedelta, longest: timedelta, jitter: float) -> timedelta:
    """Exponential, half of it at random, so that what failed together does not come back together."""
    return min(first * 2 ** min(failures, 30), longest) * (0.5 + jitter / 2)
