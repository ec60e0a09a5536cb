"""What the reader of GeoJSON takes, and what it refuses with its line."""

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import shapely

from directory.files import areas_geojson, reading
from directory.files.areas_geojson import read_areas, write_areas
from directory.files.reading import AreaRecord, Fault, Reading
from directory.model import Area

SQUARE = [[106.8, -6.2], [106.9, -6.2], [106.9, -6.1], [106.8, -6.1], [106.8, -6.2]]


def make_feature(coordinates: Any = None, kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    named = {"code": "31.71.01.1001", "name": "Gambir", "parent": "31.71.01"} | properties
    geometry = {"type": kind, "coordinates": [SQUARE] if coordinates is None else coordinates}
    return {"type": "Feature", "properties": named, "geometry": geometry}


def read(file: bytes) -> Reading[AreaRecord]:
    return read_areas(file, lambda _: None)


def write_file(*features: Any) -> bytes:
    """The first feature stands in line 3."""
    rows = ",\n".join(each if isinstance(each, str) else json.dumps(each) for each in features)
    return f'{{"type": "FeatureCollection",\n"features": [\n{rows}\n]}}'.encode()


def test_a_feature_is_read_with_its_line_and_a_point_within_it() -> None:
    found = read(write_file(make_feature(code="31.71.01.1002"), make_feature()))
    assert found.faults == []
    first, second = found.records
    assert (first.line, second.line) == (3, 4)
    assert (second.name, second.display_name, second.parent) == ("areas/31.71.01.1001", "Gambir", "areas/31.71.01")
    boundary = shapely.from_wkb(second.shape.boundary)
    assert boundary.geom_type == "MultiPolygon"
    assert boundary.contains(shapely.Point(second.shape.longitude, second.shape.latitude))


def test_the_order_of_the_members_and_space_between_them_do_not_matter() -> None:
    file = f'\r\n\t{{ "features" : [ {json.dumps(make_feature())} ] , "name": "x", "crs": null, "type" : "FeatureCollection" }}\n'
    assert len(read(file.encode()).records) == 1


def test_altitudes_are_dropped_and_rings_turned_as_the_standard_says() -> None:
    clockwise = [[longitude, latitude, 7.5] for longitude, latitude in reversed(SQUARE)]
    [plain], [turned] = (read(write_file(make_feature([ring]))).records for ring in (SQUARE, clockwise))
    ring = shapely.from_wkb(turned.shape.boundary).geoms[0].exterior
    assert ring.is_ccw
    assert not ring.has_z
    assert shapely.from_wkb(plain.shape.boundary).equals(shapely.from_wkb(turned.shape.boundary))


SWAPPED = [[latitude, longitude] for longitude, latitude in SQUARE]
BOW_TIE = [[106.8, -6.2], [106.9, -6.1], [106.9, -6.2], [106.8, -6.1], [106.8, -6.2]]
FLAT = [[106.8, -6.2], [106.9, -6.2], [106.8, -6.2], [106.8, -6.2]]
HOLE = [[[longitude + 1, latitude] for longitude, latitude in SQUARE]]

BAD_FEATURES = {
    "not an object": (17, "is not a Feature"),
    "another type": ({"type": "Polygon", "coordinates": [SQUARE]}, "is not a Feature"),
    "no properties": ({"type": "Feature", "properties": None, "geometry": None}, "has no properties"),
    "no code": (make_feature(code=None), "its `code` is not a code"),
    "a number as its code": (make_feature(code=31), "its `code` is not a code"),
    "a code with a slash": (make_feature(code="31/71"), "its `code` is not a code"),
    "a code with a line end": (make_feature(code="31.71\n"), "its `code` is not a code"),
    "a code that is a step of a path": (make_feature(code=".."), "its `code` is not a code"),
    "no parent": (make_feature(parent=None), "its `parent` is not a code"),
    "no name": (make_feature(name=""), "its `name` is not text"),
    "a blank name": (make_feature(name="  "), "its `name` is not text"),
    "a name with a NUL": (make_feature(name="Gam\0bir"), "its `name` is not text"),
    "a name with half a character": (make_feature(name="Gambir\ud800"), "its `name` is not text"),
    "a name without end": (make_feature(name="x" * 201), "its `name` is not text"),
    "no geometry": (make_feature() | {"geometry": None}, "has no geometry"),
    "a list as the type of its geometry": (make_feature() | {"geometry": {"type": []}}, "neither a Polygon nor a MultiPolygon"),
    "a point": (make_feature([106.8, -6.2], "Point"), "neither a Polygon nor a MultiPolygon"),
    "no polygon": (make_feature([], "MultiPolygon"), "boundary is empty"),
    "no ring": (make_feature([]), "boundary is empty"),
    "coordinates that are none": (
        make_feature({"a": 1}),
        "positions that are not two numbers each",
    ),
    "an empty hole": (make_feature([SQUARE, []]), "has an empty ring"),
    "an empty polygon": (make_feature([[SQUARE], []], "MultiPolygon"), "boundary is empty"),
    "three positions": (make_feature([[*SQUARE[:2], SQUARE[0]]]), "a ring of less than four positions"),
    "an open ring": (make_feature([SQUARE[:4]]), "one that does not end where it begins"),
    "an open hole": (make_feature([SQUARE, SQUARE[:4]]), "one that does not end where it begins"),
    "a short position": (make_feature([[*SQUARE[:4], [106.8]]]), "positions that are not two numbers each"),
    "a long position": (make_feature([[*SQUARE[:4], [106.8, 1, 2, 3]]]), "positions that are not two numbers each"),
    "a position for a ring": (make_feature([SQUARE[0], SQUARE[1]]), "not made of lists of positions"),
    "a number for the coordinates": (make_feature(7), "not made of lists of positions"),
    "a list for a number": (make_feature([[*SQUARE[:4], [[106.8], -6.2]]]), "positions that are not two numbers each"),
    "altitudes here and there": (make_feature([[[*SQUARE[0], 7], *SQUARE[1:]]]), "positions that are not two numbers each"),
    "text for a number": (make_feature([[*SQUARE[:4], ["106.8", "-6.2"]]]), "positions that are not two numbers each"),
    "true for a number": (make_feature([[*SQUARE[:4], [True, -6.2]]]), "positions that are not two numbers each"),
    "NaN": (json.dumps(make_feature()).replace("106.8,", "NaN,"), "numbers that are none or infinite"),
    "infinity": (json.dumps(make_feature()).replace("106.8,", "1e999,"), "numbers that are none or infinite"),
    "a whole number without end": (make_feature([[[10**400, latitude] for _, latitude in SQUARE]]), "numbers that are none"),
    "a whole number out of range": (make_feature([[[10**300, latitude] for _, latitude in SQUARE]]), "is out of range"),
    "out of range": (make_feature([[[longitude + 180, latitude] for longitude, latitude in SQUARE]]), "is out of range"),
    "latitude first": (make_feature([SWAPPED]), "swapped"),
    "a bow tie": (make_feature([BOW_TIE]), "crosses or touches itself: Self-intersection"),
    "no surface": (make_feature([FLAT]), "crosses or touches itself"),
    "a hole outside": (make_feature([SQUARE, *HOLE]), "crosses or touches itself: Hole lies outside shell"),
    "polygons upon each other": (make_feature([[SQUARE], [SQUARE]], "MultiPolygon"), "crosses or touches itself"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_a_bad_feature_is_named_by_its_line_and_the_good_ones_are_read(case: str) -> None:
    bad, text = BAD_FEATURES[case]
    found = read(write_file(make_feature(), bad, make_feature(code="31.71.01.1003")))
    [fault] = found.faults
    assert fault.line == 4
    assert text in fault.text
    assert fault.text.startswith(("31.71.01.1001: ", "features[1]: "))
    assert [feature.line for feature in found.records] == [3, 5]


GOOD = json.dumps(make_feature())
BAD_FILES = {
    "nothing": (b"", 1, "Expecting {"),
    "no object": (b"[]", 1, "Expecting {"),
    "an empty object": (b"{}", 1, "is not a FeatureCollection"),
    "not UTF-8": (b'{"type":\n\xff', 2, "is not UTF-8"),
    "cut off": (f'{{"type": "FeatureCollection",\n"features": [\n{GOOD},\n'.encode(), 4, "Expecting value"),
    "cut off within a feature": (f'{{"features": [\n{GOOD[:-30]}'.encode(), 2, "Expecting"),
    "a comma too many": (f'{{"features": [\n{GOOD},\n]}}'.encode(), 3, "Expecting value"),
    "features that are no list": (b'{"type": "FeatureCollection",\n"features": {}}', 2, "Expecting ["),
    "no features": (b'{"type": "FeatureCollection", "features": []}', 1, "it has no features"),
    "no list of features": (b'{"type": "FeatureCollection"}', 1, "it has no features"),
    "another type": (f'{{"type": "Topology",\n"features": [{GOOD}]}}'.encode(), 2, "its type is another"),
    "something after it": (write_file(make_feature()) + b"\n{}", 5, "Extra data"),
    "lists without end": (b'{"features": [\n' + b"[" * 200_000, 2, "lists are too deep"),
    "a number without end": (b'{"features": [\n' + b"1" * 5000 + b"]}", 2, "number is too long"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_collection_is_named_by_the_line_where_it_ends_to_be_one(case: str) -> None:
    file, line, text = BAD_FILES[case]
    [fault] = read(file).faults
    assert fault.line == line
    assert text in fault.text


def test_lists_of_any_depth_are_a_fault_and_no_failure() -> None:
    text = write_file(make_feature("deep")).decode()
    for depth in range(1, 1100):
        [fault] = read(text.replace('"deep"', "[" * depth + "]" * depth).encode()).faults
        assert fault.line == 3


def test_a_boundary_may_not_have_more_vertices_than_a_reply_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas_geojson, "_MAX_VERTICES", 4)
    assert read(write_file(make_feature())).faults == [Fault(3, "31.71.01.1001: its boundary has 5 vertices, more than 4: simplify it")]


def test_a_polygon_of_a_million_vertices_is_refused_within_seconds() -> None:
    ring = [[round(100 + index * 1e-5, 5), -6.2] for index in range(1_000_000)]
    file = write_file(make_feature([[*ring, ring[0]]]))
    start = time.monotonic()
    [fault] = read(file).faults
    assert "has 1000001 vertices, more than 100000" in fault.text
    assert time.monotonic() - start < 20


def test_a_file_is_read_in_pieces_wherever_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    file = "\ufeff".encode() + write_file(make_feature(name="Gambir é😀"), make_feature(code="31.71.01.1002")) + b"\n"
    whole = read(file)
    assert [record.line for record in whole.records] == [3, 4]
    for size in (1, 2, 3, 7, 100, 1000):
        monkeypatch.setattr(reading, "_PIECE_BYTES", size)
        assert read(file) == whole
        assert read(file[:-20]).faults[0].line == 4
        assert read(file + b"\n\n{").faults == [Fault(8, "is not a FeatureCollection in JSON: Extra data")]
        assert read(file + b"\n\xff").faults[0] == Fault(7, "is not UTF-8")


def test_the_bytes_that_were_taken_are_reported_as_they_are() -> None:
    file, reports = write_file(*[make_feature()] * 5000), list[int]()
    read_areas(file, reports.append)
    assert reports == sorted(reports)
    assert (reports[0], reports[-1]) == (0, len(file))
    assert len(reports) > len(file) / 300_000


def test_a_file_takes_less_memory_beside_what_is_read_than_it_has_itself() -> None:
    bad = make_feature([[[100 + index * 1e-5, -6.2] for index in range(1000)]])
    file = write_file(*[json.dumps(bad)] * 500)
    tracemalloc.start()
    assert len(read(file).faults) == 500
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(file) / 4


HOLED = [SQUARE, [[106.84, -6.16], [106.84, -6.14], [106.86, -6.14], [106.86, -6.16], [106.84, -6.16]]]
ISLAND = [[[longitude + 1 / 3, latitude] for longitude, latitude in SQUARE]]


def test_what_is_written_is_read_as_it_was() -> None:
    given = read(write_file(make_feature(HOLED), make_feature([HOLED, ISLAND], "MultiPolygon", code="31", parent="", name="É 😀")))
    written = [
        Area(name=each.name, display_name=each.display_name, parent=each.parent, boundary=each.shape.boundary) for each in given.records
    ]
    pieces = list(write_areas([*written, Area(name="areas/31.71", display_name="x", parent="areas/31", boundary=None)]))
    again = read(b"".join(pieces))
    assert again.faults == []
    assert [each._replace(line=0) for each in again.records] == [each._replace(line=0) for each in given.records]


def test_a_large_file_is_written_in_pieces_that_fit_into_a_message(kelurahan: Path) -> None:
    given = read(kelurahan.read_bytes())
    areas = [
        Area(name=each.name, display_name=each.display_name, parent=each.parent, boundary=each.shape.boundary) for each in given.records
    ]
    pieces = list(write_areas(areas))
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= 64_000
    assert [each.shape for each in read(b"".join(pieces)).records] == [each.shape for each in given.records]
