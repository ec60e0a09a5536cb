"""Changes by hand, one entry at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from chassis.errors import Problem
from chassis.masks import json_name
from directory import store
from directory.changes import compare, describe_entry
from directory.errors import (
    AgencyNotFound,
    AreaNotFound,
    CoverageNotFound,
    EntryChanged,
    EntryExists,
    EntryInUse,
    FacilityNotFound,
    HotlineNotFound,
    InvalidEntry,
)
from directory.model import Agency, Area, Contents, Coverage, Facility, Fault, Hotline, keys, name_coverage
from directory.operations.history import record_changes

E = TypeVar("E", Area, Agency, Hotline, Facility)

ABSENT: Mapping[type, type[Problem]] = {
    Area: AreaNotFound,
    Agency: AgencyNotFound,
    Hotline: HotlineNotFound,
    Facility: FacilityNotFound,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A request to change the directory."""

    request_id: str
    request: Message
    actor: str
    now: datetime


def seed_directory(session: Session, contents: Contents) -> bool:
    """Put `contents` into a database that has had none; tell whether it did."""
    if store.lock_edition(session):
        return False
    store.add_contents(session, contents)
    store.renew_edition(session)
    return True


def create_entry(session: Session, change: Change, kind: type[E], name: str, columns: Mapping[str, Any]) -> E:
    """A new entry, or the one that this request made before. Raises EntryExists, InvalidEntry, and what its references lack."""
    if earlier := _claim(session, change, name):
        return _find(session, kind, earlier)
    if store.find_entry(session, kind, name):
        raise EntryExists(name=name)
    entry = kind(name=name, **columns)
    _require_sound(session, entry)
    entry.renew(change.now)
    store.add_entries(session, [entry])
    record_changes(session, filter(None, [compare(name, {}, describe_entry(entry))]), change.actor)
    return entry


def update_entry(session: Session, change: Change, kind: type[E], name: str, columns: Mapping[str, Any], etag: str) -> E:
    """The entry with these columns. Raises EntryChanged, InvalidEntry, and what is absent."""
    replayed = _claim(session, change, name)
    entry = _find(session, kind, name)
    if replayed:
        return entry
    _require_etag(entry, etag)
    before = describe_entry(entry)
    for column, value in columns.items():
        setattr(entry, column, value)
    changed = compare(name, before, describe_entry(entry))
    if changed:
        if isinstance(entry, Facility):
            entry.keep_by_hand(changed.fields.keys())
        _require_sound(session, entry)
        entry.renew(change.now)
        record_changes(session, [changed], change.actor)
    return entry


def delete_entry(session: Session, change: Change, kind: type[E], name: str, etag: str) -> None:
    """Raises EntryChanged, EntryInUse, and what is absent."""
    if _claim(session, change, name):
        return
    entry = _find(session, kind, name)
    _require_etag(entry, etag)
    user = store.find_user(session, entry)
    if user:
        raise EntryInUse(by=user)
    store.remove_entry(session, entry)
    record_changes(session, filter(None, [compare(name, describe_entry(entry), {})]), change.actor)


def set_coverage(session: Session, change: Change, area: str, category: int, agency: str) -> Coverage:
    """Raises AreaNotFound and AgencyNotFound."""
    replayed = _claim(session, change, name_coverage(area, category))
    row = store.find_coverage(session, area, category)
    if replayed:
        if row is None:
            raise CoverageNotFound
        return row
    _find(session, Area, area)
    _find(session, Agency, agency)
    before = describe_entry(row) if row else {}
    if row:
        row.agency = agency
    else:
        row = Coverage(area=area, category=category, agency=agency)
        store.add_entries(session, [row])
    record_changes(session, filter(None, [compare(row.name, before, describe_entry(row))]), change.actor)
    return row


def remove_coverage(session: Session, change: Change, area: str, category: int) -> None:
    """Raises CoverageNotFound."""
    if _claim(session, change, name_coverage(area, category)):
        return
    row = store.find_coverage(session, area, category)
    if row is None:
        raise CoverageNotFound
    store.remove_entry(session, row)
    record_changes(session, filter(None, [compare(row.name, describe_entry(row), {})]), change.actor)


def _claim(session: Session, change: Change, name: str) -> str | None:
    """The name that this request changed before; None where it is new. One change after the other."""
    store.lock_edition(session)
    return keys.claim(session, change.actor, change.request_id, change.request, name) if change.request_id else None


def _find(session: Session, kind: type[E], name: str) -> E:
    entry = store.find_entry(session, kind, name)
    if entry is None:
        raise ABSENT[kind]
    return entry


def _require_etag(entry: Area | Agency | Hotline | Facility, etag: str) -> None:
    if etag not in {"", entry.etag}:
        raise EntryChanged


def _require_sound(session: Session, entry: Area | Agency | Hotline | Facility) -> None:
    """Raises AreaNotFound and AgencyNotFound for what it names, and InvalidEntry."""
    # A question would write the entry first, and the database itself refuse what is to be refused here by name.
    with session.no_autoflush:
        faults = list(entry.find_faults())
        if isinstance(entry, Area):
            faults += _find_faults_of_parent(session, entry)
        elif isinstance(entry, Agency):
            faults += _find_circle(session, entry)
        elif entry.area:
            _find(session, Area, entry.area)
        if isinstance(entry, Facility) and entry.agency:
            _find(session, Agency, entry.agency)
    if faults:
        raise InvalidEntry(fields=[(f"{type(entry).__name__.lower()}.{json_name(field)}", fault) for field, fault in faults])


def _find_faults_of_parent(session: Session, area: Area) -> Iterator[Fault]:
    if area.parent:
        fault = _find(session, Area, area.parent).find_fault_of_child(area.name, area.level)
        if fault:
            yield "name", fault


def _find_circle(session: Session, agency: Agency) -> Iterator[Fault]:
    above = agency.parent
    while above:
        if above == agency.name:
            yield "parent", "is asked when the agency itself does not answer, and may not lead back to it"
            return
        above = _find(session, Agency, above).parent
