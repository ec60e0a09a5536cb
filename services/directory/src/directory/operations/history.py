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
    former = ""
    for each in changes:
        if not former:
            former = store.find_edition(session)
            store.renew_edition(session)
        log.append(session, _TYPE, each.name, _EVERYBODY, actor, action=each.action, fields=each.fields, source=source, former=former)


def find_changes_since(session: Session, edition: str, position: int, limit: int) -> Since:
    """What a reader who saw `edition`, when the log stood at `position`, has missed; `names` is None above `limit` of them.

    The first change that was missed must follow on the reader's edition: else a backup has replaced the database.
    """
    events = log.after(session, position, limit + 1)
    now = store.find_edition(session)
    if not events or len(events) > limit or events[0].attributes["former"] != edition:
        return Since(now, log.position(session), None)
    return Since(now, events[-1].id, frozenset(each.resource for each in events))


def read_changed(event: Event) -> Changed:
    """What a row of the log says."""
    fields = {path: (old, new) for path, (old, new) in event.attributes["fields"].items()}
    return Changed(event.resource, Action(event.attributes["action"]), fields)
