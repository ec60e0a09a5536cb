"""A facility as a row of text, which every form of file is read from and written through."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from directory.files.reading import Flaw
from directory.model import UNCONFIRMED, Category, Facility, PhoneNumber, Status, Use, Wheelchair
from directory.phones import read_number

REQUIRED = ("id", "name", "categories")
COLUMNS = (
    *REQUIRED,
    *("agency", "area", "latitude", "longitude", "address", "numbers", "opening_hours", "languages", "wheelchair"),
    *("status", "alert_text", "assured_by", "assured_time"),
)
MAX_LINE, MAX_TEXT, MAX_ENTRIES = 200, 500, 20
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_MAX_ID = 60
_ID = re.compile(r"[A-Za-z0-9.-]{1,60}")
_DEGREES = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII)
# What a rule of the entity says of a field is said of its column.
_COLUMN_OF_FIELD = {"display_name": "name", "point": "latitude"}

T = TypeVar("T")


def read_row(row: Mapping[str, str], source: str, country: str) -> Facility:
    """The facility that an import of `source` brings. Raises Flaw, which names every column at fault."""
    faults = dict[str, str]()

    def read(column: str, parse: Callable[[str], T], absent: T) -> T:
        text = row.get(column, "").strip()
        if not text:
            return absent
        try:
            return parse(text)
        except ValueError as error:
            faults[column] = str(error)
            return absent

    def read_numbers(text: str) -> list[PhoneNumber]:
        return [_read_number(word, country) for word in _split(text, ";")]

    identifier = read("id", lambda text: _read_id(text, _MAX_ID - len(source) - 1), "")
    facility = Facility(
        name=f"facilities/{source}-{identifier}",
        display_name=read("name", lambda text: _read_text(text, MAX_LINE), ""),
        categories=read("categories", lambda text: [_read_word(Category, word) for word in _split(text, r"[\s;]")], []),
        agency=read("agency", lambda text: f"agencies/{_read_id(text.removeprefix('agencies/'), _MAX_ID)}", None),
        area=read("area", lambda text: f"areas/{_read_id(text.removeprefix('areas/'), _MAX_ID)}", ""),
        latitude=read("latitude", lambda text: _read_degrees(text, 90), None),
        longitude=read("longitude", lambda text: _read_degrees(text, 180), None),
        address=read("address", lambda text: _read_text(text, MAX_TEXT), ""),
        numbers=read("numbers", read_numbers, []),
        opening_hours=read("opening_hours", lambda text: _read_text(text, MAX_TEXT), ""),
        languages=read("languages", lambda text: [_read_language(word) for word in _split(text, r"[\s;]")], []),
        wheelchair=read("wheelchair", lambda text: _read_word(Wheelchair, text), 0),
        status=read("status", lambda text: _read_word(Status, text), Status.ACTIVE),
        alert_text=read("alert_text", lambda text: _read_text(text, MAX_TEXT), ""),
        assured_by=read("assured_by", lambda text: _read_text(text, MAX_LINE), UNCONFIRMED),
        assured_time=read("assured_time", _read_time, None),
        source=source,
    )
    if faults.keys() & {"latitude", "longitude"}:
        # No rule shall miss the point, which is only wrong.
        facility.latitude = facility.longitude = 0.0
    if not identifier:
        faults.setdefault("id", "is required")
    for column, fault in _find_faults(facility):
        faults.setdefault(column, fault)
    if faults:
        raise Flaw("; ".join(f"{column}: {faults[column]}" for column in COLUMNS if column in faults))
    return facility


def _find_faults(facility: Facility) -> Iterator[tuple[str, str]]:
    if (facility.latitude is None) != (facility.longitude is None):
        yield ("latitude" if facility.latitude is None else "longitude"), "is required where the other one is given"
    elif facility.latitude is None and not facility.area:
        yield "area", "is required where there is no point"
    for field, fault in facility.find_faults():
        yield _COLUMN_OF_FIELD.get(field, field), fault


def list_carried(columns: Iterable[str]) -> frozenset[str]:
    """The columns of the model that come with these. An area always does: it follows from the point where it is not named."""
    return frozenset("display_name" if column == "name" else column for column in columns if column != "id") | {"area"}


def write_row(facility: Facility) -> dict[str, str]:
    """What read_row makes the facility of again, where it is given the same source."""
    return {
        "id": facility.name.removeprefix("facilities/").removeprefix(f"{facility.source}-" if facility.source else ""),
        "name": facility.display_name,
        "categories": " ".join(Category(each).name for each in facility.categories),
        "agency": (facility.agency or "").removeprefix("agencies/"),
        "area": facility.area.removeprefix("areas/"),
        "latitude": "" if facility.latitude is None else repr(facility.latitude),
        "longitude": "" if facility.longitude is None else repr(facility.longitude),
        "address": facility.address,
        "numbers": write_numbers(facility.numbers),
        "opening_hours": facility.opening_hours,
        "languages": " ".join(facility.languages),
        "wheelchair": Wheelchair(facility.wheelchair).name.lower() if facility.wheelchair else "",
        "status": "" if facility.status == Status.ACTIVE else Status(facility.status).name.lower(),
        "alert_text": facility.alert_text,
        "assured_by": "" if facility.assured_by == UNCONFIRMED else facility.assured_by,
        "assured_time": facility.assured_time.astimezone(UTC).isoformat() if facility.assured_time else "",
    }


def write_numbers(numbers: list[PhoneNumber]) -> str:
    """Such as `129; 08111129129:WHATSAPP`; a bare number is called."""
    return "; ".join(each["number"] if each["use"] == Use.CALL else f"{each['number']}:{Use(each['use']).name}" for each in numbers)


def _split(text: str, separator: str) -> list[str]:
    """The words, of which no entry may have too many or one twice."""
    words = [word.strip() for word in re.split(separator, text) if word.strip()]
    if len(words) > MAX_ENTRIES:
        raise ValueError(f"has more than {MAX_ENTRIES}")
    if len({word.upper() for word in words}) < len(words):
        raise ValueError("has one twice")
    return words


def _read_id(text: str, longest: int) -> str:
    if not _ID.fullmatch(text) or len(text) > longest:
        raise ValueError(f"{text!r} is not 1 to {longest} letters, digits, points and hyphens")
    return text


def _read_text(text: str, longest: int) -> str:
    plain = text.replace("\r\n", "\n")
    if len(plain) > longest or not plain.replace("\n", "").isprintable():
        raise ValueError(f"is not text of at most {longest} characters")
    return plain


def _read_word(words: type[Category | Wheelchair | Status], text: str) -> int:
    if text.upper() not in words.__members__:
        raise ValueError(f"{text!r} is none of {', '.join(words.__members__)}")
    return words[text.upper()].value


def _read_degrees(text: str, largest: int) -> float:
    degrees = float(text) if _DEGREES.fullmatch(text) else largest + 1
    if abs(degrees) > largest:
        raise ValueError(f"{text!r} is not a number of degrees from -{largest} to {largest}")
    return degrees


def _read_number(word: str, country: str) -> PhoneNumber:
    text, _, use = word.partition(":")
    if use.upper() not in ("", *Use.__members__):
        raise ValueError(f"{word!r} ends with none of {', '.join(Use.__members__)}")
    try:
        return {"number": read_number(text, country), "use": Use[use.upper() or "CALL"].value}
    except ValueError:
        raise ValueError(f"{text!r} is not a number that is dialled in {country}") from None


def _read_language(text: str) -> str:
    if not LANGUAGE.fullmatch(text):
        raise ValueError(f"{text!r} is not a language such as id or en")
    return text


def _read_time(text: str) -> datetime:
    """A date is its first moment."""
    try:
        if _TIME.fullmatch(text):
            time = datetime.fromisoformat(text.upper())
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"{text!r} is not a date, or a time such as 2026-01-31T08:00:00+07:00")
