"""The questions and statements of the directory."""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias, TypeVar

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from chassis.clock import new_uuid
from directory.model import Agency, Area, Contents, Coverage, Edition, Entry, Facility, Hotline

E = TypeVar("E", Area, Agency, Hotline, Facility)

Name: TypeAlias = "InstrumentedAttribute[str] | InstrumentedAttribute[str | None]"

# SQLite takes 32,766 parameters in a statement.
_AT_ONCE = 10_000


def find_edition(session: Session) -> str:
    """Empty where nothing has been put in yet."""
    return session.scalars(select(Edition.edition)).one()


def lock_edition(session: Session) -> str:
    """As find_edition; whoever else writes waits for this transaction."""
    return session.scalars(select(Edition.edition).with_for_update()).one()


def renew_edition(session: Session) -> None:
    session.execute(update(Edition).values(edition=new_uuid()))


def read_contents(session: Session) -> Contents:
    """Everything."""
    # Sorted here, because the databases' own orders of text differ.
    return Contents(
        sorted(session.scalars(select(Area)), key=lambda area: area.name),
        sorted(session.scalars(select(Agency)), key=lambda agency: agency.name),
        sorted(session.scalars(select(Hotline)), key=lambda hotline: hotline.name),
        sorted(session.scalars(select(Coverage)), key=lambda row: (row.area, row.category)),
        sorted(session.scalars(select(Facility)), key=lambda facility: facility.name),
    )


def read_coverage(session: Session) -> Sequence[Coverage]:
    return session.scalars(select(Coverage)).all()


def add_contents(session: Session, contents: Contents) -> None:
    for rows in contents:
        session.add_all(rows)
        # One table after the other and in the given order, as the foreign keys want it.
        session.flush()


def add_entries(session: Session, entries: Iterable[Entry]) -> None:
    session.add_all(entries)


def find_entry(session: Session, kind: type[E], name: str) -> E | None:
    return session.get(kind, name)


def find_entries(session: Session, kind: type[E], names: Collection[str]) -> Sequence[E]:
    """Those that there are, in no order."""
    wanted = list(names)
    parts = [wanted[start : start + _AT_ONCE] for start in range(0, len(wanted), _AT_ONCE)]
    return [each for part in parts for each in session.scalars(select(kind).where(kind.name.in_(part)))]


def find_coverage(session: Session, area: str, category: int) -> Coverage | None:
    return session.get(Coverage, (area, category))


def find_areas_within(session: Session, scope: str) -> Sequence[Area]:
    """The area of this name and all within it."""
    return session.scalars(select(Area).where((Area.name == scope) | Area.name.startswith(f"{scope}.", autoescape=True))).all()


def find_facilities_within(session: Session, scope: str, source: str | None) -> Sequence[Facility]:
    """Those in the area or within it, of a source or of all."""
    question = select(Facility).where((Facility.area == scope) | Facility.area.startswith(f"{scope}.", autoescape=True))
    return session.scalars(question if source is None else question.where(Facility.source == source)).all()


def find_user(session: Session, entry: Entry) -> str | None:
    """The name of one that needs the entry."""
    users: list[tuple[Name, Name]] = []
    rows = select(Coverage)
    if isinstance(entry, Area):
        users = [(Area.name, Area.parent), (Hotline.name, Hotline.area), (Facility.name, Facility.area)]
        rows = rows.where(Coverage.area == entry.name)
    elif isinstance(entry, Agency):
        users = [(Agency.name, Agency.parent), (Facility.name, Facility.agency)]
        rows = rows.where(Coverage.agency == entry.name)
    else:
        return None
    for name, uses in users:
        if user := session.scalars(select(name).where(uses == entry.name).limit(1)).first():
            return user
    row = session.scalars(rows.limit(1)).first()
    return row.name if row else None


def remove_entry(session: Session, entry: Entry) -> None:
    session.delete(entry)


def read_edition_of_file(path: Path) -> str:
    """Read SQLite's file anew, because an open connection goes on answering when the file is gone or spoilt.

    Nothing but SQLite itself may open the file: closing any other descriptor of it would drop SQLite's locks.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        return connection.execute("SELECT edition FROM edition").fetchone()[0]
