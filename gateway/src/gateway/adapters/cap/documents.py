"""Writes a message of a warning as a document of the Common Alerting Protocol 1.2 (OASIS, 1 July 2010)."""

from datetime import UTC
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp
from lxml import etree

from gateway.adapters.cap.names import CAP, Element
from siaga.alerts.v1.warning_pb2 import Warning as PublicWarning

# The standard's words, where they are not the contract's with a capital letter.
WORDS = {"CBRNE": "CBRNE", "ALL_CLEAR": "AllClear"}
# What the codes of areas are codes of: those that the directory names its areas by.
AREA_CODE = "siaga.area"
METERS_PER_KILOMETRE = 1000


def write_document(warning: PublicWarning) -> Element:
    """Write what was sent, in the standard's order. Each language is an `info` of its own."""
    message, zone = warning.message, ZoneInfo(warning.time_zone)
    # lxml's stubs know of no default namespace.
    root = etree.Element(f"{CAP}alert", nsmap={None: CAP[1:-1]})  # pyright: ignore[reportArgumentType]
    add(root, "identifier", message.identifier)
    add(root, "sender", message.sender)
    add(root, "sent", write_time(message.sent_time, zone))
    add(root, "status", write_word(PublicWarning.Status.Name(warning.status)))
    add(root, "msgType", write_word(PublicWarning.Message.Type.Name(message.type)))
    add(root, "scope", "Public")
    add(root, "note", message.note)
    add(root, "references", " ".join(map(write_reference, message.references)))
    write_info(root, warning, warning.info.indonesian, "id-ID", zone)
    if warning.info.HasField("english"):
        write_info(root, warning, warning.info.english, "en", zone)
    return root


def write_info(root: Element, warning: PublicWarning, texts: PublicWarning.Texts, language: str, zone: ZoneInfo) -> None:
    said = warning.info
    info = etree.SubElement(root, f"{CAP}info")
    add(info, "language", language)
    for category in said.categories:
        add(info, "category", write_word(PublicWarning.Info.Category.Name(category)))
    add(info, "event", texts.event)
    for response in said.response_types:
        add(info, "responseType", write_word(PublicWarning.Info.ResponseType.Name(response)))
    add(info, "urgency", write_word(PublicWarning.Info.Urgency.Name(said.urgency)))
    add(info, "severity", write_word(PublicWarning.Info.Severity.Name(said.severity)))
    add(info, "certainty", write_word(PublicWarning.Info.Certainty.Name(said.certainty)))
    if said.HasField("effective_time"):
        add(info, "effective", write_time(said.effective_time, zone))
    if said.HasField("onset_time"):
        add(info, "onset", write_time(said.onset_time, zone))
    add(info, "expires", write_time(said.expire_time, zone))
    add(info, "senderName", warning.message.sender_name)
    add(info, "headline", texts.headline)
    add(info, "description", texts.description)
    add(info, "instruction", texts.instruction)
    add(info, "web", said.web)
    add(info, "contact", said.contact)
    write_area(info, said.area, texts.area_description)


def write_area(info: Element, where: PublicWarning.Area, description: str) -> None:
    area = etree.SubElement(info, f"{CAP}area")
    add(area, "areaDesc", description)
    for polygon in where.polygons:
        # The last corner is the first one again.
        corners = [*polygon.points, polygon.points[0]]
        add(area, "polygon", " ".join(write_pair(each.latitude, each.longitude) for each in corners))
    for circle in where.circles:
        radius = write_number(circle.radius_meters / METERS_PER_KILOMETRE)
        add(area, "circle", f"{write_pair(circle.center.latitude, circle.center.longitude)} {radius}")
    for code in where.areas:
        geocode = etree.SubElement(area, f"{CAP}geocode")
        add(geocode, "valueName", AREA_CODE)
        add(geocode, "value", code.removeprefix("areas/"))


def write_reference(reference: PublicWarning.Reference) -> str:
    sent = write_time(reference.sent_time, ZoneInfo(reference.time_zone))
    return f"{reference.sender},{reference.identifier},{sent}"


def write_time(time: Timestamp, zone: ZoneInfo) -> str:
    """Write it as section 3.3.2 demands: in whole seconds with an offset in digits, and UTC as `-00:00`, never `Z`."""
    there = time.ToDatetime(UTC).astimezone(zone)
    offset = there.isoformat()[-6:] if there.utcoffset() else "-00:00"
    return there.strftime("%Y-%m-%dT%H:%M:%S") + offset


def write_word(name: str) -> str:
    if name.startswith("UNKNOWN_"):
        return "Unknown"
    return WORDS.get(name) or name.capitalize()


def write_pair(latitude: float, longitude: float) -> str:
    return f"{write_number(latitude)},{write_number(longitude)}"


def write_number(number: float) -> str:
    """Write it without an exponent, to a ten millionth: a centimetre, or less than a millimetre of a radius."""
    # To add nothing takes the sign of zero away.
    return f"{round(number, 7) + 0:.7f}".rstrip("0").rstrip(".")


def add(parent: Element, name: str, text: str) -> None:
    """Add an element, unless there is nothing to say."""
    if text:
        etree.SubElement(parent, f"{CAP}{name}").text = text


def serialize(root: Element) -> bytes:
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
