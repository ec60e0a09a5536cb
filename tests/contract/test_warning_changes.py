"""Every change of a public warning is made once for its request id, however often and however many at a time it is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services, new_id
from contract.warned import CITY, info, issue
from security.tokens import ROOM, Signer

CHANGES = [key for key, rpc in RPCS.items() if rpc.service.name == "WarningService" and rpc.has("request_id")]
ABSENT = f"warnings/{AN_ABSENT_UUID}"
# How each changes a warning, and another body that it would take.
HOW: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "alerts.IssueWarning": ({"status": "TEST"}, {"status": "EXERCISE"}),
    "alerts.UpdateWarning": ({}, {"updateMask": "info.contact"}),
    "alerts.CancelWarning": ({}, {"note": "why"}),
    "alerts.ApproveWarning": ({}, {"etag": "another"}),
}
of_every_change = pytest.mark.parametrize("key", HOW)


class Room:
    """Two supervisors of the room; the second one asks for every change."""

    def __init__(self, services: Services, signer: Signer) -> None:
        self.services = services
        self.author, self.token = (signer.sign(f"warnings-{number}", "supervisor", agency=ROOM) for number in range(2))

    def prepare(self, key: str) -> Callable[..., Answer]:
        """What asks for the change of a fresh warning."""
        content: dict[str, Any]
        if key == "alerts.IssueWarning":
            content = {"info": info()}
        else:
            area = CITY if key == "alerts.ApproveWarning" else "areas/31.71.01"
            warning = issue(self.services, self.author, area={"areas": [area]})
            content = {"name": warning.name}
            if key == "alerts.ApproveWarning":
                content["etag"] = warning.etag
            if key == "alerts.UpdateWarning":
                content = {"warning": {"name": warning.name, "info": {"contact": "112"}}}

        def change(**more: Any) -> Answer:
            return self.services.call(key, {**content, **HOW[key][0], **more}, token=self.token)

        return change


@pytest.fixture(scope="module")
def room(services: Services, signer: Signer) -> Room:
    return Room(services, signer)


def test_every_change_is_known_here() -> None:
    assert set(CHANGES) == set(HOW)


@of_every_change
def test_a_repeated_change_is_the_same_warning_and_no_second_message(room: Room, key: str) -> None:
    change, request_id = room.prepare(key), new_id()
    first = change(requestId=request_id).message
    assert [change(requestId=request_id).message for _ in range(3)] == [first] * 3


@of_every_change
def test_a_change_asked_for_twenty_times_at_once_is_made_once(room: Room, key: str) -> None:
    change, request_id = room.prepare(key), new_id()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: change(requestId=request_id), range(20)))
    assert {answer.said for answer in answers} == {"OK"}
    assert len({(answer.message.name, answer.message.message.number, answer.message.etag) for answer in answers}) == 1


@of_every_change
def test_another_request_under_the_same_id_is_refused(room: Room, key: str) -> None:
    change, request_id = room.prepare(key), new_id()
    change(requestId=request_id).require_ok()
    assert change(requestId=request_id, **HOW[key][1]).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
    other = "alerts.CancelWarning" if key != "alerts.CancelWarning" else "alerts.ApproveWarning"
    content = {"name": ABSENT, "requestId": request_id, "etag": "x"}
    assert room.services.call(other, content, token=room.token).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@of_every_change
def test_a_failed_change_leaves_its_id_free_and_somebody_elses_is_another(room: Room, key: str) -> None:
    change, request_id = room.prepare(key), new_id()
    wrong: dict[str, Any] = {"name": ABSENT}
    if key == "alerts.IssueWarning":
        wrong = {"info": info(area={"areas": ["areas/99"]})}
    if key == "alerts.UpdateWarning":
        wrong = {"warning": {"name": ABSENT, "info": {"contact": "112"}}}
    assert change(requestId=request_id, **wrong).code == "NOT_FOUND"
    theirs = {"name": ABSENT, "requestId": request_id}
    assert room.services.call("alerts.CancelWarning", theirs, token=room.author).said == "NOT_FOUND WARNING_NOT_FOUND"
    assert change(requestId=request_id).code == "OK"


@of_every_change
@pytest.mark.parametrize("request_id", ["1", "not-a-uuid", "0" * 32, f"{AN_ABSENT_UUID} "])
def test_an_id_that_is_no_uuid_is_refused(room: Room, key: str, request_id: str) -> None:
    answer = room.prepare(key)(requestId=request_id)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["requestId"])
