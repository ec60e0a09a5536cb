"""Jakarta as it comes with the program: the start of an empty database, and the answer of last resort."""

import csv
from collections.abc import Iterable
from importlib.resources import files

from directory.model import Agency, Area, Contents, Coverage, Hotline, Level, PhoneNumber
from siaga.directory.v1 import agency_pb2

_UNCONFIRMED = "unconfirmed"


def read_jakarta() -> Contents:
    """Read the tables in `jakarta/`, none of which anybody has confirmed."""
    return Contents(
        [
            Area(
                name=f"areas/{row['code']}",
                display_name=row["name"],
                level=Level[row["level"].upper()],
                parent=f"areas/{row['parent_code']}" if row["parent_code"] else None,
                latitude=float(row["latitude"]),
                longitude=float(row["longitude"]),
                time_zone="Asia/Jakarta",
                emergency_number="112",
            )
            for row in sorted(_read_rows("areas.csv"), key=lambda row: row["code"])
        ],
        [
            Agency(
                name=row["name"],
                display_name=row["display_name"],
                parent=row["parent"] or None,
                numbers=_read_numbers(row["numbers"]),
                assured_by=_UNCONFIRMED,
            )
            for row in _read_rows("agencies.csv")
        ],
        [
            Hotline(
                name=row["name"],
                display_name=row["display_name"],
                categories=[agency_pb2.Category.Value(word) for word in row["categories"].split()],
                numbers=_read_numbers(row["numbers"]),
                area=row["area"] or None,
                assured_by=_UNCONFIRMED,
            )
            for row in _read_rows("hotlines.csv")
        ],
        [
            Coverage(area=row["area"], category=agency_pb2.Category.Value(row["category"]), agency=row["agency"])
            for row in _read_rows("coverage.csv")
        ],
    )


def _read_rows(table: str) -> Iterable[dict[str, str]]:
    text = (files("directory") / "jakarta" / table).read_text("utf-8")
    return csv.DictReader(text.splitlines())


def _read_numbers(words: str) -> list[PhoneNumber]:
    """Read such as `129 08111129129:WHATSAPP`; a bare number is called."""
    pairs = [word.partition(":") for word in words.split()]
    return [{"number": number, "use": agency_pb2.PhoneNumber.Use.Value(use or "CALL")} for number, _, use in pairs]
