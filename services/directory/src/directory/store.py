"""The questions and statements of the directory."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from chassis.clock import new_uuid
from directory.model import Agency, Area, Contents, Coverage, Edition, Hotline


def find_edition(session: Session) -> str:
    """Empty where nothing has been put in yet."""
    return session.scalars(select(Edition.edition)).one()


def lock_edition(session: Session) -> str:
    """As find_edition; whoever else writes waits for this transaction."""
    return session.scalars(select(Edition.edition).with_for_update()).one()


def renew_edition(session: Session) -> None:
    session.execute(update(Edition).values(edition=new_uuid()))


def read_contents(session: Session) -> tuple[str, Contents]:
    """Everything, with its edition."""
    areas = session.scalars(select(Area)).all()
    agencies = session.scalars(select(Agency)).all()
    hotlines = session.scalars(select(Hotline)).all()
    coverage = session.scalars(select(Coverage)).all()
    # Sorted here, because the databases' own orders of text differ.
    return find_edition(session), Contents(
        sorted(areas, key=lambda area: area.name),
        sorted(agencies, key=lambda agency: agency.name),
        sorted(hotlines, key=lambda hotline: hotline.name),
        sorted(coverage, key=lambda row: (row.area, row.category)),
    )


def add_contents(session: Session, contents: Contents) -> None:
    for rows in contents:
        session.add_all(rows)
        # One table after the other and in the given order, as the foreign keys want it.
        session.flush()


def find_area(session: Session, name: str) -> Area | None:
    return session.get(Area, name)


def find_areas_within(session: Session, scope: str) -> Sequence[Area]:
    """The area of this name and all within it."""
    return session.scalars(select(Area).where((Area.name == scope) | Area.name.startswith(f"{scope}.", autoescape=True))).all()


def read_edition_of_file(path: Path) -> str:
    """Read SQLite's file anew, because an open connection goes on answering when the file is gone or spoilt.

    Nothing but SQLite itself may open the file: closing any other descriptor of it would drop SQLite's locks.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
        return connection.execute("SELECT edition FROM edition").fetchone()[0]
