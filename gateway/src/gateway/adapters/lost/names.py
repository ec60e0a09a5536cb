"""The words of the standards: namespaces, and which category of the directory a service URN (RFC 5031) stands for."""

# lxml gives the type of what it parses no public name.
from lxml.etree import _Element as Element  # pyright: ignore[reportPrivateUsage]

from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import Category

__all__ = ["GML", "LOST", "PIDF_SHAPES", "SERVICES", "SOS", "XML_LANG", "Element"]

LOST = "{urn:ietf:params:xml:ns:lost1}"
GML = "{http://www.opengis.net/gml}"
PIDF_SHAPES = "{http://www.opengis.net/pidflo/1.0}"
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"

SOS = "urn:service:sos"
SERVICES: dict[str, Category.ValueType] = {
    SOS: agency_pb2.EMERGENCY,
    "urn:service:sos.ambulance": agency_pb2.AMBULANCE,
    "urn:service:sos.fire": agency_pb2.FIRE,
    "urn:service:sos.marine": agency_pb2.SEARCH_AND_RESCUE,
    "urn:service:sos.police": agency_pb2.POLICE,
    "urn:service:counseling": agency_pb2.WOMEN_AND_CHILDREN,
    "urn:service:counseling.children": agency_pb2.WOMEN_AND_CHILDREN,
}
