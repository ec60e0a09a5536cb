"""The directory as protobuf messages."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import shapely
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from directory.model import Agency, Area, Contents, Hotline, PhoneNumber
from siaga.directory.v1 import agency_pb2, area_pb2, snapshot_pb2
from siaga.type.v1 import point_pb2


def to_snapshot(contents: Contents) -> snapshot_pb2.Snapshot:
    """Everything in one message."""
    return snapshot_pb2.Snapshot(
        areas=[snapshot_pb2.Snapshot.AreaRecord(area=_to_area(area), boundary=area.boundary or b"") for area in contents.areas],
        agencies=[_to_agency(agency) for agency in contents.agencies],
        hotlines=[_to_hotline(hotline) for hotline in contents.hotlines],
        coverage=[
            agency_pb2.Coverage(area=row.area, category=agency_pb2.Category.ValueType(row.category), agency=row.agency)
            for row in contents.coverage
        ],
    )


def _to_area(area: Area) -> area_pb2.Area:
    """Without its boundary."""
    return area_pb2.Area(
        name=area.name,
        display_name=area.display_name,
        level=area_pb2.Area.Level.ValueType(area.level),
        parent=area.parent or "",
        point=point_pb2.Point(latitude=area.latitude, longitude=area.longitude),
        has_boundary=area.boundary is not None,
        time_zone=area.time_zone,
        emergency_number=area.emergency_number,
    )


def _to_agency(agency: Agency) -> agency_pb2.Agency:
    return agency_pb2.Agency(
        name=agency.name,
        display_name=agency.display_name,
        parent=agency.parent or "",
        numbers=_to_numbers(agency.numbers),
        assurance=_to_assurance(agency),
    )


def _to_hotline(hotline: Hotline) -> agency_pb2.Hotline:
    return agency_pb2.Hotline(
        name=hotline.name,
        display_name=hotline.display_name,
        categories=[agency_pb2.Category.ValueType(category) for category in hotline.categories],
        numbers=_to_numbers(hotline.numbers),
        area=hotline.area or "",
        assurance=_to_assurance(hotline),
    )


def to_feature(area: area_pb2.Area, boundary: bytes) -> Struct:
    """A GeoJSON Feature; a large one takes half a second."""
    properties = {"code": area.name.removeprefix("areas/"), "name": area.display_name, "parent": area.parent.removeprefix("areas/")}
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(shapely.from_wkb(boundary)))
    feature = Struct()
    feature.update({"type": "Feature", "id": properties["code"], "properties": properties, "geometry": geometry})
    return feature


def to_timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _to_numbers(numbers: Sequence[PhoneNumber]) -> list[agency_pb2.PhoneNumber]:
    return [agency_pb2.PhoneNumber(number=each["number"], use=agency_pb2.PhoneNumber.Use.ValueType(each["use"])) for each in numbers]


def _to_assurance(entry: Agency | Hotline) -> agency_pb2.Assurance:
    return agency_pb2.Assurance(assured_by=entry.assured_by, assured_time=to_timestamp(entry.assured_time))
