"""The directory as protobuf messages, and what a request says of an entry."""

import json
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import shapely
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from shapely import MultiPolygon

from chassis.events import Event
from chassis.masks import json_name
from directory.changes import Changed
from directory.model import Agency, Area, Coverage, Facility, Hotline, PhoneNumber, Use
from directory.phones import write_uri
from siaga.directory.v1 import agency_pb2, area_pb2, directory_admin_service_pb2, facility_pb2, snapshot_pb2
from siaga.type.v1 import point_pb2

# The names of entries as UUIDs (version 5): the contract's `uid`.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "directory.siaga")


class Writer:
    """Writes entries as messages; `country` (ISO 3166-1 alpha-2) is where the numbers are dialled."""

    def __init__(self, country: str) -> None:
        self._country = country

    def to_area_record(self, area: Area) -> snapshot_pb2.Snapshot.AreaRecord:
        return snapshot_pb2.Snapshot.AreaRecord(area=self.to_area(area), boundary=area.boundary or b"")

    def to_area(self, area: Area) -> area_pb2.Area:
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
            etag=area.etag,
            update_time=to_timestamp(area.update_time),
        )

    def to_agency(self, agency: Agency) -> agency_pb2.Agency:
        return agency_pb2.Agency(
            name=agency.name,
            display_name=agency.display_name,
            parent=agency.parent or "",
            numbers=self._to_numbers(agency.numbers),
            sip_uri=agency.sip_uri,
            alert_policy=ParseDict(agency.alert_policy, agency_pb2.AlertPolicy()) if agency.alert_policy is not None else None,
            assured_by=agency.assured_by,
            assured_time=to_timestamp(agency.assured_time),
            uid=make_uid(agency.name),
            etag=agency.etag,
            update_time=to_timestamp(agency.update_time),
        )

    def to_hotline(self, hotline: Hotline) -> agency_pb2.Hotline:
        return agency_pb2.Hotline(
            name=hotline.name,
            display_name=hotline.display_name,
            categories=_to_categories(hotline.categories),
            numbers=self._to_numbers(hotline.numbers),
            area=hotline.area or "",
            assured_by=hotline.assured_by,
            assured_time=to_timestamp(hotline.assured_time),
            uid=make_uid(hotline.name),
            etag=hotline.etag,
            update_time=to_timestamp(hotline.update_time),
        )

    def to_facility(self, facility: Facility) -> facility_pb2.Facility:
        placed = facility.latitude is not None and facility.longitude is not None
        return facility_pb2.Facility(
            name=facility.name,
            display_name=facility.display_name,
            categories=_to_categories(facility.categories),
            agency=facility.agency or "",
            area=facility.area,
            point=point_pb2.Point(latitude=facility.latitude, longitude=facility.longitude) if placed else None,
            address=facility.address,
            numbers=self._to_numbers(facility.numbers),
            opening_hours=facility.opening_hours,
            languages=facility.languages,
            wheelchair=facility_pb2.Facility.Wheelchair.ValueType(facility.wheelchair),
            status=facility_pb2.Facility.Status.ValueType(facility.status),
            alert_text=facility.alert_text,
            assured_by=facility.assured_by,
            assured_time=to_timestamp(facility.assured_time),
            source=facility.source,
            uid=make_uid(facility.name),
            etag=facility.etag,
            update_time=to_timestamp(facility.update_time),
        )

    def _to_numbers(self, numbers: Sequence[PhoneNumber]) -> list[agency_pb2.PhoneNumber]:
        return [
            agency_pb2.PhoneNumber(
                number=each["number"],
                use=agency_pb2.PhoneNumber.Use.ValueType(each["use"]),
                uri=write_uri(each["number"], self._country, whatsapp=each["use"] == Use.WHATSAPP),
            )
            for each in numbers
        ]


def to_coverage(row: Coverage) -> agency_pb2.Coverage:
    return agency_pb2.Coverage(area=row.area, category=agency_pb2.Category.ValueType(row.category), agency=row.agency)


def to_change(changed: Changed, event: Event | None = None, source: str = "") -> directory_admin_service_pb2.DirectoryChange:
    """What the log has of a change; without an event, what an import does or would do."""
    kind = directory_admin_service_pb2.DirectoryChange
    return kind(
        name=changed.name,
        action=kind.Action.Value(changed.action),
        actor=event.actor if event else "",
        create_time=to_timestamp(event.create_time) if event else None,
        fields=[
            kind.FieldChange(path=json_name(path), old_value=_to_json(old), new_value=_to_json(new))
            for path, (old, new) in changed.fields.items()
        ],
        source=event.attributes["source"] if event else source,
    )


def to_feature(area: area_pb2.Area, boundary: MultiPolygon) -> Struct:
    """A GeoJSON Feature; a large one takes half a second."""
    properties = {"code": area.name.removeprefix("areas/"), "name": area.display_name, "parent": area.parent.removeprefix("areas/")}
    geometry: dict[str, Any] = json.loads(shapely.to_geojson(boundary))
    feature = Struct()
    feature.update({"type": "Feature", "id": properties["code"], "properties": properties, "geometry": geometry})
    return feature


def to_timestamp(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def make_uid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))


def holds(area: str, name: str) -> bool:
    """Tell whether the area of the second name is the first one or lies within it."""
    return name == area or name.startswith(f"{area}.")


def to_columns(entry: Message, fields: Iterable[str]) -> dict[str, Any]:
    """What a request says of these fields, by column. Raises ValueError naming the field whose time is out of range."""
    columns: dict[str, Any] = {}
    for name in fields:
        value: Any = getattr(entry, name)
        match name:
            case "point":
                columns["latitude"] = value.latitude if entry.HasField("point") else None
                columns["longitude"] = value.longitude if entry.HasField("point") else None
            case "numbers":
                columns[name] = [PhoneNumber(number=each.number, use=each.use) for each in value]
            case "assured_time":
                columns[name] = _to_time(value) if entry.HasField("assured_time") else None
            case "alert_policy":
                columns[name] = MessageToDict(value) if entry.HasField("alert_policy") else None
            case "parent" | "agency" | "area":
                columns[name] = value or None
            case "categories" | "languages":
                columns[name] = list(value)
            case _:
                columns[name] = value
    return columns


def _to_time(stamp: Timestamp) -> datetime:
    try:
        return stamp.ToDatetime(UTC)
    except (ValueError, OverflowError):
        message = "assured_time"
        raise ValueError(message) from None


def _to_categories(categories: Iterable[int]) -> list[agency_pb2.Category.ValueType]:
    return [agency_pb2.Category.ValueType(category) for category in categories]


def _to_json(value: Any) -> str:  # noqa: ANN401  # whatever a column holds
    return "" if value is None else json.dumps(value, ensure_ascii=False)
