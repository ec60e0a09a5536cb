"""Writes what a LoST client is answered (RFC 5222, section 15)."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from lxml import etree
from shapely import Polygon
from shapely.geometry.polygon import orient

from gateway.adapters.lost.errors import LostError
from gateway.adapters.lost.names import GML, LOST, XML_LANG, Element
from siaga.directory.v1.directory_service_pb2 import ResolveLocationResponse

# How long a client may keep an answer.
KEPT = timedelta(days=1)
# Of what came with the program and has no time of its own.
BUILT_IN = datetime(2026, 1, 1, tzinfo=UTC)


def write_errors(source: str, error: LostError) -> Element:
    root = start("errors", source=source)
    add(root, error.element, message=error.text, **error.attributes).set(XML_LANG, "en")
    return root


def write_mapping(
    source: str, service: str, found: ResolveLocationResponse.Responsibility, boundary: Polygon | None, warnings: Mapping[str, str]
) -> Element:
    """Write the answer to findService: whom to call for the service, and where that holds. `warnings` are texts by element."""
    root = start("findServiceResponse")
    agency = found.agency
    updated = agency.update_time.ToDatetime(UTC) if agency.HasField("update_time") else BUILT_IN
    identity = "\n".join((service, found.area, agency.name, agency.etag, boundary.wkt if boundary else ""))
    mapping = add(
        root,
        "mapping",
        expires=write_time(datetime.now(UTC) + KEPT),
        lastUpdated=write_time(updated),
        source=source,
        sourceId=hashlib.sha256(identity.encode()).hexdigest()[:32],
    )
    if agency.display_name:
        add(mapping, "displayName", agency.display_name).set(XML_LANG, "id")
    add(mapping, "service", service)
    if boundary:
        write_polygon(add(mapping, "serviceBoundary", profile="geodetic-2d"), boundary)
    # The standard allows one address of each scheme.
    addresses: dict[str, str] = {}
    for uri in (agency.sip_uri, *(number.uri for number in agency.numbers)):
        addresses.setdefault(uri.partition(":")[0], uri)
    for uri in filter(None, addresses.values()):
        add(mapping, "uri", uri)
    if found.number:
        add(mapping, "serviceNumber", found.number)
    if warnings:
        container = add(root, "warnings", source=source)
        for name, text in warnings.items():
            add(container, name, message=text).set(XML_LANG, "en")
    return root


def write_services(kind: str, services: Iterable[str]) -> Element:
    root = start(kind)
    add(root, "serviceList", " ".join(services))
    return root


def end_reply(root: Element, path: Iterable[str], location: str = "") -> Element:
    """Add what every answer ends with: the servers that the query went through, and the id of the location that was used."""
    through = add(root, "path")
    for source in path:
        add(through, "via", source=source)
    if location:
        add(root, "locationUsed", id=location)
    return root


def write_polygon(parent: Element, polygon: Polygon) -> None:
    """Write the rings, the exterior against the clock, latitude before longitude."""
    shape = etree.SubElement(parent, f"{GML}Polygon", nsmap={"gml": GML[1:-1]}, srsName="urn:ogc:def:crs:EPSG::4326")
    polygon = orient(polygon)
    for name, ring in (("exterior", polygon.exterior), *(("interior", each) for each in polygon.interiors)):
        linear = etree.SubElement(etree.SubElement(shape, f"{GML}{name}"), f"{GML}LinearRing")
        etree.SubElement(linear, f"{GML}posList").text = " ".join(f"{y} {x}" for x, y in ring.coords)


def write_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def start(name: str, **attributes: str) -> Element:
    # lxml's stubs know of no default namespace.
    return etree.Element(f"{LOST}{name}", attributes, nsmap={None: LOST[1:-1]})  # pyright: ignore[reportArgumentType]


def add(parent: Element, name: str, text: str | None = None, **attributes: str) -> Element:
    child = etree.SubElement(parent, f"{LOST}{name}", attributes)
    child.text = text
    return child
