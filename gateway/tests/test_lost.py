"""LoST through the edge, with the directory as it comes: whom a phone in Jakarta is told to call."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from chassis.testing import wait_until
from harness import RunningPlatform
from telemetry.receiver import Receiver

# What the tests of LoST share stands beside them in modules.
sys.path.append(str(Path(__file__).parent / "lost"))

from lost_standard import FIGURES, MONAS, SOURCE, find_error, find_text, read_reply, write_query

NUMBERS = {
    "urn:service:sos": "112",
    "urn:service:sos.ambulance": "118",
    "urn:service:sos.fire": "113",
    "urn:service:sos.marine": "115",
    "urn:service:sos.police": "110",
    "urn:service:counseling": "081317617622",
    "urn:service:counseling.children": "081317617622",
}
# Gambir as a square around Monas, and an island far from it.
GAMBIR = [[106.81, -6.19], [106.84, -6.19], [106.84, -6.16], [106.81, -6.16], [106.81, -6.19]]
ISLAND = [[106.60, -5.70], [106.62, -5.70], [106.62, -5.68], [106.60, -5.68], [106.60, -5.70]]


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


def ask(client: httpx.Client, query: str, **headers: str) -> httpx.Response:
    return client.post("/lost", content=query.encode(), headers={"content-type": "application/lost+xml"} | headers)


@pytest.mark.parametrize("service", NUMBERS)
def test_a_phone_at_monas_is_told_the_number_of_every_service(client: httpx.Client, service: str) -> None:
    reply = read_reply(ask(client, write_query(service=service)))
    assert find_text(reply, "l:mapping/l:service") == [service]
    assert find_text(reply, "l:mapping/l:serviceNumber") == [NUMBERS[service]]
    assert [uri.partition(":")[0] for uri in find_text(reply, "l:mapping/l:uri")][:1] == ["tel"]
    assert find_text(reply, "l:mapping/l:displayName")
    assert not find_text(reply, "l:warnings")


@pytest.mark.parametrize("figure", ["point", "two profiles", "reference"])
def test_the_standards_own_queries_are_answered(client: httpx.Client, figure: str) -> None:
    reply = read_reply(ask(client, FIGURES[figure]))
    assert find_text(reply, "l:mapping/l:serviceNumber") == ["110"]
    assert find_text(reply, "l:path/l:via/@source") == [SOURCE]


def test_services_are_listed_by_the_standards_own_queries(client: httpx.Client) -> None:
    sos = " ".join(f"urn:service:sos.{each}" for each in ("ambulance", "fire", "marine", "police"))
    assert find_text(read_reply(ask(client, FIGURES["list"])), "l:serviceList") == [sos]
    assert find_text(read_reply(ask(client, FIGURES["list by location"])), "l:serviceList") == [sos]


def test_nobody_answers_on_the_open_sea_and_no_civic_address_is_known(client: httpx.Client) -> None:
    assert find_error(read_reply(ask(client, write_query().replace("-6.1754 106.8272", "-9.5 100.5")))) == "notFound"
    assert find_error(read_reply(ask(client, FIGURES["civic"]))) == "locationProfileUnrecognized"


def test_a_boundary_is_what_was_imported_around_the_place(client: httpx.Client, platform: RunningPlatform, tmp_path: Path) -> None:
    def write_feature(code: str, parent: str, ring: list[list[float]]) -> object:
        properties = {"code": code, "name": code, "parent": parent}
        return {"type": "Feature", "properties": properties, "geometry": {"type": "MultiPolygon", "coordinates": [[ring]]}}

    features = [write_feature("31.71.01", "31.71", GAMBIR), write_feature("31.01.01", "31.01", ISLAND)]
    file = tmp_path / "areas.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    command = [sys.executable, "-m", "directory", "import", str(file), "--scope", "areas/31", "--token", platform.token("admin")]
    done = subprocess.run(command, env=os.environ | platform.environment, check=False, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    # The whole province is what its districts make together; of that, the part with the place.
    reply = read_reply(ask(client, FIGURES["point"]))
    (ring,) = find_text(reply, "l:mapping/l:serviceBoundary/gml:Polygon/gml:exterior/gml:LinearRing/gml:posList")
    numbers = list(map(float, ring.split()))
    assert sorted(zip(numbers[3::2], numbers[2::2], strict=True)) == sorted(map(tuple, GAMBIR[1:]))


def test_a_bad_token_is_forbidden_and_none_is_needed(client: httpx.Client, platform: RunningPlatform) -> None:
    assert find_error(read_reply(ask(client, write_query(), authorization="Bearer a.b.c"))) == "forbidden"
    token = platform.token("citizen-1")
    assert find_text(read_reply(ask(client, write_query(), authorization=f"Bearer {token}")), "//l:serviceNumber") == ["110"]


def test_an_attack_by_xml_and_a_body_without_end_are_bad_requests(client: httpx.Client) -> None:
    query = write_query(service="&x;").replace("?>", '?><!DOCTYPE findService [<!ENTITY x SYSTEM "file:///etc/passwd">]>')
    for body in (query, "{}", write_query() + " " * 100_000):
        answer = ask(client, body)
        assert find_error(read_reply(answer)) == "badRequest"
        assert "root:" not in answer.text


def test_a_get_is_told_in_the_shape_of_the_edge(client: httpx.Client) -> None:
    answer = client.get("/lost")
    assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "METHOD_NOT_FOUND")


def test_the_directorys_part_is_in_the_callers_trace(client: httpx.Client, collector: Receiver) -> None:
    trace = os.urandom(16)
    read_reply(ask(client, write_query(), traceparent=f"00-{trace.hex()}-{os.urandom(8).hex()}-01"))
    label = "directory: siaga.directory.v1.DirectoryService/ResolveLocation"
    wait_until(lambda: any(span.trace == trace and span.label == label for span in collector.spans()), 15, "the directory's span")


def test_no_log_names_the_place(client: httpx.Client, platform: RunningPlatform) -> None:
    place = MONAS.replace("-6.1754 106.8272", "-6.17171717 106.82828282")
    for latitude in ("-6.17171717", "-96.17171717"):
        location = f'<location id="here" profile="geodetic-2d">{place.replace("-6.17171717", latitude)}</location>'
        ask(client, write_query(location=location))
    for part in ("envoy", "adapters", "directory"):
        log = platform.log(part)
        assert "171717" not in log and "828282" not in log


def test_a_directory_that_is_gone_is_an_internal_error_until_it_is_back(client: httpx.Client, platform: RunningPlatform) -> None:
    platform.stop("directory")
    try:
        assert find_error(read_reply(ask(client, write_query()))) == "internalError"
        assert find_text(read_reply(ask(client, FIGURES["list"])), "l:serviceList")
    finally:
        platform.start("directory")
    wait_until(lambda: bool(find_text(read_reply(ask(client, write_query())), "//l:serviceNumber")), 5, "an answer")
