"""What the reader of comma-separated facilities takes, and what it refuses with its line."""

from datetime import UTC, datetime

import pytest

from directory.changes import describe_entry
from directory.files import reading
from directory.files.facilities_csv import read_facilities, write_facilities
from directory.files.reading import FacilityRecord, Fault, Reading
from directory.model import Facility

HEADER = "id,name,categories,area,latitude,longitude,address,numbers,opening_hours,languages,wheelchair,status,assured_by,assured_time"


def read(text: str | bytes) -> Reading[FacilityRecord]:
    return read_facilities(text.encode() if isinstance(text, str) else text, "csv", "ID", lambda _: None)


def read_rows(*rows: str, header: str = "id,name,categories,area,latitude,longitude,numbers") -> Reading[FacilityRecord]:
    """The first row stands in line 2."""
    return read("".join(f"{line}\r\n" for line in (header, *rows)))


def describe(facility: Facility) -> dict[str, object]:
    return {"name": facility.name, **describe_entry(facility)}


def test_a_row_becomes_a_facility_of_its_source() -> None:
    row = '1,"RSUD ""Kota""",hospital; Ambulance,31.71,-6.1754,106.8272,"Jl. Merdeka 1, Jakarta",+62 21 345-6789;0811-1129-129:whatsapp'
    [record] = read_rows(f"{row},24/7,id en,limited,temporarily_closed,Dinas Kesehatan,2026-01-31T08:00:00+07:00", header=HEADER).records
    assert record.line == 2
    assert describe(record.facility) == {
        "name": "facilities/csv-1",
        "display_name": 'RSUD "Kota"',
        "categories": ["HOSPITAL", "AMBULANCE"],
        "area": "areas/31.71",
        "point": {"latitude": -6.1754, "longitude": 106.8272},
        "address": "Jl. Merdeka 1, Jakarta",
        "numbers": [{"number": "0213456789", "use": "CALL"}, {"number": "08111129129", "use": "WHATSAPP"}],
        "opening_hours": "24/7",
        "languages": ["id", "en"],
        "wheelchair": "LIMITED",
        "status": "TEMPORARILY_CLOSED",
        "assured_by": "Dinas Kesehatan",
        "assured_time": "2026-01-31T01:00:00+00:00",
        "source": "csv",
    }


def test_a_column_that_is_left_out_is_as_if_it_were_empty_and_the_order_does_not_matter() -> None:
    [record] = read_rows("fire,112,Pos A,areas/31,a-1", header=" Categories,NUMBERS,name,area,id").records
    assert describe(record.facility) == {
        "name": "facilities/csv-a-1",
        "display_name": "Pos A",
        "categories": ["FIRE"],
        "area": "areas/31",
        "numbers": [{"number": "112", "use": "CALL"}],
        "status": "ACTIVE",
        "assured_by": "unconfirmed",
        "source": "csv",
    }


def test_what_a_file_carries_are_its_columns_and_the_area() -> None:
    assert read_rows("fire,112,Pos A,-6,106,a", header="categories,numbers,name,latitude,longitude,id").carried == {
        *("display_name", "categories", "numbers", "latitude", "longitude", "area")
    }


def test_a_mark_of_the_byte_order_is_no_part_of_the_header() -> None:
    assert len(read("\ufeffid,name,categories,latitude,longitude\n1,A,fire,1,2").records) == 1


def test_a_line_is_that_where_the_row_begins() -> None:
    found = read_rows('1,A,fire,31,,,"112;\n113"', "", "2,B,fire,31,,,", '3,"C\n\n",fire,31,,,112', "4,D,fire,31,,,112")
    assert [record.line for record in found.records] == [2, 6, 9]
    assert [fault.line for fault in found.faults] == [5]


def test_a_date_is_its_first_moment() -> None:
    [record] = read_rows("1,A,fire,31,112,Dinas,2026-01-31", header="id,name,categories,area,numbers,assured_by,assured_time").records
    assert record.facility.assured_time == datetime(2026, 1, 31, tzinfo=UTC)


BAD_ROWS = {
    "no id": (",A,fire,31,,,112", "id: is required"),
    "an id with a slash": ("a/b,A,fire,31,,,112", "id: 'a/b' is not"),
    "an id without end": (f"{'x' * 57},A,fire,31,,,112", "is not 1 to 56 letters"),
    "no name": ("1, ,fire,31,,,112", "name: must be text in one line"),
    "a name in two lines": ('1,"A\nB",fire,31,,,112', "name: must be text in one line"),
    "a name with a NUL": ("1,A\0,fire,31,,,112", "name: is not text"),
    "a name without end": (f"1,{'x' * 201},fire,31,,,112", "name: is not text of at most 200"),
    "no category": ("1,A,,31,,,112", "categories: must name at least one"),
    "another category": ("1,A,fire pizza,31,,,112", "categories: 'pizza' is none of EMERGENCY, POLICE"),
    "a category twice": ("1,A,fire FIRE,31,,,112", "categories: has one twice"),
    "neither a point nor an area": ("1,A,fire,,,,112", "area: is required where there is no point"),
    "neither a point nor a number": ("1,A,fire,31,,,", "numbers: must name at least one where there is no point"),
    "an area with a space": ("1,A,fire,31 71,,,112", "area: '31 71' is not"),
    "half a point": ("1,A,fire,31,-6,,112", "longitude: is required where the other one is given"),
    "the other half": ("1,A,fire,31,,106,112", "latitude: is required where the other one is given"),
    "a latitude out of range": ("1,A,fire,,106,-6,112", "latitude: '106' is not a number of degrees from -90 to 90"),
    "a comma in a latitude": ('1,A,fire,,"-6,1",106,112', "latitude: '-6,1' is not"),
    "NaN": ("1,A,fire,,-6,nan,112", "longitude: 'nan' is not"),
    "digits of another script": ("1,A,fire,,-٦,106,112", "latitude: '-٦' is not"),
    "a number that is none": ("1,A,fire,31,,,112;call us", "numbers: 'call us' is not a number that is dialled in ID"),
    "a number of another country": ("1,A,fire,31,,,+1 212 555 1234", "is not a number that is dialled in ID"),
    "another use of a number": ("1,A,fire,31,,,112:FAX", "numbers: '112:FAX' ends with none of CALL, WHATSAPP"),
    "the place of a shelter": ("1,A,shelter_intake,31,-6,106,112", "latitude: is never given for a shelter's intake"),
    "a value too many": ("1,A,fire,31,,,112,x", "has 8 values, and the header 7"),
    "a value too few": ("1,A,fire,31", "has 4 values, and the header 7"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_by_its_line_and_the_good_ones_are_read(case: str) -> None:
    row, text = BAD_ROWS[case]
    found = read_rows("0,Z,fire,31,,,112", row, "9,Y,fire,31,,,112")
    [fault] = found.faults
    assert fault.line == 3
    assert text in fault.text
    assert ";" not in fault.text.replace("112;", "")
    assert [record.facility.display_name for record in found.records] == ["Z", "Y"]


BAD_VALUES = {
    "opening_hours": "Mo-Fr 8 to 16",
    "languages": "indonesian!",
    "wheelchair": "perhaps",
    "status": "open",
    "assured_time": "31/01/2026",
}


@pytest.mark.parametrize("column", BAD_VALUES)
def test_a_bad_value_is_named_by_its_column(column: str) -> None:
    [fault] = read_rows(f"1,A,fire,31,112,X,{BAD_VALUES[column]}", header=f"id,name,categories,area,numbers,assured_by,{column}").faults
    assert f"{column}: " in fault.text


def test_every_bad_value_of_a_row_is_named_in_one_fault() -> None:
    [fault] = read_rows("/,,pizza,,91,x,y").faults
    assert [part.partition(":")[0] for part in fault.text.split("; ")] == [
        *("id", "name", "categories", "latitude", "longitude", "numbers"),
    ]


GOOD = "id,name,categories,area,numbers\n1,A,fire,31,112\n"
BAD_FILES = {
    "nothing": (b"", 1, "has no rows"),
    "a header alone": (b"id,name,categories\n\n\n", 1, "has no rows"),
    "an unknown column": (b"id,name,categories,phone\n1,A,fire,112\n", 1, "has columns ['phone'] beside id, name"),
    "semicolons": (b"id;name;categories\n1;A;fire\n", 1, "has columns ['id;name;categories'] beside id, name"),
    "a column that is required": (b"id,categories\n1,fire\n", 1, "has no column name"),
    "a column twice": (b"id,name,categories,name\n1,A,fire,B\n", 1, "has a column twice"),
    "not UTF-8": (GOOD.encode() + b"2,\xe9,fire,31,112\n", 3, "is not UTF-8"),
    "a quote within a value": (f'{GOOD}2,"A"B,fire,31,112\n'.encode(), 3, "is not comma-separated values"),
    "a quote without end": (f'{GOOD}2,"A,fire,31,112\n\n\n'.encode(), 3, "is not comma-separated values"),
    "a value without end": (f"{GOOD}2,{'x' * 200_000},fire,31,112\n".encode(), 3, "is not comma-separated values"),
    "ends of lines of old": (b"id,name,categories\r1,A,fire\r", 1, "is not comma-separated values"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_table_is_named_by_the_line_where_it_ends_to_be_one(case: str) -> None:
    file, line, text = BAD_FILES[case]
    [fault] = read(file).faults
    assert fault.line == line
    assert text in fault.text


def test_a_file_is_read_in_pieces_wherever_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    file = f'{GOOD}2,"É\r\n😀",fire,31,112\r\n3,C,fire,31,112'.encode()
    for size in (1, 2, 3, 7, 100):
        monkeypatch.setattr(reading, "_PIECE_BYTES", size)
        found = read(file)
        assert [record.line for record in found.records] == [2, 5]
        assert found.faults == [Fault(3, "name: must be text in one line")]


def test_what_is_written_is_read_as_it_was() -> None:
    header = HEADER.replace("assured_by", "agency,alert_text,assured_by")
    given = read_rows(
        '1,"A ""B"", é 😀",police emergency,,1e-05,-106.123456789012345,"Jl. X\nNo. 1",021 345 6789:WHATSAPP;112,Mo-Fr 08:00-16:00; PH off,'
        "id zh-Hant,no,closed,jakarta-police,Closed; see B,Dinas,2026-01-31T01:02:03.000004Z",
        "2,B,shelter_intake,31.71,,,,112,,,,,,,,",
        header=header,
    )
    assert given.faults == []
    again = read(b"".join(write_facilities(record.facility for record in given.records)))
    assert again.faults == []
    assert [describe(record.facility) for record in again.records] == [describe(record.facility) for record in given.records]


def test_a_facility_that_is_kept_by_hand_is_written_by_its_name() -> None:
    [record] = read_rows("1,A,fire,31,,,112").records
    record.facility.name, record.facility.source = "facilities/pos-a", ""
    _, row = b"".join(write_facilities([record.facility])).splitlines()
    assert row.startswith(b"pos-a,A,FIRE,")
