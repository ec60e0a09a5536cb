"""Reads what a LoST client asks (RFC 5222, section 15): hostile until it is read."""

import re
from dataclasses import dataclass

from lxml import etree

from gateway.adapters.lost.errors import BadRequest, LocationProfileUnrecognized
from gateway.adapters.lost.names import LOST, Element
from gateway.adapters.lost.shapes import READERS, read_point
from siaga.type.v1.point_pb2 import Point

PROFILE = "geodetic-2d"
# No entity, no document type, nothing fetched; libxml2 bounds the depth by itself.
PARSER = etree.XMLParser(
    resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, collect_ids=False
)
# The order of a query's own elements; those of other namespaces may extend it and are passed over.
ORDERS = {
    "findService": re.compile("(location )+service (path )?"),
    "listServices": re.compile("(service )?(path )?"),
    "listServicesByLocation": re.compile("(location )+(service )?(path )?"),
    "getServiceBoundary": re.compile(""),
}
ATTRIBUTES = {
    "recursive": {"true", "false", "1", "0"},
    "validateLocation": {"true", "false", "1", "0"},
    "serviceBoundary": {"reference", "value"},
}
TOKEN = re.compile(r"[A-Za-z0-9._:-]+")
SOURCE = re.compile(r"([a-zA-Z0-9-]+\.)+[a-zA-Z0-9]+")


@dataclass(frozen=True)
class Query:
    """`service` is empty where none is named; `path` holds the servers that it came through, the first one first."""

    kind: str
    locations: list[Element]
    service: str
    path: list[str]
    with_boundary: bool

    def find_place(self) -> tuple[str, Point]:
        """Take the first location of a known profile: its id, and a point of its shape."""
        for location in self.locations:
            shape = next(iter(location), None)
            # Without a profile, the shape tells.
            known = shape is not None and shape.tag in READERS
            if location.get("profile", PROFILE if known else "") == PROFILE:
                return location.get("id", ""), read_point(shape)
        profiles = " ".join(location.get("profile", "unknown") for location in self.locations)
        raise LocationProfileUnrecognized(f"A location must be of the profile {PROFILE}.", unsupportedProfiles=profiles)


def read_query(body: bytes) -> Query:
    try:
        root = etree.fromstring(body, PARSER)
    except etree.XMLSyntaxError as error:
        raise BadRequest("The request is not well-formed XML.") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadRequest("The request has a document type, which is not read.")
    kind = root.tag.removeprefix(LOST)
    order = ORDERS.get(kind)
    own = [child for child in root if child.tag.startswith(LOST)]
    if order is None or not order.fullmatch("".join(f"{child.tag.removeprefix(LOST)} " for child in own)):
        raise BadRequest("The request is no LoST query, or an element is missing, out of order or one too many.")
    if any(name in root.attrib and root.get(name) not in words for name, words in ATTRIBUTES.items()):
        raise BadRequest("An attribute of the query has a value that it cannot have.")
    if kind == "getServiceBoundary" and root.get("key") is None:
        raise BadRequest("The boundary's key is missing.")
    locations = root.findall(f"{LOST}location")
    if not all("id" in location.attrib and TOKEN.fullmatch(location.get("profile", PROFILE)) for location in locations):
        raise BadRequest("A location needs an id, and if it names its profile, then by a token.")
    path = [via.get("source", "") for via in root.findall(f"{LOST}path/{LOST}via")]
    if (root.find(f"{LOST}path") is not None and not path) or not all(SOURCE.fullmatch(source) for source in path):
        raise BadRequest("A path needs the names of the servers that it went through.")
    service = root.findtext(f"{LOST}service", "").strip()
    return Query(kind, locations, service, path, with_boundary=root.get("serviceBoundary") == "value")
