"""What changes public warnings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from alerts import events
from alerts.errors import NotIssuer, WarningNotFound
from alerts.model.enums import WarningState
from alerts.model.tables import keys, timers
from alerts.model.viewers import Viewer
from alerts.model.warnings import Author, PublicWarning, Sender
from alerts.store import warnings as store
from chassis.timers import Timer

# Its time has passed, for whoever watches: whether a warning is in force is decided wherever that is asked.
EXPIRE = "expire"


@dataclass(frozen=True, slots=True)
class WarningChange:
    """A request to change a warning. `operator` is whom the viewer names as the person who acts."""

    name: str
    request_id: str
    request: Message
    viewer: Viewer
    operator: str
    sender: Sender
    now: datetime

    @property
    def author(self) -> Author:
        return Author(self.viewer.user, self.operator)


def issue_warning(session: Session, change: WarningChange, status: int, info: Mapping[str, Any]) -> PublicWarning:
    """A new one, or the one that this request made; `info` are its columns. Raises InvalidRequest."""
    if earlier := _claim(session, change):
        return require_own(change.viewer, store.find_warning(session, earlier))
    warning = PublicWarning(
        name=change.name,
        agency=change.viewer.agency,
        status=status,
        state=WarningState.PENDING,
        user=change.author.user,
        operator=change.author.operator,
        approver="",
        number=0,
        type=0,
        sender="",
        sender_name="",
        note="",
        messages=[],
        create_time=change.now,
        update_time=change.now,
        revision=0,
        proposal=None,
        **info,
    )
    sent = warning.issue(change.sender, change.now)
    store.add_warning(session, warning)
    _record(session, warning, change, sent=sent)
    return warning


def update_warning(session: Session, change: WarningChange, values: Mapping[str, Any], etag: str) -> PublicWarning:
    """`values` are columns."""
    warning, replayed = _take(session, change)
    if not replayed:
        sent = warning.update(values, etag, change.author, change.sender, change.now)
        if sent or not warning.is_public:
            store.keep_place(session, warning)
        _record(session, warning, change, sent=sent)
    return warning


def approve_warning(session: Session, change: WarningChange, etag: str) -> PublicWarning:
    warning, replayed = _take(session, change)
    if not replayed:
        warning.approve(change.viewer.user, etag, change.sender, change.now)
        store.keep_place(session, warning)
        _record(session, warning, change, sent=True)
    return warning


def cancel_warning(session: Session, change: WarningChange, note: str, etag: str) -> PublicWarning:
    warning, replayed = _take(session, change)
    if not replayed and warning.cancel(note, etag, change.sender, change.now):
        if warning.is_public:
            _record(session, warning, change, sent=True)
        else:
            events.warning_withdrawn(session, warning, change.operator)
    return warning


def withdraw_update(session: Session, change: WarningChange, etag: str) -> PublicWarning:
    warning, replayed = _take(session, change)
    if not replayed:
        warning.withdraw_update(etag, change.now)
        events.warning_withdrawn(session, warning, change.operator)
    return warning


def require_visible(viewer: Viewer, warning: PublicWarning | None) -> PublicWarning:
    """Raises WarningNotFound, alike for what is absent and for what was not issued and is another agency's."""
    if warning is None or not (warning.is_public or (viewer.agency and warning.agency == viewer.agency)):
        raise WarningNotFound
    return warning


def require_own(viewer: Viewer, warning: PublicWarning | None) -> PublicWarning:
    """As require_visible. Raises NotIssuer."""
    found = require_visible(viewer, warning)
    if found.agency != viewer.agency:
        raise NotIssuer
    return found


def _take(session: Session, change: WarningChange) -> tuple[PublicWarning, bool]:
    """The warning, locked, and whether this request has changed it before: then it changes nothing again."""
    replayed = _claim(session, change) is not None
    return require_own(change.viewer, store.find_warning(session, change.name, for_update=True)), replayed


def _claim(session: Session, change: WarningChange) -> str | None:
    if not change.request_id:
        return None
    return keys.claim(session, f"warning\0{change.viewer.user}", change.request_id, change.request, change.name)


def _record(session: Session, warning: PublicWarning, change: WarningChange, *, sent: bool) -> None:
    if not sent:
        events.warning_proposed(session, warning, change.operator)
        return
    store.add_message(session, warning.copy_message())
    events.warning_sent(session, warning, change.operator)
    ends = warning.state == WarningState.CANCELLED
    timers.replace(session, warning.name, [] if ends else [Timer(EXPIRE, warning.name, "", warning.expire_time)])
