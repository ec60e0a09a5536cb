"""The boundaries of areas as GeoJSON: read strictly, and written."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import shapely
from shapely import MultiPolygon

from directory.files.geojson import take_object, walk_features, write_features
from directory.files.reading import AreaRecord, Fault, Flaw, Reading, UnreadableFile, walk_text
from directory.model import Area, Shape

# As many as GetAreaBoundary can answer with below gRPC's default limit of 4 MB for a received message.
_MAX_VERTICES = 100_000
_MAX_NAME = 200
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,59}")


def read_areas(file: bytes | bytearray, report: Callable[[int], None]) -> Reading[AreaRecord]:
    """Everything that is right, and everything that is not; what follows an error of JSON's grammar is not looked at."""
    reading = Reading[AreaRecord]([], [])
    try:
        for index, (line, content) in enumerate(walk_features(walk_text(file, report))):
            try:
                reading.records.append(_read_feature(line, content))
            except Flaw as flaw:
                reading.faults.append(Fault(line, f"{_name_feature(content, index)}: {flaw}"))
    except UnreadableFile as error:
        reading.faults.append(error.fault)
    return reading


def write_areas(areas: Iterable[Area]) -> Iterator[bytes]:
    """Those that have a boundary."""
    return write_features(_write_feature(area, area.boundary) for area in areas if area.boundary)


def _write_feature(area: Area, boundary: bytes) -> dict[str, Any]:
    code, parent = area.name.removeprefix("areas/"), (area.parent or "").removeprefix("areas/")
    properties = {"code": code, "name": area.display_name, "parent": parent}
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(shapely.from_wkb(boundary)))
    return {"type": "Feature", "id": code, "properties": properties, "geometry": geometry}


def _name_feature(content: Any, index: int) -> str:  # noqa: ANN401  # JSON
    """Its code where it has one, else its place in the list."""
    try:
        return _read_code(content["properties"], "code")
    except (Flaw, KeyError, TypeError, AttributeError):
        return f"features[{index}]"


def _read_feature(line: int, content: Any) -> AreaRecord:  # noqa: ANN401
    feature = take_object(content, "is not a Feature")
    if feature.get("type") != "Feature":
        raise Flaw("is not a Feature")
    properties = take_object(feature.get("properties"), "has no properties")
    code = _read_code(properties, "code")
    parent = "" if properties.get("parent") == "" else _read_code(properties, "parent")
    name = properties.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable() or not name.strip():
        raise Flaw(f"its `name` is not text of 1 to {_MAX_NAME} characters")
    return AreaRecord(line, f"areas/{code}", name, f"areas/{parent}", _read_shape(feature.get("geometry")))


def _read_code(properties: dict[str, Any], key: str) -> str:
    code = properties.get(key)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise Flaw(f"its `{key}` is not a code of letters, digits, points and hyphens")
    return code


def _read_shape(content: Any) -> Shape:  # noqa: ANN401
    geometry = take_object(content, "has no geometry")
    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise Flaw("its geometry is neither a Polygon nor a MultiPolygon")
    coordinates = geometry.get("coordinates")
    boundary = _read_polygons([coordinates] if geometry["type"] == "Polygon" else coordinates)
    west, south, east, north = boundary.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:  # noqa: PLR2004  # degrees
        swapped = ": are latitude and longitude swapped?" if west >= -90 and east <= 90 else ""  # noqa: PLR2004
        raise Flaw(f"its longitudes are {west} to {east}, its latitudes {south} to {north}, which is out of range{swapped}")
    if not boundary.is_valid:
        raise Flaw(f"its boundary crosses or touches itself: {shapely.is_valid_reason(boundary)}")
    # RFC 7946 wants outer rings counter-clockwise; equal boundaries become equal bytes.
    oriented = shapely.orient_polygons(boundary)
    point = oriented.representative_point()
    return Shape(shapely.to_wkb(oriented, byte_order=1), point.y, point.x)


def _read_polygons(polygons: Any) -> MultiPolygon:  # noqa: ANN401
    """The coordinates of a MultiPolygon without altitudes. GEOS would take text for numbers and close an open ring."""
    try:
        rings = list(chain.from_iterable(polygons))
        positions = list(chain.from_iterable(rings))
        numbers = list(chain.from_iterable(positions))
    except TypeError:
        raise Flaw("its boundary is not made of lists of positions") from None
    if len(positions) > _MAX_VERTICES:
        raise Flaw(f"its boundary has {len(positions)} vertices, more than {_MAX_VERTICES}: simplify it")
    if not rings or not all(polygons) or not all(rings):
        raise Flaw("its boundary is empty or has an empty ring")
    sizes, kinds = set(map(len, positions)), set(map(type, numbers))
    if sizes not in ({2}, {3}) or not kinds <= {float, int}:
        raise Flaw("its boundary has positions that are not two numbers each, or three each")
    try:
        flat = np.array(numbers, dtype=float).reshape(len(positions), -1)[:, :2]
    except OverflowError:
        flat = np.array([np.inf])
    if not np.isfinite(flat).all():
        raise Flaw("its boundary has numbers that are none or infinite")
    if min(map(len, rings)) < 4 or any(ring[0][:2] != ring[-1][:2] for ring in rings):  # noqa: PLR2004  # RFC 7946, 3.1.6
        raise Flaw("its boundary has a ring of less than four positions, or one that does not end where it begins")
    closed = np.asarray(shapely.linearrings(flat, indices=np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])))
    parts = np.asarray(shapely.polygons(closed, indices=np.repeat(np.arange(len(polygons)), [len(polygon) for polygon in polygons])))
    return MultiPolygon(list(parts))
