"""Imports: what a scope holds is replaced by what a file has, all or nothing."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from directory import store
from directory.changes import Changed, compare, describe_entry
from directory.errors import AreaNotFound, InvalidImport
from directory.files.reading import AreaRecord, FacilityRecord, Fault, Reading
from directory.model import Agency, Area, Facility
from directory.operations.history import record_changes

_MAX_NAMED = 100
_MAX_TEXT = 160
_REPORT_EVERY = 500


class Order(NamedTuple):
    """An import that somebody asks for; `report` is told how many entries have been compared."""

    scope: str
    source: str
    dry_run: bool
    actor: str
    now: datetime
    report: Callable[[int], None]


class Imported(NamedTuple):
    """What an import changed, or would change, in the order of names; how many entries it did not change."""

    changes: Sequence[Changed]
    unchanged: int
    # Left alone, because they are kept by hand now.
    kept: int
    # Of the changes, those that took away what the file does not have.
    removed: int


class DryRun(Exception):
    """Nothing is wrong: it ends a transaction that was only to show what it would do."""

    def __init__(self, imported: Imported) -> None:
        super().__init__()
        self.imported = imported


def import_areas(session: Session, order: Order, reading: Reading[AreaRecord]) -> Imported:
    """Give the areas within the scope the boundaries that were read, and no others.

    Raises AreaNotFound, InvalidImport, and DryRun where nothing is to be changed.
    """
    store.lock_edition(session)
    areas = {area.name: area for area in store.find_areas_within(session, order.scope)}
    if order.scope not in areas:
        raise AreaNotFound
    before = {name: describe_entry(area) for name, area in areas.items()}
    taken = _take_areas(session, order, reading, areas)
    removed = [areas[name] for name in before.keys() - taken if areas[name].forget_boundary()]
    store.add_entries(session, [area for name, area in areas.items() if name not in before])
    changes: list[Changed] = []
    for name, area in sorted(areas.items()):
        if changed := compare(name, before.get(name, {}), describe_entry(area)):
            area.renew(order.now)
            changes.append(changed)
    return _finish(session, order, Imported(changes, len(taken) - (len(changes) - len(removed)), 0, len(removed)))


def import_facilities(session: Session, order: Order, reading: Reading[FacilityRecord]) -> Imported:
    """Make the facilities of the source within the scope those that were read. Of one that is there already, what the form
    does not carry stays; one that is kept by hand is left alone.

    Raises AreaNotFound, InvalidImport, and DryRun where nothing is to be changed.
    """
    store.lock_edition(session)
    scope = store.find_entry(session, Area, order.scope)
    if scope is None:
        raise AreaNotFound
    known = {each.name: each for each in store.find_facilities_within(session, order.scope, order.source)}
    known |= {each.name: each for each in store.find_entries(session, Facility, [record.facility.name for record in reading.records])}
    areas = {each.name for each in store.find_areas_within(session, order.scope)}
    named = {record.facility.agency for record in reading.records if record.facility.agency}
    agencies = {each.name for each in store.find_entries(session, Agency, named)}
    lines, faults, changes = dict[str, int](), list(reading.faults), list[Changed | None]()
    kept = 0
    for number, (line, wanted) in enumerate(sorted(reading.records, key=lambda each: each.facility.name)):
        if number % _REPORT_EVERY == 0:
            order.report(number)
        fault = _find_fault_of_facility(wanted, areas, agencies, order.scope, lines)
        there = known.get(wanted.name)
        if fault:
            faults.append(Fault(line, f"{wanted.name.removeprefix('facilities/')}: {fault}"))
        elif there is None:
            added = wanted.copy()
            added.renew(order.now)
            store.add_entries(session, [added])
            changes.append(compare(added.name, {}, describe_entry(added)))
        elif there.source != order.source:
            kept += 1
        else:
            before = describe_entry(there)
            there.take_over(wanted, reading.carried)
            changed = compare(there.name, before, describe_entry(there))
            if changed:
                there.renew(order.now)
            changes.append(changed)
        lines.setdefault(wanted.name, line)
    if faults:
        raise refuse_import(faults)
    gone = [each for name, each in known.items() if name not in lines]
    for each in gone:
        changes.append(compare(each.name, describe_entry(each), {}))
        store.remove_entry(session, each)
    done = sorted((each for each in changes if each), key=lambda each: each.name)
    return _finish(session, order, Imported(done, len(lines) - kept - (len(done) - len(gone)), kept, len(gone)))


def refuse_import(faults: Iterable[Fault]) -> InvalidImport:
    """Names the first of the faults, and counts all."""
    all_faults = sorted(faults)
    named = [(f"line {fault.line}", fault.text[:_MAX_TEXT]) for fault in all_faults[:_MAX_NAMED]]
    return InvalidImport(fields=named, badLines=str(len(all_faults)))


def _finish(session: Session, order: Order, imported: Imported) -> Imported:
    if order.dry_run:
        # Written all the same, and then taken back: what the database itself would refuse shows.
        session.flush()
        raise DryRun(imported)
    record_changes(session, imported.changes, order.actor, order.source)
    return imported


def _take_areas(session: Session, order: Order, reading: Reading[AreaRecord], areas: dict[str, Area]) -> set[str]:
    """Draw what was read into `areas`; the names. Raises InvalidImport."""
    scope = areas[order.scope]
    above = store.find_entry(session, Area, scope.parent) if scope.parent else None
    lines, faults = dict[str, int](), list(reading.faults)
    # Parents come before their children in this order, wherever they stand in the file.
    for number, record in enumerate(sorted(reading.records, key=lambda each: each.name)):
        if number % _REPORT_EVERY == 0:
            order.report(number)
        fault = _find_fault(record, areas, scope, above, lines)
        if fault:
            faults.append(Fault(record.line, f"{record.name.removeprefix('areas/')}: {fault}"))
        elif record.name in areas:
            areas[record.name].redraw(record.display_name, record.shape)
        else:
            areas[record.name] = areas[record.parent].add_child(record.name, record.display_name, record.shape)
        lines.setdefault(record.name, record.line)
    if faults:
        raise refuse_import(faults)
    return set(lines)


def _find_fault(record: AreaRecord, areas: dict[str, Area], scope: Area, above: Area | None, lines: dict[str, int]) -> str:
    """Why an area cannot be taken; empty where it can."""
    if record.name in lines:
        return f"stands already in line {lines[record.name]}"
    if not scope.holds(record.name):
        return f"lies outside {scope.name}"
    known = areas.get(record.name)
    parent = above if known is scope else areas.get(record.parent)
    if known and (known.parent or "areas/") != record.parent:
        return f"its parent is {known.parent or 'none'}, not {record.parent}"
    if known is scope and above is None:
        return ""
    if parent is None:
        return f"its parent {record.parent} is not within {scope.name}"
    fault = "" if known else parent.find_fault_of_child(record.name, parent.level + 1)
    return fault or parent.find_fault_of_place(record.shape)


def _find_fault_of_facility(wanted: Facility, areas: set[str], agencies: set[str], scope: str, lines: dict[str, int]) -> str:
    """Why a facility cannot be taken; empty where it can."""
    if wanted.name in lines:
        return f"stands already in line {lines[wanted.name]}"
    if not wanted.area:
        return "no area holds its point"
    if wanted.area not in areas:
        return f"its area {wanted.area} is not within {scope}, or there is none"
    if wanted.agency and wanted.agency not in agencies:
        return f"there is no {wanted.agency}"
    return ""
