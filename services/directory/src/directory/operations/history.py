"""What every change leaves in the log, which is also the history of each entry (ADR 3)."""

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy.orm import Session

from chassis.events import Event
from directory import store
from directory.changes import Action, Changed
from directory.model import log

_TYPE = "DirectoryChanged"
_EVERYBODY = 0


class Since(NamedTuple):
    """What has changed since somebody looked: names, and where the log stands now. `names` is None where it cannot be told."""

    edition: str
    position: int
    names: frozenset[str] | None


def record_changes(session: Session, changes: Iterable[Changed], actor: str, source: str = "") -> None:
    """Renews the edition, where anything changed."""
    edition = ""
    for each in changes:
        edition = edition or store.renew_edition(session)
        log.append(session, _TYPE, each.name, _EVERYBODY, actor, action=each.action, fields=each.fields, source=source, edition=edition)


def find_changes_since(session: Session, edition: str, position: int, limit: int) -> Since:
    """What a reader who saw `edition`, when the log stood at `position`, has missed; `names` is None above `limit` of them.

    The row at the reader's position must be of the reader's edition: else a backup has replaced the database.
    """
    events = log.after(session, position - 1, limit + 2) if position else []
    now = store.find_edition(session)
    known = events and events[0].id == position and events[0].attributes["edition"] == edition
    if not known or len(events) > limit + 1:
        return Since(now, log.position(session), None)
    return Since(now, events[-1].id, frozenset(each.resource for each in events[1:]))


def read_changed(event: Event) -> Changed:
    """What a row of the log says."""
    fields = {path: (old, new) for path, (old, new) in event.attributes["fields"].items()}
    return Changed(event.resource, Action(event.attributes["action"]), fields)
