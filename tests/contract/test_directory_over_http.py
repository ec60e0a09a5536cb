"""A facility as a client keeps it over HTTP: made, read, changed with a mask and removed."""

from collections.abc import Iterator

import httpx
import pytest

from contract.entries import AREA, HERE
from contract.rpcs import new_id
from harness import RunningPlatform

NUMBERS = [{"number": "112", "use": "CALL"}]
FACILITY = {"displayName": "A post", "categories": ["POLICE"], "area": AREA, "point": HERE, "numbers": NUMBERS, "address": "Jalan Thamrin"}


@pytest.fixture(scope="module")
def client(platform: RunningPlatform, admin: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, headers={"authorization": f"Bearer {admin}"}) as client:
        yield client


@pytest.fixture
def path(client: httpx.Client) -> str:
    """Of a fresh facility."""
    made = client.post("/v1/facilities", json={"facilityId": new_id(), "facility": FACILITY})
    assert made.status_code == 200, made.text
    return f"/v1/{made.json()['name']}"


def reason_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["details"][0]["reason"]


def test_it_is_made_under_the_name_that_was_asked_for(client: httpx.Client) -> None:
    name = new_id()
    content = {"requestId": new_id(), "facilityId": name, "facility": FACILITY}
    made = client.post("/v1/facilities", json=content)
    assert made.json()["name"] == f"facilities/{name}"
    assert client.post("/v1/facilities", json=content).json()["etag"] == made.json()["etag"]
    assert reason_of(client.post("/v1/facilities", json={**content, "requestId": new_id()})) == (409, "ENTRY_EXISTS")
    read = client.get(f"/v1/facilities/{made.json()['uid']}").json()
    assert {field: read[field] for field in FACILITY} == {**FACILITY, "numbers": [{**NUMBERS[0], "uri": "tel:112;phone-context=+62"}]}


def test_only_what_the_mask_names_changes(client: httpx.Client, path: str) -> None:
    before = client.get(path).json()
    content = {"displayName": "Renamed", "numbers": [], "address": "not read"}
    after = client.patch(path, params={"updateMask": "displayName,numbers"}, json=content).json()
    assert (after["displayName"], after["numbers"], after["address"]) == ("Renamed", [], "Jalan Thamrin")
    assert {field for field in before if before[field] != after[field]} == {"displayName", "numbers", "etag", "updateTime"}
    assert client.get(path).json() == after


def test_without_a_mask_what_the_body_has_changes(client: httpx.Client, path: str) -> None:
    after = client.patch(path, json={"address": "Jalan Sabang"}).json()
    assert (after["displayName"], after["address"]) == ("A post", "Jalan Sabang")


def test_what_was_read_can_be_sent_back_whole_as_long_as_nobody_else_has_changed_it(client: httpx.Client, path: str) -> None:
    read = client.get(path).json()
    after = client.patch(path, params={"updateMask": "*"}, json={**read, "alertText": "Closed today"})
    assert after.status_code == 200, after.text
    assert {field for field in read if read[field] != after.json()[field]} == {"alertText", "etag", "updateTime"}
    assert reason_of(client.patch(path, params={"updateMask": "*"}, json=read)) == (409, "ENTRY_CHANGED")


@pytest.mark.parametrize("mask", ["uid", "noSuch", "displayName,updateTime", "point.latitude"])
def test_a_mask_that_names_anything_else_is_refused(client: httpx.Client, path: str, mask: str) -> None:
    answer = client.patch(path, params={"updateMask": mask}, json={"displayName": "Renamed"})
    assert reason_of(answer) == (400, "INVALID_REQUEST")
    assert [each["field"] for each in answer.json()["details"][1]["fieldViolations"]] == ["updateMask"]


def test_a_body_that_names_another_one_is_refused(client: httpx.Client, path: str) -> None:
    assert reason_of(client.patch(path, json={"name": "facilities/another", "displayName": "x"})) == (400, "UNREADABLE_REQUEST")


def test_a_repeated_update_is_made_once(client: httpx.Client, path: str) -> None:
    query = {"requestId": new_id(), "updateMask": "displayName"}
    answers = [client.patch(path, params=query, json={"displayName": "Renamed"}).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert reason_of(client.patch(path, params=query, json={"displayName": "Again"})) == (400, "REQUEST_ID_REUSED")


def test_it_is_removed_unless_somebody_else_has_changed_it(client: httpx.Client, path: str) -> None:
    old = client.get(path).json()["etag"]
    new = client.patch(path, json={"displayName": "Renamed"}).json()["etag"]
    assert reason_of(client.delete(path, params={"etag": old})) == (409, "ENTRY_CHANGED")
    query = {"etag": new, "requestId": new_id()}
    for _ in range(2):
        removed = client.delete(path, params=query)
        assert (removed.status_code, removed.json()) == (200, {})
    assert reason_of(client.get(path)) == (404, "FACILITY_NOT_FOUND")
    assert reason_of(client.delete(path)) == (404, "FACILITY_NOT_FOUND")


def test_its_history_stays(client: httpx.Client, path: str) -> None:
    client.patch(path, json={"displayName": "Renamed"})
    client.delete(path)
    changes = client.get("/v1/directoryChanges", params={"name": path.removeprefix("/v1/")}).json()["changes"]
    assert [(each["action"], each["actor"]) for each in changes] == [
        ("CREATED", "contract-admin"),
        ("UPDATED", "contract-admin"),
        ("DELETED", "contract-admin"),
    ]
    assert changes[1]["fields"] == [{"path": "displayName", "oldValue": '"A post"', "newValue": '"Renamed"'}]
