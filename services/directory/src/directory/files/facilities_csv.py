"""Facilities as comma-separated values (RFC 4180) with a header, whose columns may stand in any order."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator

from directory.files.facility_row import COLUMNS, REQUIRED, list_carried, read_row, write_row
from directory.files.reading import FacilityRecord, Fault, Flaw, Reading, UnreadableFile, join_lines, walk_text
from directory.model import Facility


def read_facilities(file: bytes | bytearray, source: str, country: str, report: Callable[[int], None]) -> Reading[FacilityRecord]:
    """Everything that is right, and everything that is not; numbers are read as they are dialled in the country."""
    records, faults = list[FacilityRecord](), list[Fault]()
    # A whole row has the columns of the header, which are those of every row.
    columns = frozenset[str]()
    try:
        for line, row in _walk_rows(walk_text(file, report)):
            try:
                if isinstance(row, Flaw):
                    raise row
                columns = row.keys()
                records.append(FacilityRecord(line, read_row(row, source, country)))
            except Flaw as flaw:
                faults.append(Fault(line, str(flaw)))
    except UnreadableFile as error:
        faults.append(error.fault)
    return Reading(records, faults, list_carried(columns))


def write_facilities(facilities: Iterable[Facility]) -> Iterator[bytes]:
    """With every column, and ends of lines as the standard has them."""

    def write_lines() -> Iterator[str]:
        text = io.StringIO()
        rows = csv.DictWriter(text, COLUMNS)
        rows.writeheader()
        for facility in facilities:
            rows.writerow(write_row(facility))
            yield text.getvalue()
            text.seek(0)
            text.truncate()
        yield text.getvalue()

    return join_lines(write_lines())


def _walk_rows(pieces: Iterator[str]) -> Iterator[tuple[int, dict[str, str] | Flaw]]:
    """Each row with the line where it begins. Raises UnreadableFile where no row can follow."""
    rows = csv.reader(_walk_lines(pieces), strict=True)
    line, count, header = 1, 0, list[str]()
    try:
        for row in rows:
            if not header:
                header = _check_header(row)
            elif row:
                count += 1
                whole = len(row) == len(header)
                yield line, dict(zip(header, row, strict=True)) if whole else Flaw(f"has {len(row)} values, and the header {len(header)}")
            line = rows.line_num + 1
    except csv.Error as error:
        raise UnreadableFile(line, f"is not comma-separated values: {error}") from None
    if not count:
        # Taken for an import, it would remove every facility of its source.
        raise UnreadableFile(1, "has no rows")


def _check_header(row: list[str]) -> list[str]:
    header = [column.strip().lower() for column in row]
    if unknown := [column for column in header if column not in COLUMNS]:
        raise UnreadableFile(1, f"has columns {unknown} beside {', '.join(COLUMNS)}")
    if missing := [column for column in REQUIRED if column not in header]:
        raise UnreadableFile(1, f"has no column {', '.join(missing)}")
    if len(set(header)) < len(header):
        raise UnreadableFile(1, "has a column twice")
    return header


def _walk_lines(pieces: Iterator[str]) -> Iterator[str]:
    """With their ends; those within quotes are left to the reader."""
    rest = ""
    for piece in pieces:
        *lines, rest = (rest + piece).split("\n")
        for line in lines:
            yield f"{line}\n"
    if rest:
        yield rest
