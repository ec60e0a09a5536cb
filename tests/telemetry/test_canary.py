"""What is secret stays in the tables of its service: it is in no log, no event, no span, no metric, no cache and no error."""

import base64
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from chassis.testing import wait_until
from contract.rpcs import Services, new_id, read_until_caught_up
from contract.streams import over_http
from contract.webhooks import run_taking
from harness import RunningPlatform
from security.tokens import ROOM, Signer
from telemetry.canaries import Canary, plant, plant_number, plant_position, read_files, search
from telemetry.receiver import Receiver
from telemetry.texts import plant_in_texts

# Where alerts keeps what is secret. The dump of Valkey and the other files of the folder are searched.
SEALED = ("alerts.db", "alerts.db-wal", "alerts.db-shm")
# What is found, and in which places alone. Who acts is what events tell. What the directory is told is for everybody to read.
TABLES = ("the file directory.db", "the file directory.db-wal")
KEPT = {
    "the subject": ("the events",),
    "the operator": ("the events",),
    "the administrator": TABLES,
    "a facility's number": (*TABLES, "the file facilities.snapshot"),
    "a facility's address": (*TABLES, "the file facilities.snapshot"),
}


class Planting:
    """Plants every secret by every door, and remembers what was answered where something was refused."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.platform, self.services, self.signer = platform, Services(platform), Signer(platform)
        self.dispatcher = self.signer.sign("canary-dispatcher", "dispatcher", agency=ROOM)
        self.canaries: dict[str, Canary] = {}
        self.admin = self.signer.sign(self.secret("the administrator"), "admin")
        self.errors: dict[str, bytes] = {}

    def canary(self, name: str, make: Callable[[str], Canary] = plant) -> str:
        self.canaries[name] = make(name)
        return self.canaries[name].text

    def degrees(self, name: str, whole: int) -> float:
        canary = plant_position(name, whole)
        self.canaries[name] = canary
        return canary.degrees

    def point(self, name: str) -> dict[str, float]:
        return {"latitude": self.degrees(f"{name}, latitude", -6), "longitude": self.degrees(f"{name}, longitude", 106)}

    def secret(self, name: str) -> str:
        """Of characters that a header or a token takes."""
        return self.canary(name, lambda name: plant(name, "kenari-{}-kenari"))

    def post(self, path: str, content: Any, **headers: str) -> Any:
        return self.send("POST", path, content, headers)

    def patch(self, path: str, content: Any, **headers: str) -> Any:
        return self.send("PATCH", path, content, headers)

    def send(self, method: str, path: str, content: Any, headers: dict[str, str]) -> Any:
        answer = httpx.request(method, f"{self.platform.url}{path}", json=content, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refuse(self, label: str, method: str, path: str, **more: Any) -> None:
        answer = httpx.request(method, f"{self.platform.url}{path}", **more)
        assert answer.status_code >= 400, (label, answer.text)
        self.errors[f"the error of {label}"] = answer.content + str(answer.headers).encode()

    def plant_all(self) -> None:
        user = self.secret("the subject")
        token = self.signer.sign(user, name=self.canary("the name in the token"))
        self.canaries["the token"] = Canary("the token", token, token.rsplit(".", 1)[1])
        alert_token, request_id = self.secret("the alert token"), new_id()
        self.canaries["the request id"] = Canary("the request id", request_id, request_id)
        sos = {
            "requestId": request_id,
            "alertToken": alert_token,
            "kind": "MEDICAL",
            "note": self.canary("the note"),
            "caller": {"displayName": self.canary("the display name"), "callbackPhone": self.canary("the phone", plant_number)},
            "location": {"point": self.point("the place"), "accuracyMeters": 5},
            "target": {"addressText": self.canary("the address"), "point": self.point("the target")},
        }
        with over_http(self.platform)("alerts.WatchAlerts", {}, self.dispatcher, "") as stream:
            read_until_caught_up(stream)
            name = self.post("/v1/alerts:raise", sos, authorization=f"Bearer {token}")["alert"]["name"]
            self.post(
                "/v1/alerts:raise", sos | {"silent": True, "requestId": new_id(), "alertToken": self.secret("a silent alert's token")}
            )
            others = {"externalIds": {"other": self.canary("an identifier elsewhere")}, "note": self.canary("a dispatcher's words")}
            self.post("/v1/alerts:raise", others, authorization=f"Bearer {self.dispatcher}")
            self.post(f"/v1/{name}:track", {"locations": [{"point": self.point("a track")}]}, **{"siaga-alert-token": alert_token})
            by_system = {"authorization": "Bearer " + self.signer.sign("canary-system", "agency", agency=ROOM)}
            self.post(f"/v1/{name}:acknowledge", {"operator": self.secret("the operator")}, **by_system)
            self.post(f"/v1/{name}:addNote", {"text": self.canary("a note"), "operator": "x"}, **by_system)
            self.post(f"/v1/{name}:cancel", {"pin": self.secret("the pin")}, **{"siaga-alert-token": alert_token})
            near = {"point": self.point("a search")}
            self.post("/v1/contacts:nearby", near)
            query = {f"point.{field}": value for field, value in near["point"].items()}
            assert httpx.get(f"{self.platform.url}/v1/contacts:nearby", params=query).status_code == 200
            self.post("/v1/locations:resolve", near)
            assert next(message for message in stream if message.event.type == "AlertCancelled")
        plant_in_texts(self)
        self.plant_in_dispatch(by_system)
        self.plant_in_directory()
        self.refuse_all(name)
        self.plant_in_webhook()

    def plant_in_dispatch(self, by_system: dict[str, str]) -> None:
        """What those who answer say to each other and to the caller, and where their units are."""
        brigade = {"authorization": "Bearer " + self.signer.sign("canary-brigade", "dispatcher", agency="agencies/jakarta-fire")}
        crew_token = self.signer.sign("canary-crew", "responder", agency=ROOM)
        crew = {"authorization": f"Bearer {crew_token}"}
        by, alert_token = {"operator": "x"}, new_id()
        name = self.post("/v1/alerts:raise", {"kind": "FIRE", "alertToken": alert_token})["alert"]["name"]
        self.post(f"/v1/{name}:acknowledge", by, **by_system)
        changed = {
            "target": {"addressText": self.canary("an address by the room"), "point": self.point("a target by the room")},
            "caller": {"displayName": self.canary("a name by the room"), "callbackPhone": self.canary("a phone by the room", plant_number)},
        }
        self.patch(f"/v1/{name}?operator=x", changed, **by_system)
        contact = {"means": "CALL", "result": "OTHER_PERSON", "text": self.canary("what was said in a contact")}
        self.post(f"/v1/{name}:recordContact", {**contact, **by}, **by_system)
        self.post(f"/v1/{name}:sendMessage", {"text": self.canary("a message to the caller"), **by}, **by_system)
        self.post(f"/v1/{name}:sendMessage", {"text": self.canary("a message by the caller")}, **{"siaga-alert-token": alert_token})
        asked = {"agency": "agencies/jakarta-fire", "reason": self.canary("a reason to ask")}
        self.post(f"/v1/{name}:requestAgency", {**asked, **by}, **by_system)
        self.post(f"/v1/{name}:respondToRequest", {"answer": "REJECT", "reason": self.canary("a reason to refuse")}, **brigade)
        self.post(f"/v1/{name}:handOver", {**asked, "reason": self.canary("a reason to hand over"), **by}, **by_system)
        unit = {"kind": "AMBULANCE", "displayName": self.canary("a call sign"), "crew": ["canary-crew", self.secret("a colleague")]}
        unit_name = self.post("/v1/units", {"unit": unit}, **by_system)["name"]
        self.post(f"/v1/{unit_name}:startDuty", {}, **crew)
        with over_http(self.platform)("alerts.WatchAssignments", {"unit": unit_name}, crew_token, "") as stream:
            read_until_caught_up(stream)
            self.post(f"/v1/{name}:dispatch", {"units": [unit_name], **by}, **by_system)
            for place in ("where a unit is", "where a unit is by then"):
                reports = [{"unit": unit_name, "position": {"point": self.point(place), "accuracyMeters": 5}}]
                self.post("/v1/units:reportPositions", {"reports": reports}, **crew)
            assert httpx.get(f"{self.platform.url}/v1/{name}:recommendUnits", headers=by_system).status_code == 200
            declined = {"unit": unit_name, "status": "DECLINED", "reason": self.canary("a reason to decline")}
            self.post(f"/v1/{name}:updateAssignment", declined, **crew)
            assert next(message for message in stream if message.HasField("left"))
        self.refuse_in_dispatch(name, unit_name, by_system)

    def refuse_in_dispatch(self, name: str, unit: str, by_system: dict[str, str]) -> None:
        """The same where something is wrong with the request, or with the database."""
        long = {"text": self.canary("a long message") * 400, "operator": "x"}
        self.refuse("a long message", "POST", f"/v1/{name}:sendMessage", json=long, headers=by_system)
        bad = {"unit": {"kind": "TEAM", "displayName": self.canary("a long call sign") * 40}}
        self.refuse("a long call sign", "POST", "/v1/units", json=bad, headers=by_system)
        lost = {"reports": [{"unit": "units/nobody", "position": {"point": self.point("where nobody is")}}]}
        self.refuse("a position of no unit", "POST", "/v1/units:reportPositions", json=lost, headers=by_system)
        with without_table(self.platform.folder / "alerts.db", "messages"):
            content = {"text": self.canary("a message that the database refuses"), "operator": "x"}
            self.refuse("a broken table of messages", "POST", f"/v1/{name}:sendMessage", json=content, headers=by_system)
        with without_table(self.platform.folder / "alerts.db", "units"):
            reports = {"reports": [{"unit": unit, "position": {"point": self.point("a place that the database refuses")}}]}
            self.refuse("a broken table of units", "POST", "/v1/units:reportPositions", json=reports, headers=by_system)
        for table in ("messages", "units"):
            require_internal_error(self.errors[f"the error of a broken table of {table}"])

    def plant_in_directory(self) -> None:
        number = self.canary("a facility's number", plant_number).removeprefix("+62")
        facility = {
            "displayName": "A facility",
            "categories": ["POLICE"],
            "area": "areas/31",
            "numbers": [{"number": f"0{number}", "use": "CALL"}],
            "address": self.canary("a facility's address"),
        }
        request_id = new_id()
        self.canaries["the request id of a change"] = Canary("the request id of a change", request_id, request_id)
        self.post("/v1/facilities", {"requestId": request_id, "facility": facility}, authorization=f"Bearer {self.admin}")
        # Whoever looks for the people in a safe house must not find it in what was refused.
        shelter = {
            **facility,
            "categories": ["SHELTER_INTAKE"],
            "address": self.canary("a shelter's address"),
            "point": self.point("a shelter"),
        }
        headers = {"authorization": f"Bearer {self.admin}"}
        self.refuse("a shelter with a place", "POST", "/v1/facilities", json={"facility": shelter}, headers=headers)
        with without_table(self.platform.folder / "directory.db", "events"):
            content = {**facility, "address": self.canary("an address that the database refuses")}
            self.refuse("a broken directory", "POST", "/v1/facilities", json={"facility": content}, headers=headers)
        require_internal_error(self.errors["the error of a broken directory"])

    def refuse_all(self, name: str) -> None:
        """The same kinds of secrets where something is wrong with the request."""
        bearer = {"authorization": f"Bearer {self.dispatcher}"}
        self.refuse("an unknown path", "GET", f"/v1/{self.secret('a path')}")
        self.refuse("an unknown parameter", "GET", f"/v1/areas?{self.secret('a parameter')}={self.secret('its value')}")
        self.refuse("an absent name", "GET", f"/v1/areas/{self.secret('a name')}")
        self.refuse("a bad name", "GET", f"/v1/alerts/{self.secret('an alert')}", headers=bearer)
        self.refuse("a bad token", "GET", "/v1/alerts", headers={"authorization": f"Bearer {self.secret('a bad token')}"})
        self.refuse("a foreign alert token", "GET", f"/v1/{name}", headers={"siaga-alert-token": self.secret("a foreign token")})
        self.refuse("an unknown word", "POST", "/v1/alerts:raise", json={"kind": self.secret("a word")})
        self.refuse("a value of a wrong type", "POST", "/v1/alerts:raise", json={"location": self.secret("a place in words")})
        self.refuse("no JSON", "POST", "/v1/alerts:raise", content='{"note": "' + self.secret("a broken note"))
        self.refuse(
            "a bad request id", "POST", f"/v1/{name}:addNote", json={"text": "x", "requestId": self.secret("a bad id")}, headers=bearer
        )
        self.refuse("a long note", "POST", f"/v1/{name}:addNote", json={"text": self.canary("a long note") * 400}, headers=bearer)
        self.refuse("a bad page token", "GET", "/v1/alerts", params={"pageToken": self.secret("a page token")}, headers=bearer)
        self.refuse("a bad cursor", "GET", "/v1/alerts:watch", params={"cursor": self.secret("a cursor")}, headers=bearer)
        with without_table(self.platform.folder / "alerts.db", "notes"):
            content = {"text": self.canary("a note that the database refuses")}
            self.refuse("a broken database", "POST", f"/v1/{name}:addNote", json=content, headers=bearer)
        require_internal_error(self.errors["the error of a broken database"])

    def plant_in_webhook(self) -> None:
        """Its secrets, and what a receiver's URL holds: some have a token of their own there."""
        by_system = {"authorization": "Bearer " + self.signer.sign("canary-system", "agency", agency=ROOM)}
        with run_taking() as url:
            content = {"url": f"{url}{self.secret('the path of a webhook')}", "description": self.canary("the description of a webhook")}
            made = self.post("/v1/webhooks", content, **by_system)
            rotated = self.post(f"/v1/{made['name']}:rotateSecret", {}, **by_system)
            for name, text in (("the secret of a webhook", made["secret"]), ("the new secret of a webhook", rotated["secret"])):
                self.canaries[name] = Canary(name, text, text.removeprefix("whsec_").rstrip("="))
            self.post("/v1/alerts:raise", {"kind": "FIRE"})
            self.post(f"/v1/{made['name']}:sendTestEvent", {}, **by_system)
            wait_until(lambda: self.count_attempts(made["name"], by_system) >= 3, 15, "its deliveries are taken")
        # Now nobody takes them.
        self.post(f"/v1/{made['name']}:sendTestEvent", {}, **by_system)
        wait_until(lambda: self.count_attempts(made["name"], by_system) >= 4, 15, "one is not")
        refused = {"url": f"http://{self.secret('a name that leads nowhere')}.test/"}
        self.refuse("a webhook without an address", "POST", "/v1/webhooks", json=refused, headers=by_system)

    def count_attempts(self, webhook: str, by_system: dict[str, str]) -> int:
        found = httpx.get(f"{self.platform.url}/v1/{webhook}/deliveries", headers=by_system).json()["deliveries"]
        return sum(len(each.get("attempts", ())) for each in found)


def require_internal_error(error: bytes) -> None:
    assert json.loads(error.split(b"Headers(")[0])["details"][0]["reason"] == "INTERNAL_ERROR"


@contextmanager
def without_table(path: Path, table: str) -> Iterator[None]:
    """A database that fails in the middle of a statement, with its values at hand."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        connection.execute("PRAGMA legacy_alter_table=ON")
        connection.execute(f"ALTER TABLE {table} RENAME TO {table}_away")
        try:
            yield
        finally:
            connection.execute(f"ALTER TABLE {table}_away RENAME TO {table}")


class Listener:
    """Everything that is published in Valkey."""

    def __init__(self, port: int) -> None:
        self.client = redis.Redis(port=port)
        self.heard: list[bytes] = []
        self._subscription = self.client.pubsub()
        self._subscription.psubscribe("*")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        for message in self._subscription.listen():
            self.heard.append(repr(message).encode())
            if message["type"] == "punsubscribe":
                return

    def close(self) -> None:
        self._subscription.punsubscribe()
        self._thread.join(5)
        self._subscription.close()

    def keyspace(self) -> bytes:
        return b"\n".join(each for key in self.client.scan_iter() for each in (key, self.client.dump(key) or b""))


@pytest.fixture(scope="module")
def planted(traced: RunningPlatform, collector: Receiver) -> Iterator[tuple[Planting, dict[str, bytes]]]:
    """What was planted, and all the places where it must not be."""
    listener = Listener(traced.ports["valkey"])
    planting = Planting(traced)
    planting.plant_all()
    marker = secrets.token_bytes(16)
    httpx.get(f"{traced.url}/v1/areas", headers={"traceparent": f"00-{marker.hex()}-{'12' * 8}-01"})
    # Spans are sent in order, so that with the gateway's last one all have come.
    wait_until(lambda: sum(span.trace == marker for span in collector.spans()) >= 2, 15, "the last spans")
    wait_until(lambda: any("AddNote" in record.text for record in collector.records()), 15, "the log record of the database's failure")
    wait_until(lambda: any(("AddNote" in str(points)) for points in collector.metrics().values()), 15, "the last metrics")
    listener.close()
    with closing(sqlite3.connect(traced.folder / "alerts.db")) as connection:
        events = repr(connection.execute("SELECT * FROM events").fetchall()).encode()
        keys = b"".join(
            b"".join(part for part in row if isinstance(part, bytes)) for row in connection.execute("SELECT * FROM request_keys")
        )
    places = {
        "the events": events,
        "the request keys": keys,
        "what was published": b"\n".join(listener.heard),
        "Valkey's keys": listener.keyspace(),
        "what the collector was sent": b"".join(request.SerializeToString() for request in collector.requests),
        **planting.errors,
        **{f"the file {name}": content for name, content in read_files(traced.folder).items() if name not in SEALED},
    }
    yield planting, places
    planting.services.close()


def test_every_place_has_something_in_it(planted: tuple[Planting, dict[str, bytes]]) -> None:
    _, places = planted
    empty = {name for name, content in places.items() if not content}
    # Valkey is a bell: it keeps nothing at all.
    assert empty <= {"Valkey's keys", "the file alerts.lock", "the file directory.lock", "the file valkey.log", "the file directory.db-wal"}
    assert {"the file alerts.log", "the file envoy.log", "the file directory.log", "the file adapters.log"} <= set(places)
    assert len(places) > 20


def test_no_secret_is_found_anywhere(planted: tuple[Planting, dict[str, bytes]]) -> None:
    planting, places = planted
    assert len(planting.canaries) >= 70
    found = search(planting.canaries.values(), places)
    allowed = tuple(f"{name} in {place} (" for name, kept in KEPT.items() for place in kept)
    assert [each for each in found if not each.startswith(allowed)] == []


def test_what_is_kept_is_found_where_it_is(planted: tuple[Planting, dict[str, bytes]]) -> None:
    planting, places = planted
    for name, kept in KEPT.items():
        assert search([planting.canaries[name]], {place: places[place] for place in kept if place in places}), name


def test_the_control_is_found_where_secrets_belong(planted: tuple[Planting, dict[str, bytes]], traced: RunningPlatform) -> None:
    planting, _ = planted
    files = {name: content for name, content in read_files(traced.folder).items() if name in SEALED}
    sealed = {"the note", "the display name", "the phone", "the address", "a note", "the place, latitude"}
    sealed |= {"what was said in a contact", "a message to the caller", "a message by the caller", "a reason to refuse"}
    sealed |= {"a reason to decline", "a call sign", "where a unit is by then, latitude", "an address by the room"}
    for name in sealed:
        assert search([planting.canaries[name]], files), name


def test_what_a_text_tells_nobody_is_not_even_in_the_database(planted: tuple[Planting, dict[str, bytes]], traced: RunningPlatform) -> None:
    planting, _ = planted
    files = {name: content for name, content in read_files(traced.folder).items() if name in SEALED}
    for name in ("an SMS's number", "a text", "a further text", "an SMS's place, latitude", "an AML's place, latitude"):
        assert search([planting.canaries[name]], files), name
    names = ("another SMS's number", "a text of nobody's", "the pin of a text", "an AML's number", "a handset")
    assert search([planting.canaries[name] for name in names], files) == []


@pytest.mark.parametrize("spelling", plant("a control").spellings())
def test_a_control_in_a_log_is_found_in_every_spelling(traced: RunningPlatform, spelling: str) -> None:
    control = plant("a control")
    path = traced.folder / "control.log"
    path.write_bytes(b'{"time": 1, "text": "' + control.spellings()[spelling] + b'"}\n')
    try:
        assert any(spelling in each for each in search([control], read_files(traced.folder)))
    finally:
        path.unlink()


def test_a_control_in_base64_is_found_wherever_it_begins() -> None:
    control = plant("a control")
    for before in range(7):
        content = base64.b64encode(b"x" * before + control.text.encode() + b"yz")
        assert search([control], {"a log": content})
