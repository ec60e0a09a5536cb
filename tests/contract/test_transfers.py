"""A file of many messages goes into the directory and comes out again, at the service as through the gateway."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from contract.rpcs import RPCS, Services, new_id
from harness import RunningPlatform

IMPORT = RPCS["directory.ImportDirectory"]
SCOPE = "areas/31.01"
NUMBERS = range(1500)


@pytest.fixture(scope="module", params=["service", "gateway"])
def target(request: pytest.FixtureRequest, services: Services, platform: RunningPlatform) -> Iterator[Services]:
    if request.param == "service":
        yield services
        return
    with grpc.insecure_channel(platform.target) as channel:
        through = Services(platform, {})
        through.channels = {"directory": channel}
        yield through


@pytest.fixture
def source() -> str:
    """A word of the test's own: only facilities of the same source are replaced."""
    return f"contract-{new_id()[:8]}"


def write_file(numbers: range, address: str = "Jalan Pulau Pramuka") -> bytes:
    rows = [f"{number},Post {number},COMPLAINT_POST,{SCOPE},{address},112" for number in numbers]
    return "\r\n".join(["id,name,categories,area,address,numbers", *rows, ""]).encode()


def send_file(target: Services, admin: str, source: str, file: bytes, **more: Any) -> list[Any]:
    """All messages of an import."""
    head = {"scope": SCOPE, "format": "FACILITIES_CSV", "source": source, "fileBytes": len(file), **more}
    chunks = [IMPORT.request(chunk=file[start : start + 65000]) for start in range(0, len(file), 65000)]
    answer = target.call(IMPORT.key, [IMPORT.parse({"head": head}), *chunks], token=admin)
    answer.require_ok()
    return answer.messages


def read_result(messages: list[Any]) -> dict[str, int]:
    """What came of an import; fails where its messages do not follow each other as the contract has it."""
    order = [message.WhichOneof("content") for message in messages]
    assert order == sorted(order, key=["progress", "changes", "result"].index)
    assert order.count("result") == 1
    changes = [each for message in messages for each in message.changes.changes]
    assert [each.name for each in changes] == sorted({each.name for each in changes})
    assert all(len(message.changes.changes) <= 500 for message in messages)
    result = messages[-1].result
    assert len(changes) == result.added + result.changed + result.removed
    return {field.name: value for field, value in result.ListFields()}


def receive_file(target: Services, admin: str, source: str) -> bytes:
    answer = target.call("directory.ExportDirectory", {"scope": SCOPE, "format": "FACILITIES_CSV", "source": source}, token=admin)
    answer.require_ok()
    assert all(0 < len(message.chunk) <= 65536 for message in answer.messages)
    return b"".join(message.chunk for message in answer.messages)


def count(target: Services, source: str) -> int:
    listed = target.call("directory.ListFacilities", {"area": SCOPE, "pageSize": 1000}).message.facilities
    return sum(each.source == source for each in listed)


def test_what_went_in_comes_out_and_goes_in_again_unchanged(target: Services, admin: str, source: str) -> None:
    assert len(write_file(NUMBERS)) > 65536
    assert read_result(send_file(target, admin, source, write_file(NUMBERS))) == {"added": len(NUMBERS)}
    out = receive_file(target, admin, source)
    assert out.count(b"\r\n") == len(NUMBERS) + 1
    assert read_result(send_file(target, admin, source, write_file(NUMBERS))) == {"unchanged": len(NUMBERS)}
    assert read_result(send_file(target, admin, source, out)) == {"unchanged": len(NUMBERS)}
    fewer = write_file(NUMBERS[:3], "Jalan Pulau Tidung")
    assert read_result(send_file(target, admin, source, fewer)) == {"changed": 3, "removed": len(NUMBERS) - 3}


def test_a_dry_run_says_what_would_change_and_changes_nothing(target: Services, admin: str, source: str) -> None:
    send_file(target, admin, source, write_file(NUMBERS[:3]))
    messages = send_file(target, admin, source, write_file(NUMBERS[2:5]), dryRun=True)
    assert read_result(messages) == {"added": 2, "removed": 2, "unchanged": 1, "dry_run": True}
    assert count(target, source) == 3
    shown = [each for message in messages for each in message.changes.changes]
    assert {(each.actor, each.HasField("create_time"), each.source) for each in shown} == {("", False, source)}


def test_one_bad_line_refuses_the_whole_file_and_is_named(target: Services, admin: str, source: str) -> None:
    send_file(target, admin, source, write_file(NUMBERS[:3]))
    file = write_file(NUMBERS[:5]).replace(b"4,Post 4,COMPLAINT_POST", b"4,Post 4,NO_SUCH_WORD")
    head = IMPORT.parse({"head": {"scope": SCOPE, "format": "FACILITIES_CSV", "source": source}})
    answer = target.call(IMPORT.key, [head, IMPORT.request(chunk=file)], token=admin)
    assert (answer.said, answer.fields, answer.metadata) == ("INVALID_ARGUMENT INVALID_IMPORT", ["line 6"], {"badLines": "1"})
    assert count(target, source) == 3


@pytest.mark.parametrize(
    "contents",
    [[], [{"chunk": "e30="}], [{"head": {}}, {"head": {}}], [{"head": {}}, {"chunk": "e30="}, {"head": {}}], [{}]],
    ids=["nothing", "no head", "two heads", "a late head", "an empty message"],
)
def test_messages_in_another_order_are_refused(target: Services, admin: str, contents: list[dict[str, Any]]) -> None:
    head = {"scope": SCOPE, "format": "FACILITIES_CSV"}
    messages = [IMPORT.parse({**each, "head": head} if "head" in each else each) for each in contents]
    answer = target.call(IMPORT.key, messages, token=admin)
    assert answer.said == "INVALID_ARGUMENT INVALID_REQUEST"


def test_a_scope_that_is_none_is_not_found(target: Services, admin: str) -> None:
    scope = {"scope": "areas/99", "format": "FACILITIES_CSV"}
    assert target.call("directory.ExportDirectory", scope, token=admin).said == "NOT_FOUND AREA_NOT_FOUND"
    messages = [IMPORT.parse({"head": scope}), IMPORT.request(chunk=write_file(NUMBERS[:1]))]
    assert target.call(IMPORT.key, messages, token=admin).said == "NOT_FOUND AREA_NOT_FOUND"
