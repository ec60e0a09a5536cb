"""Reads a GeoJSON FeatureCollection (RFC 7946) strictly, one feature after the other, and says in which line it is wrong."""

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import shapely
from shapely import MultiPolygon

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


def read_features(file: bytes | bytearray) -> Reading:
    """Everything that is right, and everything that is not; what follows an error of JSON's grammar is not looked at."""
    try:
        text = file.decode()
    except UnicodeDecodeError as error:
        return Reading([], [Fault(1 + file.count(b"\n", 0, error.start), "is not UTF-8")])
    reading = Reading([], [])
    line, counted = 1, 0
    try:
        for index, (start, content) in enumerate(_walk_features(text)):
            line, counted = line + text.count("\n", counted, start), start
            try:
                reading.features.append(_read_feature(line, content))
            except _Flaw as flaw:
                reading.faults.append(Fault(line, f"{_name_feature(content, index)}: {flaw}"))
    except json.JSONDecodeError as error:
        reading.faults.append(Fault(error.lineno, f"is not a FeatureCollection in JSON: {error.msg}"))
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

    def walk(self, marks: str) -> Iterator[int]:
        """The place of each entry of a list (`[]`) or an object (`{}`); its reader takes the entry before it asks for the next."""
        opening, closing = marks
        self.take_mark(opening)
        if self._text.startswith(closing, self.skip_space()):
            self.take_mark(closing)
            return
        while True:
            yield self.skip_space()
            if self.take_mark(f",{closing}") == closing:
                return

    def take_mark(self, marks: str) -> str:
        """The next character, which is one of `marks`."""
        mark = self._text[self.skip_space() : self._place + 1]
        if not mark or mark not in marks:
            self.refuse(f"Expecting {' or '.join(marks)}")
        self._place += 1
        return mark

    def take_value(self) -> Any:  # noqa: ANN401  # JSON
        start = self.skip_space()
        try:
            value, self._place = _DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError:
            raise
        except (ValueError, RecursionError):
            self.refuse("a number is too long, or lists are too deep")
        return value

    def take_end(self) -> None:
        if self.skip_space() < len(self._text):
            self.refuse("Extra data")

    def refuse(self, text: str) -> NoReturn:
        raise json.JSONDecodeError(text, self._text, self._place)


def _walk_features(text: str) -> Iterator[tuple[int, Any]]:
    """Each feature with the place where it begins."""
    scanner, kind, count = _Scanner(text), None, 0
    for _ in scanner.walk("{}"):
        key = scanner.take_value()
        scanner.take_mark(":")
        if key == "features":
            for start in scanner.walk("[]"):
                count += 1
                yield start, scanner.take_value()
        else:
            value = scanner.take_value()
            kind = value if key == "type" else kind
    scanner.take_end()
    if kind != "FeatureCollection":
        scanner.refuse("its type is another")
    if not count:
        # Taken for an import, it would remove every boundary in the scope.
        scanner.refuse("it has no features")


def _name_feature(content: Any, index: int) -> str:  # noqa: ANN401
    """Its code where it has one, else its place in the list."""
    try:
        return _read_code(content["properties"], "code")
    except (_Flaw, KeyError, TypeError, AttributeError):
        return f"features[{index}]"


def _read_feature(line: int, content: Any) -> Feature:  # noqa: ANN401
    feature = _take_object(content, "is not a Feature")
    if feature.get("type") != "Feature":
        raise _Flaw("is not a Feature")
    properties = _take_object(feature.get("properties"), "has no properties")
    code, parent = _read_code(properties, "code"), _read_code(properties, "parent")
    name = properties.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME or not name.isprintable() or not name.strip():
        raise _Flaw(f"its `name` is not text of 1 to {_MAX_NAME} characters")
    return Feature(line, f"areas/{code}", name, f"areas/{parent}", _read_shape(feature.get("geometry")))


def _read_code(properties: dict[str, Any], key: str) -> str:
    code = properties.get(key)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise _Flaw(f"its `{key}` is not a code of letters, digits, points and hyphens")
    return code


def _read_shape(content: Any) -> Shape:  # noqa: ANN401
    geometry = _take_object(content, "has no geometry")
    if geometry.get("type") not in ("Polygon", "MultiPolygon"):
        raise _Flaw("its geometry is neither a Polygon nor a MultiPolygon")
    try:
        parts = shapely.get_parts(shapely.from_geojson(json.dumps(geometry, allow_nan=False)))
    except (ValueError, RecursionError, shapely.GEOSException) as error:
        raise _Flaw(f"its boundary cannot be read: {str(error).rpartition('Exception: ')[2].strip()}") from None
    if not len(parts) or shapely.is_empty([*parts, *shapely.get_rings(parts)]).any():
        raise _Flaw("its boundary is empty or has an empty ring")
    boundary = MultiPolygon(list(parts))
    vertices = shapely.count_coordinates(boundary)
    if vertices > _MAX_VERTICES:
        raise _Flaw(f"its boundary has {vertices} vertices, more than {_MAX_VERTICES}: simplify it")
    west, south, east, north = boundary.bounds
    if west < -180 or east > 180 or south < -90 or north > 90:  # noqa: PLR2004  # degrees
        swapped = ": are latitude and longitude swapped?" if west >= -90 and east <= 90 else ""  # noqa: PLR2004
        raise _Flaw(f"its longitudes are {west} to {east}, its latitudes {south} to {north}, which is out of range{swapped}")
    if not boundary.is_valid:
        raise _Flaw(f"its boundary crosses or touches itself: {shapely.is_valid_reason(boundary)}")
    # RFC 7946 wants outer rings counter-clockwise; equal boundaries become equal bytes.
    oriented = shapely.orient_polygons(boundary)
    point = oriented.representative_point()
    return Shape(shapely.to_wkb(oriented, byte_order=1, output_dimension=2), point.y, point.x)


def _take_object(content: Any, flaw: str) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(content, dict):
        raise _Flaw(flaw)
    return content
