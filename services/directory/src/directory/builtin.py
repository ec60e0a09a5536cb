"""Jakarta as it comes with the program: the start of an empty database, and the answer of last resort."""

import csv
from collections.abc import Iterable
from importlib.resources import files

from directory.model import UNCONFIRMED, Agency, Area, Category, Contents, Coverage, Hotline, Level, PhoneNumber, Use

_TIME_ZONE = "Asia/Jakarta"
_EMERGENCY_NUMBER = "112"


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
                time_zone=_TIME_ZONE,
                emergency_number=_EMERGENCY_NUMBER,
                boundary=None,
            )
            for row in sorted(_read_rows("areas.csv"), key=lambda row: row["code"])
        ],
        [
            Agency(
                name=row["name"],
                display_name=row["display_name"],
                parent=row["parent"] or None,
                numbers=_read_numbers(row["numbers"]),
                assured_by=UNCONFIRMED,
                assured_time=None,
            )
            for row in _read_rows("agencies.csv")
        ],
        [
            Hotline(
                name=row["name"],
                display_name=row["display_name"],
                categories=[Category[word] for word in row["categories"].split()],
                numbers=_read_numbers(row["numbers"]),
                area=row["area"] or None,
                assured_by=UNCONFIRMED,
                assured_time=None,
            )
            for row in _read_rows("hotlines.csv")
        ],
        [Coverage(area=row["area"], category=Category[row["category"]], agency=row["agency"]) for row in _read_rows("coverage.csv")],
    )


def _read_rows(table: str) -> Iterable[dict[str, str]]:
    text = (files("directory") / "jakarta" / table).read_text("utf-8")
    return csv.DictReader(text.splitlines())


def _read_numbers(words: str) -> list[PhoneNumber]:
    """Read such as `129 08111129129:WHATSAPP`; a bare number is called."""
    pairs = [word.partition(":") for word in words.split()]
    return [{"number": number, "use": Use[use or "CALL"]} for number, _, use in pairs]
