"""Every change of the directory is made once for its request id, however often and however many at a time it is asked for."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from contract.entries import KINDS, Entries, Kind, describe_creation
from contract.rpcs import AN_ABSENT_UUID, RPCS, Services, new_id
from security.tokens import Signer

CHANGES = [key for key, rpc in RPCS.items() if rpc.upstream == "directory" and rpc.has("request_id")]
of_every_change = pytest.mark.parametrize("key", CHANGES)


class Change(NamedTuple):
    """A request that changes the entry `name`, another that its RPC would take as well, and one that names what is absent."""

    name: str
    content: dict[str, Any]
    other: dict[str, Any]
    failing: dict[str, Any]


def create(kind: Kind, _: Entries) -> Change:
    content = describe_creation(kind)
    entry = content[kind.word]
    reference = {"Area": "parent", "Agency": "parent", "Hotline": "area", "Facility": "area"}[kind.name]
    absent = {**entry, reference: f"{'agencies' if kind.name == 'Agency' else 'areas'}/{AN_ABSENT_UUID}"}
    return Change(
        f"{kind.collection}/{content[f'{kind.word}Id']}",
        content,
        {**content, kind.word: {**entry, "displayName": "Another one"}},
        {**content, kind.word: absent},
    )


def update(kind: Kind, entries: Entries) -> Change:
    name = entries.make(kind).name
    content = {kind.word: {"name": name, "displayName": "Renamed"}, "updateMask": "displayName"}
    absent = {"name": f"{kind.collection}/{AN_ABSENT_UUID}", "displayName": "Renamed"}
    return Change(name, content, {kind.word: {"name": name, "displayName": "Another one"}}, {**content, kind.word: absent})


def delete(kind: Kind, entries: Entries) -> Change:
    entry = entries.make(kind)
    content = {"name": entry.name}
    return Change(entry.name, content, {**content, "etag": entry.etag}, {"name": f"{kind.collection}/{AN_ABSENT_UUID}"})


def set_coverage(entries: Entries) -> Change:
    area = entries.make(KINDS["Area"]).name
    coverage = {"area": area, "category": "FIRE", "agency": "agencies/jakarta-fire"}
    return Change(
        f"coverage/{area.removeprefix('areas/')}.FIRE",
        {"coverage": coverage},
        {"coverage": {**coverage, "agency": "agencies/jakarta-112"}},
        {"coverage": {**coverage, "agency": f"agencies/{AN_ABSENT_UUID}"}},
    )


def remove_coverage(entries: Entries) -> Change:
    made = set_coverage(entries)
    entries.ask("SetCoverage", made.content).require_ok()
    content = {"area": made.content["coverage"]["area"], "category": "FIRE"}
    return Change(made.name, content, {**content, "category": "POLICE"}, {**content, "category": "HOSPITAL"})


HOW: dict[str, Callable[[Entries], Change]] = {
    "directory.SetCoverage": set_coverage,
    "directory.RemoveCoverage": remove_coverage,
    **{
        f"directory.{word}{kind.name}": lambda entries, make=make, kind=kind: make(kind, entries)
        for word, make in (("Create", create), ("Update", update), ("Delete", delete))
        for kind in KINDS.values()
    },
}


@pytest.fixture(scope="module")
def entries(services: Services, admin: str) -> Entries:
    return Entries(services, admin)


def test_every_change_is_known_here() -> None:
    assert set(CHANGES) == set(HOW)


@of_every_change
def test_a_change_leaves_one_row_of_who_did_what(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    before = entries.changes(change.name)
    entries.services.call(key, change.content, token=entries.admin).require_ok()
    rows = entries.changes(change.name)
    assert rows[:-1] == before
    done = {"Create": "CREATED", "Set": "CREATED", "Update": "UPDATED", "Delete": "DELETED", "Remove": "DELETED"}
    told = rows[-1]
    assert told.Action.Name(told.action) == next(action for word, action in done.items() if key.startswith(f"directory.{word}"))
    assert (told.name, told.actor, told.source) == (change.name, "contract-admin", "")
    assert told.fields
    assert told.HasField("create_time")


@of_every_change
def test_a_repeated_change_is_the_same_resource_and_no_second_row(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    content = {**change.content, "requestId": new_id()}
    first = entries.services.call(key, content, token=entries.admin).message
    after = entries.changes(change.name)
    # What comes back is the entry as it is now, and nothing has changed it since.
    assert [entries.services.call(key, content, token=entries.admin).message for _ in range(3)] == [first] * 3
    assert entries.changes(change.name) == after


@of_every_change
def test_a_change_asked_for_twenty_times_at_once_is_made_once(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    before = entries.changes(change.name)
    content = {**change.content, "requestId": new_id()}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: entries.services.call(key, content, token=entries.admin), range(20)))
    assert {answer.said for answer in answers} == {"OK"}
    assert len({answer.message.SerializeToString(deterministic=True) for answer in answers}) == 1
    assert len(entries.changes(change.name)) == len(before) + 1


@of_every_change
def test_another_request_under_the_same_id_is_refused(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    request_id = new_id()
    entries.services.call(key, {**change.content, "requestId": request_id}, token=entries.admin).require_ok()
    after = entries.changes(change.name)
    answer = entries.services.call(key, {**change.other, "requestId": request_id}, token=entries.admin)
    assert answer.said == "INVALID_ARGUMENT REQUEST_ID_REUSED"
    assert entries.changes(change.name) == after


@of_every_change
def test_another_rpc_under_the_same_id_is_refused(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    request_id = new_id()
    entries.services.call(key, {**change.content, "requestId": request_id}, token=entries.admin).require_ok()
    other = CHANGES[CHANGES.index(key) - 1]
    answer = entries.services.call(other, {**HOW[other](entries).content, "requestId": request_id}, token=entries.admin)
    assert answer.said == "INVALID_ARGUMENT REQUEST_ID_REUSED"


@of_every_change
def test_a_failed_change_leaves_its_id_free(entries: Entries, key: str) -> None:
    change = HOW[key](entries)
    request_id = new_id()
    failed = entries.services.call(key, {**change.failing, "requestId": request_id}, token=entries.admin)
    assert failed.code == "NOT_FOUND"
    assert failed.reason.endswith("_NOT_FOUND")
    assert entries.services.call(key, {**change.content, "requestId": request_id}, token=entries.admin).code == "OK"


def test_an_id_is_each_administrators_own(entries: Entries, services: Services, signer: Signer) -> None:
    key = "directory.UpdateAgency"
    change = HOW[key](entries)
    request_id = new_id()
    entries.services.call(key, {**change.content, "requestId": request_id}, token=entries.admin).require_ok()
    colleague = signer.sign("contract-admin-2", "admin")
    assert services.call(key, {**change.other, "requestId": request_id}, token=colleague).code == "OK"
    assert [row.actor for row in entries.changes(change.name)] == ["contract-admin", "contract-admin", "contract-admin-2"]


@of_every_change
@pytest.mark.parametrize("request_id", ["1", "not-a-uuid", "0" * 32, "2f1c7a9e-6f0b-4c39-9d83-3f2f7f3a5c11 "])
def test_an_id_that_is_no_uuid_is_refused(entries: Entries, key: str, request_id: str) -> None:
    change = HOW[key](entries)
    answer = entries.services.call(key, {**change.content, "requestId": request_id}, token=entries.admin)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["requestId"])
