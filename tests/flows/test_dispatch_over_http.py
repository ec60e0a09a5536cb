"""The journey of help, from the SOS to the scene and home, as a phone's app, two rooms' consoles and a crew's tablet make it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from contract.over_json import fill_path
from contract.rpcs import RPCS, new_id
from flows.pages import MONAS, bearer, raise_sos, watch
from gateway.contract import VARIABLE
from harness import RunningPlatform

SECOND = 1.0
ROOM, FIRE_BRIGADE = "agencies/jakarta-112", "agencies/jakarta-fire"
BINDINGS = [binding for rpc in RPCS.values() for binding in rpc.bindings]


class Person:
    """Somebody at a page of their own, signed in."""

    def __init__(self, platform: RunningPlatform, person: str) -> None:
        self.headers = bearer(platform, person)
        self._client = httpx.Client(base_url=platform.url, headers=self.headers, timeout=5)

    def get(self, path: str, **query: Any) -> Any:
        return self._read(self._client.get(path, params=query))

    def post(self, path: str, **content: Any) -> Any:
        return self._read(self._client.post(path, json={"requestId": new_id(), **content}))

    def patch(self, path: str, **content: Any) -> Any:
        return self._read(self._client.patch(path, params={"requestId": new_id()}, json=content))

    def get_status(self, path: str) -> int:
        return self._client.get(path).status_code

    def close(self) -> None:
        self._client.close()

    @staticmethod
    def _read(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def people(platform: RunningPlatform) -> Iterator[dict[str, Person]]:
    named = {"dispatcher": "dispatcher-112", "supervisor": "supervisor-112", "brigade": "dispatcher-fire", "crew": "crew-ambulance"}
    found = {name: Person(platform, person) for name, person in named.items()}
    yield found
    for each in found.values():
        each.close()


def test_help_travels_from_two_rooms_to_the_scene_and_home(platform: RunningPlatform, people: dict[str, Person]) -> None:
    dispatcher, supervisor, brigade, crew = (people[name] for name in ("dispatcher", "supervisor", "brigade", "crew"))
    with httpx.Client(base_url=platform.url, timeout=5) as http:
        raised = raise_sos(http, kind="FIRE", note="asap dari lantai dua")
    name, phone = raised["alert"]["name"], {"siaga_alert_token": raised["alertToken"]}
    with watch(platform, f"/v1/{name}:watch", **phone) as app, watch(platform, "/v1/alerts:watch?cursor=now", **brigade.headers) as room:
        assert app.wait_for("AlertOpen", name)["event"]["alert"]["state"] == "RAISED"
        room.wait_for("heartbeat")
        assert dispatcher.post(f"/v1/{name}:acknowledge")["state"] == "ACKNOWLEDGED"
        assert app.wait_for("AlertAcknowledged", name, SECOND)["event"]["alert"]["state"] == "ACKNOWLEDGED"
        assert dispatcher.patch(f"/v1/{name}", target={"point": MONAS, "addressText": "Jalan Silang Monas"})["target"]["addressText"]
        assert app.wait_for("AlertUpdated", name, SECOND)["event"]["alert"]["target"]["addressText"] == "Jalan Silang Monas"

        # The fire brigade is asked for help, and gives it.
        asked = dispatcher.post(f"/v1/{name}:requestAgency", agency=FIRE_BRIGADE, reason="smoke")
        assert [(each["agency"], each["part"], each["state"]) for each in asked["responses"]] == [
            (ROOM, "LEAD", "ACCEPTED"),
            (FIRE_BRIGADE, "SUPPORT", "REQUESTED"),
        ]
        assert room.wait_for("AgencyRequested", name, SECOND)["event"]["alert"]["note"] == "asap dari lantai dua"
        helping = brigade.post(f"/v1/{name}:respondToRequest", answer="ACCEPT")
        assert (helping["responses"][1]["state"], helping["responses"][1]["operator"]) == ("ACCEPTED", "dispatcher-fire")

        # An ambulance goes on duty, says where it is, and is what the room is told to send.
        unit = supervisor.post("/v1/units", unit={"kind": "AMBULANCE", "displayName": "Gambir 1", "crew": ["crew-ambulance"]})["name"]
        assert crew.post(f"/v1/{unit}:startDuty")["duty"] == "ON_DUTY"
        moved = crew.post("/v1/units:reportPositions", reports=[{"unit": unit, "position": {"point": MONAS, "accuracyMeters": 5}}])
        assert moved == {"moved": "1"}
        assert crew.get(f"/v1/{unit}")["position"]["point"] == MONAS
        assert unit in [each["name"] for each in dispatcher.get("/v1/units", kind="AMBULANCE", duty="ON_DUTY", pageSize=1000)["units"]]
        advice = dispatcher.get(f"/v1/{name}:recommendUnits", maxUnits=100)
        best = advice["recommendations"][0]
        assert best["distanceMeters"] == 0
        assert {"NEAREST", "SUITABLE"} <= set(best["reasons"])
        assert unit in [each["unit"]["name"] for each in advice["recommendations"]]

        # The crew is sent, and everybody is told how far it has come.
        assert crew.get_status(f"/v1/{name}") == 404
        with watch(platform, f"/v1/{unit}/assignments:watch", **crew.headers) as tablet:
            tablet.wait_for("snapshotEnd")
            sent = dispatcher.post(f"/v1/{name}:dispatch", units=[unit])
            assert (sent["state"], sent["assignments"][0]["unit"], sent["assignments"][0]["status"]) == ("DISPATCHED", unit, "ASSIGNED")
            told = tablet.wait_for("AlertDispatched", name, SECOND)["event"]["alert"]
            assert (told["target"]["addressText"], told["note"]) == ("Jalan Silang Monas", "asap dari lantai dua")
            assert app.wait_for("AlertDispatched", name, SECOND)["event"]["alert"]["state"] == "DISPATCHED"
            for status in ("ACCEPTED", "EN_ROUTE", "ON_SCENE"):
                crew.post(f"/v1/{name}:updateAssignment", unit=unit, status=status)
                tablet.wait_for("AssignmentUpdated", name, SECOND)
            shown = app.wait_for("AssignmentUpdated", name, SECOND)["event"]["alert"]
            assert shown["state"] == "ON_SCENE"
            # The caller learns that somebody is there, and not who.
            assert (shown["assignments"], shown["responses"]) == ([], [])
            assert shown["arriveTime"]
            crew.post(f"/v1/{name}:sendMessage", text="Kami di depan pintu")
            app.wait_for("MessageSent", name, SECOND)

            assert dispatcher.post(f"/v1/{name}:resolve", outcome="HELPED")["assignments"][0]["status"] == "DONE"
            assert app.wait_for("AlertResolved", name, SECOND)["event"]["alert"]["state"] == "RESOLVED"
            assert app.wait_for("end", seconds=SECOND)["end"]["reason"] == "ALERT_CLOSED"
            assert tablet.wait_for("left", seconds=SECOND)["left"]["name"] == name
            assert room.wait_for("left", seconds=SECOND)["left"]["name"] == name
    assert crew.get_status(f"/v1/{name}") == 404
    assert crew.get(f"/v1/{unit}")["alert"] == ""
    assert crew.post(f"/v1/{unit}:endDuty")["duty"] == "OFF_DUTY"
    with httpx.Client(base_url=platform.url, headers={"siaga-alert-token": raised["alertToken"]}) as http:
        messages = http.get(f"/v1/{name}/messages").json()["messages"]
    assert [(each["sender"], each["operator"], each["text"]) for each in messages] == [("AGENCY", "", "Kami di depan pintu")]


@pytest.mark.parametrize("binding", BINDINGS, ids=[f"{binding.method} {binding.path}" for binding in BINDINGS])
def test_a_page_of_an_allowed_origin_may_make_every_call(platform: RunningPlatform, binding: Any) -> None:
    path = fill_path(binding, new_id())
    assert not VARIABLE.search(path)
    headers = "authorization,content-type,siaga-alert-token"
    asks = {"access-control-request-method": binding.method, "access-control-request-headers": headers}
    allowed = httpx.options(f"{platform.url}{path}", headers={"origin": "http://localhost:8080", **asks})
    assert allowed.headers["access-control-allow-origin"] == "http://localhost:8080"
    assert binding.method in allowed.headers["access-control-allow-methods"].replace(" ", "").split(",")
    assert set(headers.split(",")) <= set(allowed.headers["access-control-allow-headers"].split(","))
    refused = httpx.options(f"{platform.url}{path}", headers={"origin": "https://evil.example", **asks})
    assert "access-control-allow-origin" not in refused.headers
