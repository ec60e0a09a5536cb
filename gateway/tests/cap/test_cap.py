"""CAP documents and their feed through the edge, as aggregators read them: after an issue, an update, a cancel, an expiry."""

import os
import re
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cap_standard import fetch_document, fetch_feed, find, find_one, read_document
from google.protobuf.json_format import ParseDict
from keys import make_key_file
from lxml import etree
from verifying import verifies

from chassis.testing import free_port, is_listening, run_process, wait_until
from harness import RunningPlatform
from security.tokens import ROOM, Signer
from siaga.alerts.v1 import warning_service_pb2
from siaga.alerts.v1.warning_pb2 import Warning as PublicWarning
from siaga.alerts.v1.warning_service_pb2_grpc import WarningServiceStub
from telemetry.receiver import Receiver

MONAS = {"latitude": -6.1754, "longitude": 106.8272}
TRIANGLE = {
    "points": [{"latitude": -6.17, "longitude": 106.82}, {"latitude": -6.18, "longitude": 106.82}, {"latitude": -6.18, "longitude": 106.83}]
}


class Room:
    """Two supervisors and a system of the city's room, who issue warnings."""

    def __init__(self, platform: RunningPlatform, channel: grpc.Channel) -> None:
        signer = Signer(platform)
        self.tokens = {
            "sari": signer.sign("sari", "supervisor", agency=ROOM),
            "tono": signer.sign("tono", "supervisor", agency=ROOM),
            "system": signer.sign("room-system", "agency", agency=ROOM),
        }
        self._stub: Any = WarningServiceStub(channel)

    def do(self, rpc: str, by: str = "sari", **fields: Any) -> Any:
        request = ParseDict(fields, getattr(warning_service_pb2, f"{rpc}Request")())
        return getattr(self._stub, rpc)(request, metadata=[("authorization", f"Bearer {self.tokens[by]}")], timeout=10)

    def issue(self, status: str = "ACTUAL", **other: Any) -> PublicWarning:
        return self.do("IssueWarning", status=status, info=info(**other))

    def update(self, warning: PublicWarning, **values: Any) -> PublicWarning:
        return self.do("UpdateWarning", warning={"name": warning.name, "info": values})

    def cancel(self, warning: PublicWarning, note: str = "") -> PublicWarning:
        return self.do("CancelWarning", name=warning.name, note=note)


def texts(event: str) -> dict[str, str]:
    return {
        "event": event,
        "headline": f"{event} di Gambir",
        "description": f"{event}: air naik.\nSudah 60 cm.",
        "instruction": "Naik ke lantai atas.",
        "areaDescription": "Gambir",
    }


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def info(**other: Any) -> dict[str, Any]:
    said = {
        "categories": ["MET"],
        "responseTypes": ["SHELTER"],
        "urgency": "IMMEDIATE",
        "severity": "SEVERE",
        "certainty": "OBSERVED",
        "indonesian": texts("Banjir"),
        "area": {"areas": ["areas/31.71.01"], "polygons": [TRIANGLE], "circles": [{"center": MONAS, "radiusMeters": 250}]},
        "expireTime": in_seconds(3600),
    }
    return said | other


@pytest.fixture(scope="module")
def client(platform: RunningPlatform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, timeout=10) as client:
        yield client


@pytest.fixture(scope="module")
def room(platform: RunningPlatform) -> Iterator[Room]:
    with grpc.insecure_channel(platform.address("alerts")) as channel:
        yield Room(platform, channel)


def path_of(warning: PublicWarning) -> str:
    return f"/cap/{warning.message.identifier}.xml"


def find_entry(client: httpx.Client, warning: PublicWarning, **parameters: str) -> Any | None:
    """The feed's entry of the warning, whatever its message."""
    uuid = warning.name.removeprefix("warnings/")
    return next((entry for entry in fetch_feed(client, **parameters).entries if uuid in entry.id), None)


def test_what_is_issued_is_a_document_and_an_entry_that_links_it(client: httpx.Client, room: Room) -> None:
    issued = room.issue(english=texts("Flood"), contact="112", web="https://siaga.example/banjir?a=1&b=2", onsetTime=in_seconds(60))
    entry = find_entry(client, issued)
    assert entry is not None
    assert (entry.title, entry.summary) == ("Banjir di Gambir", "Banjir: air naik.\nSudah 60 cm.")
    assert entry.author == "Jakarta Siaga 112, BPBD DKI Jakarta"
    assert [each.term for each in entry.tags] == ["Actual", "Alert"]
    (link,) = entry.links
    assert (link.rel, link.type, link.href) == ("alternate", "application/cap+xml", path_of(issued))
    root = fetch_document(client, link.href)
    assert find_one(root, "identifier") == issued.message.identifier
    assert find_one(root, "sender") == "jakarta-112@siaga.localhost"
    assert find_one(root, "sent").endswith("+07:00")
    assert find(root, "info/c:event") == ["Banjir", "Flood"]
    assert find(root, "info/c:area/c:circle") == ["-6.1754,106.8272 0.25"] * 2
    assert find(root, "info/c:area/c:geocode/c:value") == ["31.71.01"] * 2
    assert not find(root, "references")


def test_an_update_refers_to_what_was_said_and_that_stays_as_it_was(client: httpx.Client, room: Room) -> None:
    first = room.issue()
    before = client.get(path_of(first)).content
    second = room.update(first, indonesian=texts("Banjir besar"), severity="EXTREME")
    third = room.update(first, contact="112")
    sent = [find_one(fetch_document(client, path_of(each)), "sent") for each in (first, second)]
    root = fetch_document(client, path_of(third))
    assert (find_one(root, "msgType"), find_one(root, "info/c:severity"), find_one(root, "info/c:event")) == (
        "Update",
        "Extreme",
        "Banjir besar",
    )
    sender = "jakarta-112@siaga.localhost"
    named = [f"{sender},{each.message.identifier},{time}" for each, time in zip((first, second), sent, strict=True)]
    assert find_one(root, "references").split() == named
    assert client.get(path_of(first)).content == before
    assert find(fetch_document(client, path_of(second)), "info/c:contact") == []
    # The feed has the latest alone.
    entry = find_entry(client, first)
    assert entry is not None
    assert (entry.title, entry.links[0].href, entry.tags[1].term) == ("Banjir besar di Gambir", path_of(third), "Update")


def test_a_cancellation_stands_in_the_feed_until_the_warning_would_have_ended(client: httpx.Client, room: Room) -> None:
    first = room.issue(expireTime=in_seconds(3))
    ended = room.cancel(first, "Air surut & aman.")
    root = fetch_document(client, path_of(ended))
    assert (find_one(root, "msgType"), find_one(root, "note")) == ("Cancel", "Air surut & aman.")
    assert find_one(root, "references").split(",")[1] == first.message.identifier
    assert find_one(fetch_document(client, path_of(first)), "msgType") == "Alert"
    entry = find_entry(client, first)
    assert entry is not None
    assert (entry.title, entry.tags[1].term) == ("Dibatalkan: Banjir di Gambir", "Cancel")
    modified = client.get("/cap/feed.atom").headers.get("last-modified", "")
    wait_until(lambda: find_entry(client, first) is None, 10, "the cancelled warning leaves the feed")
    # And a reader who asks by the time of the last change is told of it.
    if modified:
        assert client.get("/cap/feed.atom", headers={"if-modified-since": modified}).status_code == 200
    assert fetch_document(client, path_of(ended)) is not None


def test_an_expired_warning_leaves_the_feed_and_can_still_be_read(client: httpx.Client, room: Room) -> None:
    issued = room.issue(expireTime=in_seconds(2))
    assert find_entry(client, issued) is not None
    wait_until(lambda: find_entry(client, issued) is None, 10, "the expired warning leaves the feed")
    assert find_one(fetch_document(client, path_of(issued)), "msgType") == "Alert"


@pytest.mark.parametrize(("status", "word", "mark"), [("EXERCISE", "Exercise", "Latihan: "), ("TEST", "Test", "Uji coba: ")])
def test_exercises_say_what_they_are_and_are_in_the_feed_of_those_who_ask(
    client: httpx.Client, room: Room, status: str, word: str, mark: str
) -> None:
    drill = room.issue(status)
    assert find_one(fetch_document(client, path_of(drill)), "status") == word
    assert find_entry(client, drill) is None
    entry = find_entry(client, drill, exercises="true")
    assert entry is not None
    assert (entry.title, entry.tags[0].term) == (f"{mark}Banjir di Gambir", word)
    # They are two feeds, which a reader who takes both must not hold for one.
    name = fetch_feed(client).feed.id
    assert re.fullmatch(r"tag:[a-z.]+,2026:cap/feed\.atom", name)
    assert fetch_feed(client, exercises="true").feed.id == f"{name}?exercises=true"


class TestAReaderWhoPolls:
    def test_is_told_nothing_new_by_its_tag_until_there_is(self, client: httpx.Client, room: Room) -> None:
        issued = room.issue()
        answer = client.get("/cap/feed.atom")
        known = {"if-none-match": f'"x", W/{answer.headers["etag"]}'}
        again = client.get("/cap/feed.atom", headers=known)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
        assert "max-age" in again.headers["cache-control"]
        assert client.get("/cap/feed.atom", headers={"if-none-match": '"other"'}).status_code == 200
        room.cancel(issued)
        assert client.get("/cap/feed.atom", headers=known).status_code == 200

    def test_is_told_nothing_new_by_the_time_until_there_is(self, client: httpx.Client, room: Room) -> None:
        room.issue()
        wait_until(lambda: "last-modified" in client.get("/cap/feed.atom").headers, 5, "the second of the change has passed")
        modified = client.get("/cap/feed.atom").headers["last-modified"]
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", modified)
        assert client.get("/cap/feed.atom", headers={"if-modified-since": modified}).status_code == 304
        # A tag counts for more than a time.
        both = {"if-modified-since": modified, "if-none-match": '"other"'}
        assert client.get("/cap/feed.atom", headers=both).status_code == 200
        room.issue()
        assert client.get("/cap/feed.atom", headers={"if-modified-since": modified}).status_code == 200

    def test_has_a_document_once(self, client: httpx.Client, room: Room) -> None:
        issued = room.issue()
        answer = client.get(path_of(issued))
        assert client.get(path_of(issued), headers={"if-none-match": answer.headers["etag"]}).status_code == 304
        assert client.get(path_of(issued), headers={"if-none-match": "*"}).status_code == 304
        head = client.head(path_of(issued))
        assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(answer.content)))

    @pytest.mark.parametrize("since", ["", "yesterday", "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 99 Nov 9999 99:99:99 GMT", "0"])
    def test_with_a_broken_or_an_old_time_is_answered(self, client: httpx.Client, room: Room, since: str) -> None:
        room.issue()
        assert client.get("/cap/feed.atom", headers={"if-modified-since": since}).status_code == 200

    def test_finds_every_warning_on_the_pages_that_link_each_other(self, client: httpx.Client, room: Room) -> None:
        names = {room.issue("TEST").name for _ in range(105)}
        found: list[str] = []
        address = "/cap/feed.atom?exercises=true"
        for _ in range(20):
            page = fetch_feed(client, **dict(httpx.URL(address).params))
            assert len(page.entries) <= 100
            found += [entry.id for entry in page.entries]
            links = {link.rel: link.href for link in page.feed.links}
            assert links["self"] == address
            assert page.feed.id.endswith(":cap/feed.atom?exercises=true")
            if "next" not in links:
                break
            address = links["next"]
        assert len(found) == len(set(found))
        assert names <= {f"warnings/{each.rsplit(':', 1)[1].partition('.')[0]}" for each in found}


class TestWhatIsNotThere:
    @pytest.mark.parametrize(
        "identifier",
        [
            "x",
            "../../etc/passwd",
            "..%2f..%2fetc%2fpasswd",
            "%00",
            "00000000-0000-7000-8000-000000000000",
            "00000000-0000-7000-8000-000000000000.0",
            "00000000-0000-7000-8000-000000000000.-1",
            "00000000-0000-7000-8000-000000000000.99999",
            "00000000-0000-7000-8000-000000000000.1%0d%0ax:y",
            "00000000-0000-7000-8000-00000000000G.1",
            "00000000-0000-7000-8000-000000000000.1.xml",
            "%E2%82%AC",
            "'%20OR%201=1",
            "<script>",
            "0" * 5000,
        ],
    )
    def test_an_identifier_that_is_none_is_told_in_the_shape_of_the_edge(self, client: httpx.Client, identifier: str) -> None:
        answer = client.get(f"/cap/{identifier}.xml")
        assert answer.status_code in {400, 404}
        assert answer.json()["details"][0]["reason"] in {"METHOD_NOT_FOUND", "UNREADABLE_REQUEST"}
        assert "script" not in answer.text and "passwd" not in answer.text

    def test_a_message_that_was_never_sent_is_not_found(self, client: httpx.Client, room: Room) -> None:
        issued = room.issue()
        for identifier in ("00000000-0000-7000-8000-000000000000.1", f"{issued.name.removeprefix('warnings/')}.2"):
            answer = client.get(f"/cap/{identifier}.xml")
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (404, "WARNING_NOT_FOUND")

    @pytest.mark.parametrize(
        ("path", "status", "reason"),
        [
            ("/cap/", 404, "METHOD_NOT_FOUND"),
            ("/cap/feed.xml", 404, "METHOD_NOT_FOUND"),
            ("/cap/feed.atom?pge=1", 400, "INVALID_REQUEST"),
            ("/cap/feed.atom?exercises=maybe", 400, "INVALID_REQUEST"),
            ("/cap/feed.atom?page=x", 400, "INVALID_PAGE_TOKEN"),
            (f"/cap/feed.atom?page={'x' * 501}", 400, "INVALID_REQUEST"),
            ("/cap/00000000-0000-7000-8000-000000000000.1.xml?x=1", 400, "INVALID_REQUEST"),
        ],
    )
    def test_what_is_not_served_is_told(self, client: httpx.Client, path: str, status: int, reason: str) -> None:
        answer = client.get(path)
        assert (answer.status_code, answer.json()["details"][0]["reason"]) == (status, reason)
        assert client.post(path.partition("?")[0]).status_code == 404

    def test_a_bad_token_is_refused_and_none_is_needed(self, client: httpx.Client, room: Room) -> None:
        issued = room.issue()
        for path in ("/cap/feed.atom", path_of(issued)):
            answer = client.get(path, headers={"authorization": "Bearer a.b.c"})
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (401, "INVALID_TOKEN")
            # To the agency itself the documents are the same as to everybody.
            own = client.get(path, headers={"authorization": f"Bearer {room.tokens['sari']}"})
            assert own.content == client.get(path).content


def test_nothing_is_served_but_what_was_issued(client: httpx.Client, room: Room) -> None:
    """Canaries in whatever was written and not sent, and in who wrote it."""
    canary = f"kenari-{secrets.token_hex(8)}"
    whole_city = {"area": {"areas": ["areas/31.71"]}}
    pending = room.issue(indonesian=texts(canary), **whole_city)
    dropped = room.issue(indonesian=texts(canary), **whole_city)
    room.cancel(dropped, canary)
    issued = room.do("IssueWarning", "system", status="ACTUAL", info=info(), operator=canary)
    room.update(issued, indonesian=texts(canary), contact=canary, **whole_city)
    assert (pending.state, issued.state) == (PublicWarning.PENDING, PublicWarning.ISSUED)
    paths = ["/cap/feed.atom", "/cap/feed.atom?exercises=true", path_of(issued)]
    paths += [f"/cap/{each.name.removeprefix('warnings/')}.{number}.xml" for each in (pending, dropped, issued) for number in (0, 1, 2)]
    for token in ("", *room.tokens.values()):
        for path in paths:
            answer = client.get(path, headers={"authorization": f"Bearer {token}"} if token else {})
            assert canary not in answer.text and canary not in str(answer.headers)
            assert "sari" not in answer.text and "room-system" not in answer.text
            assert pending.name.removeprefix("warnings/") not in answer.text or answer.status_code == 404
    # The control: once approved, it is there.
    shown = room.do("GetWarning", "tono", name=pending.name)
    approved = room.do("ApproveWarning", "tono", name=pending.name, etag=shown.etag)
    for path in ("/cap/feed.atom", path_of(approved)):
        assert canary in client.get(path).text
    assert read_document(client.get(path_of(approved)).content) is not None


def test_with_a_key_every_document_is_signed(room: Room, platform: RunningPlatform, client: httpx.Client, tmp_path: Path) -> None:
    path, certificate = make_key_file(tmp_path, "rsa")
    port = free_port()
    settings = {"GATEWAY_ADAPTERS_PORT": str(port), "GATEWAY_CAP_KEY_FILE": str(path), "GATEWAY_DEV_ISSUER": "false"}
    issued = room.issue()
    ended = room.cancel(issued)
    command = [sys.executable, "-m", "gateway", "adapters"]
    with run_process(command, platform.environment | settings, tmp_path / "adapters.log"):
        wait_until(lambda: is_listening(port), 15, "the adapters listen")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as signing:
            for each in (issued, ended):
                root = fetch_document(signing, path_of(each))
                answer = signing.get(path_of(each))
                assert verifies(answer.content, certificate)
                # But for the signature it is the document that everybody else serves.
                root.remove(root[-1])
                assert etree.tostring(root, method="c14n") == etree.tostring(
                    etree.fromstring(client.get(path_of(each)).content), method="c14n"
                )
                # Whoever has it unsigned does not have it.
                unsigned = client.get(path_of(each)).headers["etag"]
                assert signing.get(path_of(each), headers={"if-none-match": unsigned}).status_code == 200
                assert signing.get(path_of(each), headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_the_services_part_is_in_the_callers_trace(client: httpx.Client, room: Room, collector: Receiver) -> None:
    trace = os.urandom(16)
    client.get(path_of(room.issue()), headers={"traceparent": f"00-{trace.hex()}-{os.urandom(8).hex()}-01"})
    label = "alerts: siaga.alerts.v1.WarningService/GetWarning"
    wait_until(lambda: any(span.trace == trace and span.label == label for span in collector.spans()), 15, "the service's span")


def test_a_service_that_is_gone_is_told_until_it_is_back(client: httpx.Client, room: Room, platform: RunningPlatform) -> None:
    issued = room.issue()
    platform.stop("alerts")
    try:
        for path in ("/cap/feed.atom", path_of(issued)):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["details"][0]["reason"]) == (503, "SERVICE_UNAVAILABLE")
    finally:
        platform.start("alerts")
    wait_until(lambda: client.get(path_of(issued)).status_code == 200, 5, "an answer")
