"""Where agencies' systems are told of events, what signs these, and how a webhook that fails is spared."""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from alerts.errors import WebhookChanged, WebhookDisabled
from alerts.model.deliveries import Attempt, Result, back_off
from alerts.model.sealing import seal, unseal
from alerts.model.tables import Model

# As many as the scheme's own libraries make.
_SECRET_BYTES = 32
_OVERLAP = timedelta(hours=24)
# Of a webhook that fails this often in a row one delivery at a time is tried, and then none for a while.
_BREAKER_FAILURES = 5
_BREAKER_FIRST, _BREAKER_LONGEST = timedelta(seconds=30), timedelta(minutes=5)
_AT_ONCE = 8
_FAILING = timedelta(days=5)
# Longer than one round of sending takes, also in a flood, and the write after it.
_LEASE = timedelta(seconds=60)
_GONE = 410
_TICK = timedelta(microseconds=1)

EVENT_TYPES = frozenset(
    {
        "AgencyAccepted",
        "AgencyRejected",
        "AgencyRequested",
        "AlertAcknowledged",
        "AlertAssessed",
        "AlertAssigned",
        "AlertCancelled",
        "AlertDelivered",
        "AlertDispatched",
        "AlertErased",
        "AlertEscalated",
        "AlertHandedOver",
        "AlertMerged",
        "AlertOverdue",
        "AlertRaised",
        "AlertRead",
        "AlertReleased",
        "AlertReopened",
        "AlertResolved",
        "AlertRouted",
        "AlertTracked",
        "AlertUnmerged",
        "AlertUpdated",
        "AssignmentUpdated",
        "CancelClaimed",
        "ContactRecorded",
        "CrewChanged",
        "MaydayRaised",
        "MessageSent",
        "NoteAdded",
        "RollCallDue",
        "RollCallMissed",
        "WarningCancelled",
        "WarningExpired",
        "WarningIssued",
        "WarningUpdated",
    }
)


class WebhookState(IntEnum):
    ENABLED = 1
    DISABLED = 2


class DisableReason(IntEnum):
    NONE = 0
    REQUESTED = 1
    GONE = 2
    FAILING = 3


class Webhook(Model):
    """An endpoint of an agency's system. What its health is, and who sends to it, has no part in its version."""

    __tablename__ = "webhooks"

    name: Mapped[str] = mapped_column(primary_key=True)
    agency: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]]
    include_drills: Mapped[bool]
    description: Mapped[str]
    state: Mapped[int] = mapped_column(SmallInteger)
    disable_reason: Mapped[int] = mapped_column(SmallInteger, default=DisableReason.NONE)
    # The log's position when it was made or enabled: it is told of what comes after.
    position: Mapped[int] = mapped_column(BigInteger)
    # How many attempts in a row have failed, since when, and until when none is made.
    failures: Mapped[int] = mapped_column(default=0)
    fail_time: Mapped[datetime | None]
    blocked_until: Mapped[datetime | None]
    # The process that sends to it, and for how long no other one does.
    sender: Mapped[str] = mapped_column(default="")
    sender_until: Mapped[datetime | None]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    # Removed, but for deliveries that are yet to be swept.
    delete_time: Mapped[datetime | None]

    __table_args__ = (Index("ix_webhooks_agency", "agency", "name"),)

    @property
    def etag(self) -> str:
        return f'"{self.update_time.timestamp() * 1e6:.0f}"'

    @property
    def at_once(self) -> int:
        """How many deliveries may be under way at a time."""
        return 1 if self.failures >= _BREAKER_FAILURES else _AT_ONCE

    def require_etag(self, etag: str) -> None:
        """Raises WebhookChanged; an empty one is anybody's."""
        if etag and etag != self.etag:
            raise WebhookChanged

    def find_next_attempt(self, due_time: datetime) -> datetime | None:
        """Of a delivery that is due then, at the earliest; None as long as the webhook is disabled."""
        if self.state != WebhookState.ENABLED:
            return None
        return max(due_time, self.blocked_until or due_time)

    def require_enabled(self) -> None:
        """Raises WebhookDisabled."""
        if self.state != WebhookState.ENABLED:
            raise WebhookDisabled

    def update(self, values: Mapping[str, Any], position: int, now: datetime) -> None:
        """`values` are columns, `position` the log's newest."""
        for column, value in values.items():
            if column != "state":
                setattr(self, column, value)
        state = values.get("state", self.state)
        if state == WebhookState.DISABLED:
            self.disable(DisableReason.REQUESTED)
        elif self.state == WebhookState.DISABLED:
            self.state, self.disable_reason, self.position = WebhookState.ENABLED, DisableReason.NONE, position
        if "url" in values or "state" in values:
            self.trust()
        self.renew(now)

    def disable(self, reason: DisableReason) -> None:
        if self.state == WebhookState.ENABLED:
            self.state, self.disable_reason = WebhookState.DISABLED, reason

    def trust(self) -> None:
        """As if it had never failed."""
        self.failures, self.fail_time, self.blocked_until = 0, None, None

    def renew(self, now: datetime) -> None:
        self.update_time = max(now, self.update_time + _TICK)

    def lease(self, sender: str, now: datetime) -> bool:
        """False where another process sends to it."""
        if self.sender != sender and self.sender_until and self.sender_until > now:
            return False
        self.sender, self.sender_until = sender, now + _LEASE
        return True

    def release(self) -> None:
        self.sender, self.sender_until = "", None

    def may_send(self, now: datetime) -> bool:
        return self.state == WebhookState.ENABLED and not (self.blocked_until and self.blocked_until > now)

    def record(self, attempt: Attempt, now: datetime, jitter: float) -> bool:
        """True where it takes deliveries again after it was spared."""
        if attempt.result is Result.TAKEN:
            spared = self.failures >= _BREAKER_FAILURES
            self.trust()
            return spared
        self.failures += 1
        self.fail_time = since = self.fail_time or attempt.time
        pauses = [attempt.retry_after] if attempt.retry_after else []
        if self.failures >= _BREAKER_FAILURES:
            pauses.append(back_off(self.failures - _BREAKER_FAILURES, _BREAKER_FIRST, _BREAKER_LONGEST, jitter))
        if pauses:
            self.blocked_until = now + max(pauses)
        if attempt.status == _GONE or now - since >= _FAILING:
            self.disable(DisableReason.GONE if attempt.status == _GONE else DisableReason.FAILING)
            self.renew(now)
        return False


class WebhookSecret(Model):
    """What a webhook's events are signed with: the newest, and those before it through their overlap."""

    __tablename__ = "webhook_secrets"

    id: Mapped[str] = mapped_column(primary_key=True)
    webhook: Mapped[str] = mapped_column(ForeignKey("webhooks.name"), index=True)
    sealed: Mapped[bytes]
    # Of one that was replaced.
    expire_time: Mapped[datetime | None]

    @classmethod
    def make(cls, id: str, webhook: str) -> "WebhookSecret":  # noqa: A002
        secret = cls(id=id, webhook=webhook)
        secret.sealed = seal(secrets.token_bytes(_SECRET_BYTES), secret._place)
        return secret

    @property
    def key(self) -> bytes:
        return unseal(self.sealed, self._place)

    @property
    def text(self) -> str:
        """As its owner is shown it."""
        return f"whsec_{base64.b64encode(self.key).decode()}"

    def replace(self, now: datetime) -> None:
        self.expire_time = self.expire_time or now + _OVERLAP

    @property
    def _place(self) -> str:
        return f"webhook_secrets.sealed\0{self.webhook}\0{self.id}"
