"""Writes the list of warnings as an Atom feed (RFC 4287), whose pages are linked by RFC 5005."""

from collections.abc import Sequence
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp
from lxml import etree

from gateway.adapters.cap.documents import write_word
from gateway.adapters.cap.names import ATOM, ATOM_TYPE, CAP_TYPE, XML_LANG, Element
from siaga.alerts.v1.warning_pb2 import Warning as PublicWarning

# What a reader must not overlook, before the headline.
MARKS = {PublicWarning.EXERCISE: "Latihan: ", PublicWarning.TEST: "Uji coba: "}
ENDED = "Dibatalkan: "


def write_feed(tag: str, address: str, warnings: Sequence[PublicWarning], updated: Timestamp, next_page: str) -> Element:
    """Write a page of it, the newest message first. `tag` is the id that all its pages share, `address` the page's own."""
    feed = etree.Element(f"{ATOM}feed", {XML_LANG: "id-ID"}, nsmap={None: ATOM[1:-1]})  # pyright: ignore[reportArgumentType]
    add(feed, "id", tag)
    add(feed, "title", "Peringatan bagi masyarakat")
    add(feed, "updated", write_time(updated))
    add_link(feed, "self", ATOM_TYPE, address)
    if next_page:
        add_link(feed, "next", ATOM_TYPE, next_page)
    # CAP tells warnings apart that were sent in one second by their identifiers alone.
    for warning in sorted(warnings, key=lambda each: (each.message.sent_time.seconds, each.message.identifier), reverse=True):
        write_entry(feed, warning)
    return feed


def write_entry(feed: Element, warning: PublicWarning) -> None:
    message, texts = warning.message, warning.info.indonesian
    entry = etree.SubElement(feed, f"{ATOM}entry")
    # By RFC 4151 an e-mail address may name what is one's own, as may a name in the DNS.
    year = message.sent_time.ToDatetime(UTC).year
    add(entry, "id", f"tag:{message.sender},{year}:{message.identifier}")
    ended = ENDED if message.type == PublicWarning.Message.CANCEL else ""
    add(entry, "title", f"{MARKS.get(warning.status, '')}{ended}{texts.headline}")
    add(entry, "updated", write_time(message.sent_time))
    add(etree.SubElement(entry, f"{ATOM}author"), "name", message.sender_name)
    add_link(entry, "alternate", CAP_TYPE, f"/cap/{message.identifier}.xml")
    for word in (PublicWarning.Status.Name(warning.status), PublicWarning.Message.Type.Name(message.type)):
        etree.SubElement(entry, f"{ATOM}category", term=write_word(word))
    add(entry, "summary", texts.description)


def write_time(time: Timestamp) -> str:
    return time.ToDatetime(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def add_link(parent: Element, relation: str, media_type: str, address: str) -> None:
    etree.SubElement(parent, f"{ATOM}link", rel=relation, type=media_type, href=address)


def add(parent: Element, name: str, text: str) -> None:
    etree.SubElement(parent, f"{ATOM}{name}").text = text
