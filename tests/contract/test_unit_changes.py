"""Every change of a unit is made once for its request id, however often and however many at a time it is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

import pytest

from contract.over_json import Way
from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services, new_id
from harness import RunningPlatform
from security.matrix import fill
from security.tokens import ROOM, Signer

CHANGES = [key for key, rpc in RPCS.items() if rpc.service.name == "UnitService" and rpc.has("request_id")]
ABSENT = f"units/{AN_ABSENT_UUID}"
UNIT = {"kind": "AMBULANCE", "displayName": "A unit"}
HERE, THERE = {"latitude": -6.17, "longitude": 106.82}, {"latitude": -6.2, "longitude": 106.8}


class Change(NamedTuple):
    """How an RPC changes `$unit`, which is there already unless it is `made`; `other` is another body that it would take."""

    content: dict[str, Any]
    other: dict[str, Any]
    made: bool = False
    on_duty: bool = False


HOW = {
    "alerts.CreateUnit": Change({"unitId": "$id", "unit": UNIT}, {"unit": {**UNIT, "kind": "TEAM"}}, made=True),
    "alerts.UpdateUnit": Change({"unit": {"name": "$unit", "displayName": "Renamed"}}, {"updateMask": "displayName"}),
    "alerts.DeleteUnit": Change({"name": "$unit"}, {"etag": "another"}),
    "alerts.StartDuty": Change({"name": "$unit"}, {"name": "$another"}),
    "alerts.EndDuty": Change({"name": "$unit"}, {"name": "$another"}, on_duty=True),
    "alerts.ReportUnitPositions": Change(
        {"reports": [{"unit": "$unit", "position": {"point": HERE}}]}, {"reports": [{"unit": "$unit", "position": {"point": THERE}}]}
    ),
}
of_every_change = pytest.mark.parametrize("key", HOW)


class Kept:
    """A fresh unit, with a supervisor of its own who asks, so that nobody asks too often for the gateway."""

    def __init__(self, services: Services, way: Way, signer: Signer, key: str) -> None:
        self.services, self.way, self.key = services, way, key
        mine = new_id()
        self.token = signer.sign(f"{mine}-supervisor", "supervisor", agency=ROOM)
        self.words = {"$id": mine, "$unit": f"units/{mine}", "$another": f"units/{mine}.2"}
        for name in ("$another",) if HOW[key].made else ("$another", "$unit"):
            content = {"unitId": self.words[name].removeprefix("units/"), "unit": UNIT}
            services.call("alerts.CreateUnit", content, token=self.token).require_ok()
            if HOW[key].on_duty:
                services.call("alerts.StartDuty", {"name": self.words[name]}, token=self.token).require_ok()

    def change(self, **more: Any) -> Answer:
        return self.way.call(self.key, fill({**HOW[self.key].content, **more}, self.words), token=self.token)

    def read(self) -> Any:
        """As it is now; that it is gone where it is."""
        answer = self.services.call("alerts.GetUnit", {"name": self.words["$unit"]}, token=self.token)
        return answer.message if answer.code == "OK" else answer.said


@pytest.fixture
def make_unit(services: Services, way: Way, signer: Signer) -> Callable[[str], Kept]:
    return lambda key: Kept(services, way, signer, key)


def test_every_change_is_known_here() -> None:
    assert set(CHANGES) == set(HOW)


@of_every_change
def test_a_change_is_answered_with_the_unit_as_it_is_now(make_unit: Callable[[str], Kept], key: str) -> None:
    unit = make_unit(key)
    before = unit.read()
    answer = unit.change().message
    assert unit.read() != before
    match answer.DESCRIPTOR.name:
        case "Unit":
            assert unit.read() == answer
        case "ReportUnitPositionsResponse":
            assert answer.moved == 1
        case _:
            assert unit.read() == "NOT_FOUND UNIT_NOT_FOUND"


@of_every_change
def test_a_repeated_change_changes_nothing(make_unit: Callable[[str], Kept], key: str) -> None:
    unit, request_id = make_unit(key), new_id()
    first = unit.change(requestId=request_id).message
    after = unit.read()
    again = [unit.change(requestId=request_id).message for _ in range(3)]
    assert unit.read() == after
    if key == "alerts.ReportUnitPositions":
        # It says how many it has moved itself.
        assert [answer.moved for answer in (first, *again)] == [1, 0, 0, 0]
    else:
        assert again == [first] * 3


@of_every_change
def test_a_change_asked_for_twenty_times_at_once_is_made_once(make_unit: Callable[[str], Kept], key: str) -> None:
    unit, request_id = make_unit(key), new_id()
    with ThreadPoolExecutor(20) as pool:
        answers = [answer.message for answer in pool.map(lambda _: unit.change(requestId=request_id), range(20))]
    if key == "alerts.ReportUnitPositions":
        assert sum(answer.moved for answer in answers) == 1
    else:
        # Each has the unit's `etag`, which every change makes anew.
        assert len({answer.SerializeToString(deterministic=True) for answer in answers}) == 1


@of_every_change
def test_another_request_under_the_same_id_is_refused(make_unit: Callable[[str], Kept], key: str) -> None:
    unit, request_id = make_unit(key), new_id()
    unit.change(requestId=request_id).require_ok()
    after = unit.read()
    assert unit.change(requestId=request_id, **HOW[key].other).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
    assert unit.read() == after


@of_every_change
def test_another_rpc_under_the_same_id_is_refused(make_unit: Callable[[str], Kept], key: str) -> None:
    unit, request_id = make_unit(key), new_id()
    unit.change(requestId=request_id).require_ok()
    other = CHANGES[CHANGES.index(key) - 1]
    content = fill({**HOW[other].content, "requestId": request_id}, unit.words)
    assert unit.way.call(other, content, token=unit.token).said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@of_every_change
def test_a_failed_change_leaves_its_id_free(make_unit: Callable[[str], Kept], key: str) -> None:
    unit, request_id = make_unit(key), new_id()
    failing = {"unitId": unit.words["$another"].removeprefix("units/")} if HOW[key].made else fill(HOW[key].content, {"$unit": ABSENT})
    failed = unit.change(requestId=request_id, **failing)
    assert failed.said == ("ALREADY_EXISTS UNIT_EXISTS" if HOW[key].made else "NOT_FOUND UNIT_NOT_FOUND")
    assert unit.change(requestId=request_id).said == "OK"


def test_an_id_is_each_callers_own(make_unit: Callable[[str], Kept], signer: Signer) -> None:
    unit, request_id = make_unit("alerts.UpdateUnit"), new_id()
    unit.change(requestId=request_id).require_ok()
    colleague = signer.sign(f"{request_id}-colleague", "supervisor", agency=ROOM)
    content = {"requestId": request_id, "unit": {"name": unit.words["$unit"], "displayName": "Renamed by a colleague"}}
    assert unit.way.call("alerts.UpdateUnit", content, token=colleague).message.display_name == "Renamed by a colleague"


@of_every_change
def test_an_id_that_is_no_uuid_is_refused(make_unit: Callable[[str], Kept], key: str) -> None:
    unit = make_unit(key)
    for request_id in ("1", "not-a-uuid", "0" * 32, f"{new_id()} "):
        answer = unit.change(requestId=request_id)
        assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["requestId"])


def test_a_repetition_after_the_removal_finds_no_unit(make_unit: Callable[[str], Kept]) -> None:
    unit, request_id = make_unit("alerts.CreateUnit"), new_id()
    unit.change(requestId=request_id).require_ok()
    unit.services.call("alerts.DeleteUnit", {"name": unit.words["$unit"]}, token=unit.token).require_ok()
    assert unit.change(requestId=request_id).said == "NOT_FOUND UNIT_NOT_FOUND"


def test_one_of_twenty_who_make_a_unit_of_one_name_at_once_makes_it(spare_platform: RunningPlatform) -> None:
    supervisor = Signer(spare_platform).sign("units-supervisor", "supervisor", agency=ROOM)
    with ExitStack() as stack, ThreadPoolExecutor(20) as pool:
        addresses = [{"alerts": spare_platform.address(name)} for name in spare_platform.replicas] * 10
        ways = [stack.enter_context(closing(Services(spare_platform, address))) for address in addresses]
        for _ in range(10):
            content = {"unitId": new_id(), "unit": UNIT}
            answers = list(pool.map(lambda way, content=content: way.call("alerts.CreateUnit", content, token=supervisor).said, ways))
            assert sorted(answers) == [*["ALREADY_EXISTS UNIT_EXISTS"] * 19, "OK"]


def test_what_was_read_can_be_sent_back_whole_as_long_as_nobody_else_has_changed_it(make_unit: Callable[[str], Kept]) -> None:
    unit = make_unit("alerts.UpdateUnit")
    read = {"name": unit.words["$unit"], "etag": unit.read().etag, **UNIT, "crew": ["somebody"]}
    assert unit.change(unit=read, updateMask="*").message.crew == ["somebody"]
    assert unit.change(unit=read, updateMask="*").said == "ABORTED UNIT_CHANGED"
    removal = {"name": unit.words["$unit"], "etag": read["etag"]}
    assert unit.way.call("alerts.DeleteUnit", removal, token=unit.token).said == "ABORTED UNIT_CHANGED"


@pytest.mark.parametrize("mask", ["duty", "noSuch", "displayName,agency", "position.point"])
def test_a_mask_that_names_anything_else_is_refused(make_unit: Callable[[str], Kept], mask: str) -> None:
    answer = make_unit("alerts.UpdateUnit").change(updateMask=mask)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["updateMask"])
