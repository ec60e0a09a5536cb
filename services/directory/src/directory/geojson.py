"""Reads a GeoJSON FeatureCollection (RFC 7946) strictly, one feature after the other, and says in which line it is wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import shapely
from shapely import MultiPolygon, Polygon

from directory.model import Shape

# As many as GetAreaBoundary can answer with below gRPC's default limit of 4 MB for a received message.
_MAX_VERTICES = 100_000
_MAX_NAME = 200
_CODE = re.compile(r"[A-Za-z0-9.-]{1,60}")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Fault(NamedTuple):
    """What is wrong, and the line of the file where the feature begins or the text ends to be JSON."""

    line: int
    text: str


class Feature(NamedTuple):
    """An area of a file; `name` and `parent` are resource names."""

    line: int
    name: str
    display_name: str
    parent: str
    shape: Shape


class Reading(NamedTuple):
    """All of a file."""

    features: list[Feature]
    faults: list[Fault]


class _Flaw(Exception):
    """Something in a feature is wrong; the text says what."""


def read_features(file: bytes) -> Reading:
    """Everything that is right, and everything that is not; what follows an error of JSON's grammar is not looked at."""
    try:
        text = file.decode()
    except UnicodeDecodeError as error:
        return Reading([], [Fault(1 + file.count(b"\n", 0, error.start), "is not UTF-8")])
    reading = Reading([], [])
    line, counted, index = 1, 0, -1
    try:
        for index, (start, content) in enumerate(_walk_features(text)):
            line, counted = line + text.count("\n", counted, start), start
            try:
                reading.features.append(_read_feature(line, content))
            except _Flaw as flaw:
                reading.faults.append(Fault(line, f"{_name_feature(content, index)}: {flaw}"))
    except json.JSONDecodeError as error:
        reading.faults.append(Fault(error.lineno, f"is not a FeatureCollection in JSON: {error.msg}"))
    except (ValueError, RecursionError):
        reading.faults.append(Fault(line, f"features[{index + 1}] holds a number too long or lists too deep"))
    return reading


class _Scanner:
    """A place in a JSON text. Only one value is decoded at a time, which is what keeps a file of 256 MB small in memory."""

    def __init__(self, text: str) -> None:
        self._text, self._place = text, 0

    def skip_space(self) -> int:
        """The place where something follows."""
        space = _SPACE.match(self._text, self._place)
        self._place = space.end() if space else self._place
        return self._place

    def sees(self, mark: str) -> bool:
        return self._text.startswith(mark, self.skip_space())

    def take_mark(self, marks: str) -> str:
        """The next character, which is one of `marks`."""
        mark = self._text[self.skip_space() : self._place + 1]
        if not mark or mark not in marks:
            self.refuse(f"Expecting {' or '.join(marks)}")
        self._place += 1
        return mark

    def take_value(self) -> Any:  # noqa: ANN401  # JSON
        value, self._place = _DECODER.raw_decode(self._text, self.skip_space())
        return value

    def take_end(self) -> None:
        if self.skip_space() < len(self._text):
            self.refuse("Extra data")

    def refuse(self, text: str) -> NoReturn:
        raise json.JSONDecodeError(text, self._text, self._place)


def _walk_features(text: str) -> Iterator[tuple[int, Any]]:
    """Each feature with the place where it begins."""
    scanner = _Scanner(text)
    kind, count = None, 0
    scanner.take_mark("{")
    while True:
        key = scanner.take_value()
        scanner.take_mark(":")
        if key == "features":
            for each in _walk_list(scanner):
                count += 1
                yield each
        elif key == "type":
            kind = scanner.take_value()
        else:
            scanner.take_value()
        if scanner.take_mark(",}") == "}":
            break
    scanner.take_end()
    if kind != "FeatureCollection":
        scanner.refuse("its type is another")
    if not count:
        # Taken for an import, it would remove every boundary in the scope.
        scanner.refuse("it has no features")


def _walk_list(scanner: _Scanner) -> Iterator[tuple[int, Any]]:
    scanner.take_mark("[")
    if scanner.sees("]"):
        scanner.take_mark("]")
        return
    while True:
        start = scanner.skip_space()
        yield start, scanner.take_value()
        if scanner.take_mark(",]") == "]":
            return


def _name_feature(content: Any, index: int) -> str:  # noqa: ANN401
    """Its code where it has one, else its place in the list."""
    try:
        return _read_code(content["properties"], "code")
    except (_Flaw, KeyError, TypeError):
        return f"features[{index}]"


def _read_feature(line: int, content: Any) -> Feature:  # noqa: ANN401
    if not isinstance(content, dict) or content.get("type") != "Feature":
        raise _Flaw("is not a Feature")
    properties = content.get("properties")
    if not isinstance(properties, dict):
        raise _Flaw("has no properties")
    code, parent = _read_code(properties, "code"), _read_code(properties, "parent")
    name = properties.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable() or not name.strip():
        raise _Flaw(f"its `name` is not text of 1 to {_MAX_NAME} characters")
    return Feature(line, f"areas/{code}", name, f"areas/{parent}", _read_shape(content.get("geometry")))


def _read_code(properties: Any, key: str) -> str:  # noqa: ANN401
    code = properties.get(key)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise _Flaw(f"its `{key}` is not a code of letters, digits, points and hyphens")
    return code


def _read_shape(geometry: Any) -> Shape:  # noqa: ANN401
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"}:
        raise _Flaw("its geometry is neither a Polygon nor a MultiPolygon")
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons:
        raise _Flaw("its boundary is empty")
    boundary = MultiPolygon([_read_polygon(polygon) for polygon in polygons])
    vertices = shapely.count_coordinates(boundary)
    if vertices > _MAX_VERTICES:
        raise _Flaw(f"its boundary has {vertices} vertices, more than {_MAX_VERTICES}: simplify it")
    if not boundary.is_valid:
        raise _Flaw(f"its boundary crosses or touches itself: {shapely.is_valid_reason(boundary)}")
    # RFC 7946 wants outer rings counter-clockwise; equal boundaries become equal bytes.
    oriented = shapely.orient_polygons(boundary)
    point = oriented.representative_point()
    return Shape(shapely.to_wkb(oriented, byte_order=1, output_dimension=2), point.y, point.x)


def _read_polygon(rings: Any) -> Polygon:  # noqa: ANN401
    if not isinstance(rings, list) or not rings:
        raise _Flaw("a polygon has no ring")
    outer, *holes = [_read_ring(ring) for ring in rings]
    return Polygon(outer, holes)


def _read_ring(ring: Any) -> list[tuple[float, float]]:  # noqa: ANN401
    if not isinstance(ring, list) or len(ring) < 4:  # noqa: PLR2004  # RFC 7946
        raise _Flaw("a ring has fewer than 4 positions")
    positions = [_read_position(position) for position in ring]
    if positions[0] != positions[-1]:
        raise _Flaw("a ring is not closed: its last position must be its first")
    return positions


def _read_position(position: Any) -> tuple[float, float]:  # noqa: ANN401
    # A bool is an int to isinstance.
    if not isinstance(position, list) or len(position) not in {2, 3} or any(type(each) not in {int, float} for each in position):
        raise _Flaw("a position is not [longitude, latitude]")
    longitude, latitude = position[0], position[1]
    if -180 <= longitude <= 180 and -90 <= latitude <= 90:
        return float(longitude), float(latitude)
    if -90 <= longitude <= 90 and -180 <= latitude <= 180:
        raise _Flaw(f"latitude and longitude are swapped: [{longitude}, {latitude}] must be longitude first")
    raise _Flaw("a position is out of range: longitude is -180 to 180, latitude -90 to 90")
