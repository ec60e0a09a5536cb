"""What changes the directory; each function is one transaction."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from directory import store
from directory.errors import AreaNotFound, InvalidImport
from directory.geojson import Fault, Feature, Reading
from directory.model import Area, Contents

_MAX_NAMED = 100
_MAX_TEXT = 160
# A gRPC client takes 8 kB of error details, and drops the whole error where they are more.
_MAX_NAMED_BYTES = 6000


class Imported(NamedTuple):
    """How many areas."""

    added: int
    changed: int
    unchanged: int


def seed_directory(session: Session, contents: Contents) -> bool:
    """Put `contents` into a database that has had none; tell whether it did."""
    if store.lock_edition(session):
        return False
    store.add_contents(session, contents)
    store.renew_edition(session)
    return True


def import_areas(session: Session, scope: str, reading: Reading) -> Imported:
    """Give the areas within `scope` the boundaries that were read, and no others. Raises AreaNotFound or InvalidImport."""
    store.lock_edition(session)
    areas = {area.name: area for area in store.find_areas_within(session, scope)}
    if scope not in areas:
        raise AreaNotFound
    parent = areas[scope].parent
    above = store.find_area(session, parent) if parent else None
    known, lines = set(areas), dict[str, int]()
    added, redrawn, faults = 0, 0, list(reading.faults)
    # Parents come before their children in this order, wherever they stand in the file.
    for feature in sorted(reading.features, key=lambda each: each.name):
        fault = _find_fault(feature, areas, areas[scope], above, lines)
        if fault:
            faults.append(Fault(feature.line, f"{feature.name.removeprefix('areas/')}: {fault}"))
        elif feature.name in areas:
            redrawn += areas[feature.name].redraw(feature.display_name, feature.shape)
        else:
            areas[feature.name] = areas[feature.parent].add_child(feature.name, feature.display_name, feature.shape)
            added += 1
        lines.setdefault(feature.name, feature.line)
    if faults:
        raise _refuse_import(faults)
    changed = redrawn + sum(areas[name].forget_boundary() for name in known - lines.keys())
    session.add_all(area for name, area in areas.items() if name not in known)
    if added or changed:
        store.renew_edition(session)
    return Imported(added, changed, len(lines) - added - redrawn)


def _find_fault(feature: Feature, areas: dict[str, Area], scope: Area, above: Area | None, lines: dict[str, int]) -> str:
    """Why a feature cannot be taken; empty where it can."""
    if feature.name in lines:
        return f"stands already in line {lines[feature.name]}"
    if not scope.holds(feature.name):
        return f"lies outside {scope.name}"
    known = areas.get(feature.name)
    parent = above if known is scope else areas.get(feature.parent)
    if known and known.parent != feature.parent:
        return f"its parent is {known.parent or 'none'}, not {feature.parent}"
    if parent is None:
        return f"its parent {feature.parent} is not within {scope.name}"
    return parent.find_fault_of_place(feature.shape) if known else parent.find_fault_of_child(feature.name, feature.shape)


def _refuse_import(faults: list[Fault]) -> InvalidImport:
    named: list[tuple[str, str]] = []
    room = _MAX_NAMED_BYTES
    for fault in sorted(faults)[:_MAX_NAMED]:
        entry = f"line {fault.line}", fault.text[:_MAX_TEXT]
        room -= sum(len(word.encode()) + 4 for word in entry)
        if room < 0:
            break
        named.append(entry)
    return InvalidImport(fields=named, badLines=str(len(faults)))
