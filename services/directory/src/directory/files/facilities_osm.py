"""Facilities as GeoJSON with OpenStreetMap's tags, as Overpass and osmtogeojson write it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import shapely

from directory.files.facility_row import COLUMNS, list_carried, read_row, write_row
from directory.files.geojson import take_object, walk_features, write_features
from directory.files.osm_tags import read_tags, write_tags
from directory.files.reading import FacilityRecord, Fault, Flaw, Reading, UnreadableFile, walk_text
from directory.model import Facility

_ELEMENT = re.compile(r"(node|way|relation)/([0-9]+)")
_SHORT_ELEMENT = re.compile(r"([nwr])([0-9]+)")
_KINDS = {"n": "node", "w": "way", "r": "relation"}
# A member beside `properties`, where no tag of OpenStreetMap can stand: nobody there can say who confirmed an entry.
_OWN = "siaga"


def read_facilities(file: bytes | bytearray, source: str, country: str, report: Callable[[int], None]) -> Reading[FacilityRecord]:
    """Every element that is a facility of ours and has a name; the others are passed over."""
    records, faults, columns, passed_over = list[FacilityRecord](), list[Fault](), set[str](), 0
    try:
        for line, content in walk_features(walk_text(file, report)):
            try:
                row = _read_feature(content, country)
                if row is None:
                    passed_over += 1
                    continue
                columns |= row.keys() & COLUMNS
                records.append(FacilityRecord(line, read_row(row, source, country)))
            except Flaw as flaw:
                faults.append(Fault(line, str(flaw)))
    except UnreadableFile as error:
        faults.append(error.fault)
    if not records and not faults:
        # Taken for an import, it would remove every facility of its source.
        faults.append(Fault(1, f"has no facility among its {passed_over} features"))
    return Reading(records, faults, list_carried(columns), passed_over)


def write_facilities(facilities: Iterable[Facility], country: str) -> Iterator[bytes]:
    """Points with tags, and beside them what tags cannot say."""
    return write_features(_write_feature(facility, country) for facility in facilities)


def _read_feature(content: Any, country: str) -> dict[str, str] | None:  # noqa: ANN401  # JSON
    """A row, or None for what is no facility of ours."""
    feature = take_object(content, "is not a Feature")
    if feature.get("type") != "Feature":
        raise Flaw("is not a Feature")
    properties = take_object(feature.get("properties"), "has no properties")
    nested = properties.get("tags")
    row = read_tags(_take_words(nested if isinstance(nested, dict) else properties), country) | _take_words(feature.get(_OWN))
    if not row["categories"] or not row["name"]:
        return None
    return row | {"id": _find_id(feature, properties)} | _read_point(feature.get("geometry"))


def _take_words(content: Any) -> dict[str, str]:  # noqa: ANN401
    return {key: value for key, value in content.items() if isinstance(value, str)} if isinstance(content, dict) else {}


def _find_id(feature: dict[str, Any], properties: dict[str, Any]) -> str:
    """Such as `n123` for `node/123`, wherever one of the programs that write such files has put that."""
    ids = (properties.get("@id"), feature.get("id"), f"{properties.get('type')}/{properties.get('id')}", properties.get("id"))
    found = next((each for each in ids if isinstance(each, str) and _ELEMENT.fullmatch(each)), None)
    return f"{found[0]}{found.rpartition('/')[2]}" if found else str(feature.get("id") or "")


def _read_point(geometry: Any) -> dict[str, str]:  # noqa: ANN401
    """Of a way or a relation, a point within it."""
    if geometry is None:
        return {}
    try:
        point = shapely.point_on_surface(shapely.from_geojson(json.dumps(geometry, allow_nan=False)))
        return {"latitude": repr(point.y), "longitude": repr(point.x)}
    except (ValueError, RecursionError, AttributeError, shapely.GEOSException):
        raise Flaw("its geometry cannot be read") from None


def _write_feature(facility: Facility, country: str) -> dict[str, Any]:
    row = write_row(facility)
    tags = write_tags(facility, row, country)
    said = read_tags(tags, country)
    placed = {"id", "latitude", "longitude"}
    own = {column: text for column, text in row.items() if column not in placed and text != said.get(column, "")}
    element = _SHORT_ELEMENT.fullmatch(row["id"])
    name = f"{_KINDS[element[1]]}/{element[2]}" if element else row["id"]
    point = None if facility.latitude is None else {"type": "Point", "coordinates": [facility.longitude, facility.latitude]}
    return {
        "type": "Feature",
        "id": name,
        "properties": ({"@id": name} if element else {}) | tags,
        "geometry": point,
        **({_OWN: own} if own else {}),
    }
