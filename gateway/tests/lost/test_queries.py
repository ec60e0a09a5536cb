"""Queries are read as the standard's schema says, and none of them does any harm."""

import socket
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lost_standard import FIGURES, MONAS, read_schema, write_query
from lxml import etree

from gateway.adapters.lost.errors import BadRequest, LostError
from gateway.adapters.lost.queries import read_query

HERE = f'<location id="here" profile="geodetic-2d">{MONAS}</location>'
PATH = '<path><via source="resolver.example"/><via source="other.example"/></path>'
GOOD = [
    *FIGURES.values(),
    write_query(attributes='validateLocation="1" recursive="false"'),
    write_query(more=PATH),
    write_query(more='<x:y xmlns:x="urn:x"><x:z/></x:y>'),
    write_query("listServices", None, None),
    write_query("listServices", None, None, PATH),
    write_query("listServicesByLocation", None),
    write_query(location=HERE + HERE.replace("geodetic-2d", "other")),
    write_query(location=f'<location id="here">{MONAS}</location>'),
]
BAD = [
    write_query(location=None),
    write_query(location=HERE.replace('id="here"', "")),
    *(write_query(location=HERE.replace("geodetic-2d", each)) for each in ("", "a b", "a!")),
    write_query("listServicesByLocation", location=None),
    write_query("findServices"),
    write_query("findServiceResponse"),
    write_query().replace("urn:ietf:params:xml:ns:lost1", "urn:ietf:params:xml:ns:lost2"),
    write_query(attributes='recursive="yes"'),
    write_query(attributes='validateLocation=""'),
    write_query(attributes='serviceBoundary="both"'),
    write_query(more="<path/>"),
    write_query(more="<path><via/></path>"),
    write_query(more='<path><via source="resolver"/></path>'),
    write_query(more='<path><via source="a b.example"/></path>'),
    write_query(more=PATH * 2),
    write_query(more="<other/>"),
    write_query(more="<service>urn:service:sos</service>"),
    write_query(location=None, more=HERE),
    write_query(location=PATH + HERE),
    write_query("getServiceBoundary", None, None),
    write_query("listServices", location=HERE),
]


@pytest.mark.parametrize("query", GOOD)
def test_what_the_schema_allows_is_read(query: str) -> None:
    root = etree.fromstring(query.encode())
    read_schema().assertValid(root)
    assert read_query(query.encode()).kind == etree.QName(root).localname


@pytest.mark.parametrize("query", BAD)
def test_what_the_schema_refuses_is_a_bad_request(query: str) -> None:
    assert not read_schema().validate(etree.fromstring(query.encode()))
    with pytest.raises(BadRequest):
        read_query(query.encode())


def test_findservice_needs_a_service_by_the_text_though_not_by_the_schema() -> None:
    query = write_query(service=None)
    read_schema().assertValid(etree.fromstring(query.encode()))
    with pytest.raises(BadRequest):
        read_query(query.encode())


def test_both_encodings_of_the_standard_are_understood() -> None:
    text = write_query(service="urn:service:sos")
    for encoding in ("UTF-8", "UTF-16"):
        assert read_query(text.replace("UTF-8", encoding).encode(encoding)).service == "urn:service:sos"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<",
        b"\x00\xff",
        b'{"point": {}}',
        b"<findService/>",
        b"<a>" * 20_000,
        write_query().replace("UTF-8", "UTF-99").encode(),
        write_query(service="&undeclared;").encode(),
    ],
)
def test_what_cannot_be_read_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        read_query(body)


def test_a_depth_beyond_all_sense_is_a_bad_request() -> None:
    with pytest.raises(BadRequest):
        read_query(write_query(more="<x xmlns='urn:x'>" * 3000 + "</x>" * 3000).encode())


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
@pytest.mark.parametrize(
    "declared",
    [
        "<!DOCTYPE findService>",
        '<!DOCTYPE findService SYSTEM "{url}/evil.dtd">',
        '<!DOCTYPE findService PUBLIC "-//X" "{url}/evil.dtd">',
        '<!DOCTYPE findService [<!ENTITY x SYSTEM "{url}/evil">]>',
        '<!DOCTYPE findService [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE findService [<!ENTITY % y SYSTEM "{url}/evil.dtd"> %y;]>',
        "<!DOCTYPE findService [<!ENTITY x 'urn:service:sos'>]>",
        "<!DOCTYPE findService [<!ENTITY x0 'ha'>"
        + "".join(f"<!ENTITY x{n} '{f'&x{n - 1};' * 10}'>" for n in range(1, 12))
        + "<!ENTITY x '&x11;'>]>",
        f"<!DOCTYPE findService [<!ENTITY x '{'x' * 20_000}'>]>",
    ],
)
def test_no_entity_is_declared_fetched_or_multiplied(declared: str, encoding: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        declared = declared.replace("{url}", f"http://127.0.0.1:{listening.getsockname()[1]}")
        use = "&x;" if "ENTITY x " in declared else ""
        # An external entity may not be named in an attribute.
        attributes = "" if "SYSTEM" in declared else f'note="{use * 4}"'
        text = write_query(service=f"urn:service:sos{use}", attributes=attributes)
        body = text.replace('encoding="UTF-8"?>', f'encoding="{encoding}"?>{declared}').encode(encoding)
        began = time.monotonic()
        with pytest.raises(BadRequest):
            read_query(body)
        assert time.monotonic() - began < 0.5
        listening.settimeout(0.01)
        with pytest.raises(TimeoutError):
            listening.accept()


def test_many_elements_and_attributes_take_no_time() -> None:
    began = time.monotonic()
    read_query(write_query(more="<x xmlns='urn:x'/>" * 3000).encode())
    read_query(write_query(attributes=" ".join(f'a{n}=""' for n in range(5000))).encode())
    assert time.monotonic() - began < 0.5


@given(st.data())
def test_a_damaged_query_is_answered_by_the_standard_at_worst(data: st.DataObject) -> None:
    body = bytearray(data.draw(st.sampled_from(GOOD)).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=10))
    with suppress(LostError):
        query = read_query(bytes(body))
        if query.locations:
            query.find_place()
