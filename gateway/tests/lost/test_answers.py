"""What a LoST client is answered, by a directory that says what a test tells it to. Every answer is one by the standard's schema."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from lost_directory import POLICE, Client, run_adapters
from lost_standard import FIGURES, MONAS, NAMESPACES, SOURCE, find_error, find_text, read_reply, write_query

from chassis.errors import InvalidToken, Overloaded
from siaga.directory.v1 import agency_pb2
from siaga.directory.v1.agency_pb2 import Coverage
from siaga.directory.v1.directory_service_pb2 import GetAreaBoundaryRequest, ResolveLocationResponse

# Around the place that is asked for, with the clock; one with a hole; one far away.
AROUND = [[[106.0, -7.0], [106.0, -6.0], [107.0, -6.0], [107.0, -7.0], [106.0, -7.0]]]
HOLE = [[106.1, -6.9], [106.2, -6.9], [106.2, -6.8], [106.1, -6.8], [106.1, -6.9]]
ELSEWHERE = [[[116.0, -7.0], [117.0, -7.0], [117.0, -6.0], [116.0, -6.0], [116.0, -7.0]]]
WITH_BOUNDARY = write_query(attributes='serviceBoundary="value"')


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Client]:
    async with run_adapters(monkeypatch, str(tmp_path)) as client:
        yield client


async def test_a_mapping_says_whom_to_call_and_by_what_address(client: Client) -> None:
    reply = read_reply(await client.ask(FIGURES["point"]))
    assert find_text(reply, "l:mapping/l:displayName") == ["Polisi"]
    assert find_text(reply, "l:mapping/l:displayName/@xml:lang") == ["id"]
    assert find_text(reply, "l:mapping/l:service") == ["urn:service:sos.police"]
    assert find_text(reply, "l:mapping/l:uri") == ["sip:110@police.example", "tel:110;phone-context=+62", "https://wa.me/62811"]
    assert find_text(reply, "l:mapping/l:serviceNumber") == ["110"]
    assert find_text(reply, "l:mapping/@source") == find_text(reply, "l:path/l:via/@source") == [SOURCE]
    assert find_text(reply, "l:locationUsed/@id") == ["6020688f1ce1896d"]
    assert not find_text(reply, "l:warnings")
    (question, _), *_ = client.directory.asked
    assert (question.point.latitude, question.point.longitude) == (-6.1754, 106.8272)
    # Whoever answers beyond a border is not asked for, and so need not be looked up.
    assert question.HasField("border_meters") and question.border_meters == 0


async def test_a_mapping_holds_for_a_day_and_is_another_one_when_its_agency_changes(client: Client) -> None:
    first = read_reply(await client.ask(write_query()))
    again = read_reply(await client.ask(write_query()))
    (expires,) = find_text(first, "l:mapping/@expires")
    left = datetime.fromisoformat(expires) - datetime.now(UTC)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(days=1)
    assert find_text(first, "l:mapping/@sourceId") == find_text(again, "l:mapping/@sourceId")
    assert find_text(first, "l:mapping/@lastUpdated") == ["2026-01-01T00:00:00Z"]
    police = client.directory.found.responsibilities[1].agency
    police.etag = "two"
    police.update_time.FromDatetime(datetime(2026, 11, 25, 8, 30, 15, 987654, tzinfo=UTC))
    changed = read_reply(await client.ask(write_query()))
    assert find_text(changed, "l:mapping/@sourceId") != find_text(first, "l:mapping/@sourceId")
    assert find_text(changed, "l:mapping/@lastUpdated") == ["2026-11-25T08:30:15Z"]


async def test_without_an_agency_there_is_a_number_to_dial(client: Client) -> None:
    del client.directory.found.responsibilities[:]
    client.directory.found.responsibilities.add(category=agency_pb2.EMERGENCY, number="112")
    reply = read_reply(await client.ask(write_query(service="urn:service:sos")))
    assert find_text(reply, "l:mapping/l:serviceNumber") == ["112"]
    assert not find_text(reply, "l:mapping/l:uri") and not find_text(reply, "l:mapping/l:displayName")


async def test_where_nobody_is_named_the_room_for_any_emergency_answers_and_it_is_said(client: Client) -> None:
    reply = read_reply(await client.ask(write_query(service="urn:service:sos.fire")))
    assert find_text(reply, "l:mapping/l:service") == ["urn:service:sos"]
    assert find_text(reply, "l:mapping/l:serviceNumber") == ["112"]
    (warnings,) = reply.findall("l:warnings", NAMESPACES)
    assert warnings.get("source") == SOURCE
    assert {each.tag.rpartition("}")[2] for each in warnings} == {"defaultMappingReturned", "serviceSubstitution"}


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("urn:service:sos.police.traffic", "urn:service:sos.police"),
        ("urn:service:sos.police.a.b.c", "urn:service:sos.police"),
        ("urn:service:sos.animal-control", "urn:service:sos"),
    ],
)
async def test_a_service_below_one_that_is_served_is_answered_by_that_one(client: Client, asked: str, served: str) -> None:
    reply = read_reply(await client.ask(write_query(service=asked)))
    assert find_text(reply, "l:mapping/l:service") == [served]
    assert [each.tag.rpartition("}")[2] for each in reply.find("l:warnings", NAMESPACES)] == ["serviceSubstitution"]


async def test_a_service_may_be_written_in_any_case(client: Client) -> None:
    reply = read_reply(await client.ask(write_query(service=" urn:service:SOS.Police ")))
    assert find_text(reply, "l:mapping/l:service") == ["urn:service:SOS.Police"]
    assert not find_text(reply, "l:warnings")


@pytest.mark.parametrize("service", ["urn:service:food", "urn:service:sosx", "urn:service", "sos", "", "urn:nena:service:sos", "..."])
async def test_another_service_is_not_implemented(client: Client, service: str) -> None:
    reply = read_reply(await client.ask(write_query(service=service)))
    assert find_error(reply) == "serviceNotImplemented"


async def test_a_place_of_nobody_is_not_found(client: Client) -> None:
    client.directory.found = ResolveLocationResponse(emergency_number="112")
    for query in (write_query(), write_query("listServicesByLocation", "urn:service:sos")):
        assert find_error(read_reply(await client.ask(query))) == "notFound"


async def test_a_boundary_is_the_part_that_holds_the_place_latitude_first_and_against_the_clock(client: Client) -> None:
    client.directory.boundaries["areas/31"] = [ELSEWHERE, [AROUND[0], HOLE]]
    reply = read_reply(await client.ask(WITH_BOUNDARY))
    assert find_text(reply, "l:mapping/l:serviceBoundary/@profile") == ["geodetic-2d"]
    assert find_text(reply, "//gml:Polygon/@srsName") == ["urn:ogc:def:crs:EPSG::4326"]
    (exterior,) = find_text(reply, "//gml:Polygon/gml:exterior/gml:LinearRing/gml:posList")
    numbers = list(map(float, exterior.split()))
    ring = list(zip(numbers[1::2], numbers[::2], strict=True))
    assert sorted(map(list, ring[1:])) == sorted(AROUND[0][1:])
    assert ring[0] == ring[-1]
    assert sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise(ring)) > 0
    assert len(find_text(reply, "//gml:Polygon/gml:interior/gml:LinearRing/gml:posList")) == 1


async def test_a_boundary_holds_nowhere_where_another_agency_answers(client: Client) -> None:
    client.directory.boundaries = {"areas/31": [ELSEWHERE], "areas/31.71": [AROUND], "areas/31.71.01": [AROUND]}
    # A neighbouring city has a police of its own, this one has not.
    client.directory.coverage.append(Coverage(area="areas/31.72", category=agency_pb2.POLICE, agency="agencies/other"))
    reply = read_reply(await client.ask(WITH_BOUNDARY))
    assert find_text(reply, "//gml:posList")
    assert client.directory.asked[-1][0] == GetAreaBoundaryRequest(name="areas/31.71")
    # A room or the same agency in an area within changes nothing for the police.
    client.directory.coverage[-1] = Coverage(area="areas/31.72", category=agency_pb2.EMERGENCY, agency="agencies/other")
    client.directory.coverage.append(Coverage(area="areas/31.73", category=agency_pb2.POLICE, agency=POLICE.name))
    read_reply(await client.ask(WITH_BOUNDARY))
    assert client.directory.asked[-1][0] == GetAreaBoundaryRequest(name="areas/31")
    # But for a service that the room answers by default.
    read_reply(await client.ask(write_query(service="urn:service:sos.fire", attributes='serviceBoundary="value"')))
    assert client.directory.asked[-1][0] == GetAreaBoundaryRequest(name="areas/31.71")


async def test_without_a_known_boundary_around_the_place_none_is_given(client: Client) -> None:
    for known in ({}, {"areas/31": [ELSEWHERE]}):
        client.directory.boundaries = known
        assert not find_text(read_reply(await client.ask(WITH_BOUNDARY)), "//l:serviceBoundary")
    client.directory.found.responsibilities[1].area = ""
    assert not find_text(read_reply(await client.ask(WITH_BOUNDARY)), "//l:serviceBoundary")


async def test_boundaries_are_given_by_value_alone(client: Client) -> None:
    client.directory.boundaries["areas/31"] = [AROUND]
    for query in (FIGURES["reference"], write_query()):
        reply = read_reply(await client.ask(query))
        assert not find_text(reply, "//l:serviceBoundary") and not find_text(reply, "//l:serviceBoundaryReference")
    assert find_error(read_reply(await client.ask(FIGURES["boundary"]))) == "notFound"


async def test_the_path_grows_by_this_server_and_never_closes_to_a_loop(client: Client) -> None:
    path = '<path><via source="resolver.example"/><via source="other.example"/></path>'
    for kind in ("findService", "listServicesByLocation"):
        reply = read_reply(await client.ask(write_query(kind, more=path)))
        assert find_text(reply, "l:path/l:via/@source") == ["resolver.example", "other.example", SOURCE]
    for kind in ("findService", "listServicesByLocation"):
        assert find_error(read_reply(await client.ask(write_query(kind, more=path.replace("other.example", SOURCE))))) == "loop"


async def test_the_first_location_of_a_known_profile_is_used(client: Client) -> None:
    assert find_text(read_reply(await client.ask(FIGURES["two profiles"])), "l:locationUsed/@id") == ["DEF 345"]
    without_profile = f'<location id="a"><x xmlns="urn:x"/></location><location id="b">{MONAS}</location>'
    assert find_text(read_reply(await client.ask(write_query(location=without_profile))), "l:locationUsed/@id") == ["b"]


async def test_a_civic_address_alone_is_not_recognized(client: Client) -> None:
    reply = read_reply(await client.ask(FIGURES["civic"]))
    assert find_error(reply) == "locationProfileUnrecognized"
    assert reply[0].get("unsupportedProfiles") == "civic"
    reply = read_reply(await client.ask(write_query(location='<location id="a"><x xmlns="urn:x"/></location>')))
    assert find_error(reply) == "locationProfileUnrecognized"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("-6.1754 106.8272", "106.8272 -6.1754", "locationInvalid"),
        ("EPSG::4326", "EPSG::3857", "SRSInvalid"),
        (MONAS, "", "locationInvalid"),
        ('id="here"', "", "badRequest"),
        ("</findService>", "", "badRequest"),
    ],
)
async def test_what_is_wrong_with_a_query_is_said_in_the_standards_words(client: Client, old: str, new: str, error: str) -> None:
    assert find_error(read_reply(await client.ask(write_query().replace(old, new)))) == error


async def test_services_are_listed_by_their_parent(client: Client) -> None:
    async def list_services(service: str | None) -> list[str]:
        reply = read_reply(await client.ask(write_query("listServices", service, None)))
        assert find_text(reply, "l:path/l:via/@source") == [SOURCE]
        return find_text(reply, "l:serviceList")[0].split()

    below_sos = ["ambulance", "fire", "marine", "police"]
    assert await list_services(None) == ["urn:service:sos", "urn:service:counseling"]
    assert await list_services("urn:service:sos") == [f"urn:service:sos.{each}" for each in below_sos]
    assert await list_services("urn:service:counseling") == ["urn:service:counseling.children"]
    assert await list_services("urn:service:sos.police") == []
    for unknown in ("urn:service:food", "urn:service:sos.gas"):
        reply = read_reply(await client.ask(write_query("listServices", unknown, None)))
        assert find_error(reply) == "serviceNotImplemented"


async def test_services_at_a_place_are_those_that_somebody_is_named_for(client: Client) -> None:
    reply = read_reply(await client.ask(FIGURES["list by location"]))
    assert find_text(reply, "l:serviceList") == ["urn:service:sos.police"]
    assert find_text(reply, "l:locationUsed/@id") == ["3e19dfb3b9828c3"]
    reply = read_reply(await client.ask(write_query("listServicesByLocation", None)))
    assert find_text(reply, "l:serviceList") == ["urn:service:sos"]


async def test_the_directory_is_told_who_asks_and_in_which_trace(client: Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.directory.boundaries["areas/31"] = [AROUND]
    read_reply(await client.ask(WITH_BOUNDARY, authorization="Bearer token", traceparent=trace, cookie="a=b"))
    assert len(client.directory.asked) == 4
    for _, metadata in client.directory.asked:
        assert (metadata["authorization"], metadata["traceparent"]) == ("Bearer token", trace)
        assert "cookie" not in metadata
    assert find_error(read_reply(await client.ask(write_query(), authorization=b"Bearer \xc3\xa9"))) == "badRequest"


async def test_a_caller_whom_the_directory_refuses_is_forbidden(client: Client) -> None:
    client.directory.problem = InvalidToken()
    assert find_error(read_reply(await client.ask(write_query()))) == "forbidden"


async def test_a_directory_that_is_full_slow_or_gone_is_told_apart_from_a_wrong_query(client: Client) -> None:
    client.directory.problem = Overloaded(retry_seconds=1)
    assert find_error(read_reply(await client.ask(write_query()))) == "internalError"
    client.directory.problem, client.directory.seconds = None, 60
    assert find_error(read_reply(await client.ask(write_query()))) == "serverTimeout"
    await client.server.stop(None)
    assert find_error(read_reply(await client.ask(write_query()))) == "internalError"


@pytest.mark.parametrize("content_type", ["text/xml", "application/xml", "application/json", ""])
async def test_another_content_type_is_refused(client: Client, content_type: str) -> None:
    reply = read_reply(await client.ask(write_query(), **{"content-type": content_type}))
    assert find_error(reply) == "badRequest"
    assert "application/lost+xml" in (reply[0].get("message") or "")


async def test_a_content_type_may_have_a_charset(client: Client) -> None:
    reply = read_reply(await client.ask(write_query(), **{"content-type": "Application/LoST+xml; charset=utf-8"}))
    assert find_text(reply, "l:mapping/l:serviceNumber") == ["110"]


async def test_a_query_has_at_most_64_kilobytes(client: Client) -> None:
    query = write_query()
    assert find_error(read_reply(await client.ask(query + " " * 65537))) == "badRequest"
    assert find_text(read_reply(await client.ask(query + " " * (65536 - len(query)))), "//l:serviceNumber") == ["110"]


async def test_only_a_post_is_answered(client: Client) -> None:
    answer = await client.http.get("/lost")
    assert answer.status_code == 404
    assert answer.json()["details"][0]["reason"] == "METHOD_NOT_FOUND"


async def test_no_log_or_error_holds_the_place(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.directory.problem = Overloaded()
    answers = [await client.ask(write_query()), await client.ask(write_query().replace("-6.1754 ", "-96.1754 "))]
    assert not any(re.search(r"6\.1754|106\.8272", text) for text in (caplog.text, *(answer.text for answer in answers)))
