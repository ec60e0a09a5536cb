"""Public warnings as protobuf messages, as far as a reader is shown them."""

# A message takes a datetime for a Timestamp and a number for an enum; the stubs do not say so.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from alerts.model.jurisdiction import Jurisdiction
from alerts.model.reach import Regions
from alerts.model.shapes import Circle, Corners, find_circle_fault, find_polygon_fault
from alerts.model.warnings import Info, Message, PublicWarning
from alerts.wire.alerts import to_time
from chassis.errors import InvalidRequest
from chassis.events import Event
from chassis.masks import json_name, read_mask
from chassis.tail import Change, EndReason, Heartbeat
from chassis.watch import Found, SnapshotEnd, Step
from siaga.alerts.v1 import warning_pb2
from siaga.alerts.v1.warning_service_pb2 import WatchWarningsResponse

FIELDS = tuple(field.name for field in warning_pb2.Warning.Info.DESCRIPTOR.fields)
_TEXTS = tuple(field.name for field in warning_pb2.Warning.Texts.DESCRIPTOR.fields)
_REQUIRED = ("categories", "urgency", "severity", "certainty", "indonesian", "area", "expire_time")
_TIMES = ("onset_time", "effective_time", "expire_time")
_LONG_TEXTS = ("description", "instruction")
# What XML cannot hold (XML 1.0, section 2.2), and other control characters, which no reader expects.
_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_BREAKS = re.compile("[\t\n\u2028\u2029]")

Fault = tuple[str, str]


class ShownWarning:
    """A warning as the tail loaded it, with what was serialized of it: once for all watchers."""

    def __init__(self, warning: PublicWarning) -> None:
        self.warning = warning
        self._serialized: dict[int, bytes] = {}

    def event(self, event: Event, now: datetime) -> bytes:
        """The field `event` of a watch's message."""
        if event.id not in self._serialized:
            content = WatchWarningsResponse.Event(type=event.type, warning=to_message(self.warning, "", now), create_time=event.create_time)
            self._serialized[event.id] = WatchWarningsResponse(event=content).SerializeToString()
        return self._serialized[event.id]


def to_message(warning: PublicWarning, reader: str, now: datetime, sent: Message | None = None) -> warning_pb2.Warning:
    """As the agency `reader` is shown it, or everybody else; as the message `sent` said it, or as the latest says."""
    said = sent or warning
    message = warning_pb2.Warning(
        name=warning.name,
        state=warning.find_state(now),
        status=warning.status,
        agency=warning.agency,
        info=_to_info(said),
        time_zone=said.time_zone,
        create_time=warning.create_time,
    )
    if said.number:
        _add_message(message, said)
    if reader != warning.agency:
        # What the agency works on shows in neither.
        message.etag = f'"m{warning.number}"'
        message.update_time.FromDatetime(warning.sent_time)
        return message
    message.etag = warning.etag
    message.update_time.FromDatetime(warning.update_time)
    message.author, message.approver = (warning.proposal or warning).operator, warning.approver
    if warning.proposal:
        message.proposed_info.CopyFrom(_to_info(warning.proposal))
    return message


def to_steps(cursor: str, step: Step[ShownWarning], now: datetime) -> bytes:
    """A step of a watch. Fields that follow each other on the wire are one message: the cursor goes before."""
    message = WatchWarningsResponse
    lead = message(cursor=cursor).SerializeToString()
    match step:
        case Found(shown):
            found = message.Event(type="WarningInForce", warning=to_message(shown.warning, "", now))
            return lead + message(event=found).SerializeToString()
        case SnapshotEnd():
            return lead + message(snapshot_end=message.SnapshotEnd()).SerializeToString()
        case Change(event, shown):
            return lead + shown.event(event, now)
        case Heartbeat():
            return lead + message(heartbeat=message.Heartbeat()).SerializeToString()
        case EndReason():
            return lead + message(end=message.End(reason=message.End.Reason.Value(step))).SerializeToString()


def to_left(cursor: str, name: str) -> bytes:
    return WatchWarningsResponse(cursor=cursor, left=WatchWarningsResponse.Left(name=name)).SerializeToString()


def read_info_mask(mask: FieldMask, info: warning_pb2.Warning.Info) -> Sequence[str]:
    """The fields of `info` that an update changes. Raises InvalidRequest."""
    paths = list(mask.paths)
    if "info" in paths or "*" in paths:
        return FIELDS
    if wrong := sorted(path for path in paths if not path.startswith("info.")):
        raise InvalidRequest(fields=[("updateMask", f"{path[:100]} cannot be changed") for path in wrong])
    return read_mask(FieldMask(paths=[path.removeprefix("info.") for path in paths]), info, FIELDS)


def to_columns(info: warning_pb2.Warning.Info, fields: Sequence[str], path: str) -> dict[str, Any]:
    """Of these fields, without what follows from the area; `path` is where they stand in the request. Raises InvalidRequest."""
    faults = [(f"{path}.{json_name(field)}", "is required") for field in _REQUIRED if field in fields and not _has(info, field)]
    columns: dict[str, Any] = {}
    for field in fields:
        if field == "area":
            columns |= _read_area(info.area)
            faults += ((f"{path}.area.{place}", wrong) for place, wrong in _find_shape_faults(columns["polygons"], columns["circles"]))
        elif field in {"indonesian", "english"}:
            texts = getattr(info, field)
            columns[field] = {name: getattr(texts, name) for name in _TEXTS} if info.HasField(field) else None
            faults += ((f"{path}.{field}.{json_name(name)}", wrong) for name, wrong in _find_text_faults(columns[field] or {}))
        elif field in _TIMES:
            time = to_time(info, field)
            columns[field] = time and time.replace(microsecond=0)
        elif field in {"categories", "response_types"}:
            columns[field] = list(getattr(info, field))
        else:
            columns[field] = getattr(info, field)
    faults += ((f"{path}.contact", wrong) for _, wrong in _find_text_faults({"contact": columns.get("contact", "")}))
    if faults:
        raise InvalidRequest(fields=faults)
    return columns


def add_reach(columns: dict[str, Any], regions: Regions, jurisdiction: Jurisdiction, agency: str) -> dict[str, Any]:
    """With what follows from the area, where that is among them. Raises OutsideJurisdiction."""
    if "areas" not in columns:
        return columns
    areas: list[str] = columns["areas"]
    reach = regions.measure(areas, columns["polygons"], columns["circles"])
    crossed = jurisdiction.find_crossed(agency, areas, reach.areas[len(areas) :])
    return columns | {"reached": reach.areas, "wide": reach.wide or bool(crossed), "time_zone": reach.time_zone}


def find_line_fault(text: str) -> str:
    """What is wrong with a text of one line; empty where nothing is."""
    return next((wrong for _, wrong in _find_text_faults({"": text})), "")


def _has(info: warning_pb2.Warning.Info, field: str) -> bool:
    if field == "area":
        return bool(info.area.areas or info.area.polygons or info.area.circles)
    return info.HasField(field) if field in {"indonesian", "expire_time"} else bool(getattr(info, field))


def _read_area(area: warning_pb2.Warning.Area) -> dict[str, Any]:
    polygons: list[Corners] = []
    for polygon in area.polygons:
        corners = [[point.latitude, point.longitude] for point in polygon.points]
        polygons.append(corners[:-1] if corners[0] == corners[-1] else corners)
    circles = [[each.center.latitude, each.center.longitude, each.radius_meters] for each in area.circles]
    return {"areas": list(area.areas), "polygons": polygons, "circles": circles}


def _find_shape_faults(polygons: Sequence[Corners], circles: Sequence[Circle]) -> Iterator[Fault]:
    for kind, shapes, find in (("polygons", polygons, find_polygon_fault), ("circles", circles, find_circle_fault)):
        for number, shape in enumerate(shapes):
            if wrong := find(shape):
                yield f"{kind}[{number}]", wrong


def _find_text_faults(texts: dict[str, str]) -> Iterator[Fault]:
    for name, text in texts.items():
        if _UNWRITABLE.search(text):
            yield name, "must hold no control characters"
        elif name not in _LONG_TEXTS and _BREAKS.search(text):
            yield name, "must be one line"
        elif text and not text.strip():
            yield name, "must be more than white space"


def _to_info(said: Info) -> warning_pb2.Warning.Info:
    info = warning_pb2.Warning.Info(
        categories=said.categories,
        response_types=said.response_types,
        urgency=said.urgency,
        severity=said.severity,
        certainty=said.certainty,
        indonesian=said.indonesian,
        contact=said.contact,
        web=said.web,
    )
    if said.english:
        info.english.CopyFrom(warning_pb2.Warning.Texts(**said.english))
    info.area.areas.extend(said.areas)
    for corners in said.polygons:
        polygon = info.area.polygons.add()
        for latitude, longitude in corners:
            polygon.points.add(latitude=latitude, longitude=longitude)
    for latitude, longitude, radius in said.circles:
        circle = info.area.circles.add(radius_meters=radius)
        circle.center.latitude, circle.center.longitude = latitude, longitude
    for field in _TIMES:
        if time := getattr(said, field):
            getattr(info, field).FromDatetime(time)
    return info


def _add_message(message: warning_pb2.Warning, said: PublicWarning | Message) -> None:
    uuid = message.name.removeprefix("warnings/")
    sent = message.message
    sent.number, sent.type, sent.identifier = said.number, said.type, f"{uuid}.{said.number}"
    sent.sender, sent.sender_name, sent.note = said.sender, said.sender_name, said.note
    sent.sent_time.FromDatetime(said.sent_time)
    for number, (sender, seconds, time_zone) in enumerate(said.messages[:-1], 1):
        sent_time = datetime.fromtimestamp(seconds, UTC)
        sent.references.add(sender=sender, identifier=f"{uuid}.{number}", sent_time=sent_time, time_zone=time_zone)
