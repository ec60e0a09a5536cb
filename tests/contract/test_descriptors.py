"""What every service and RPC of the contract must have, read from the descriptors."""

import importlib
import inspect
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from google.rpc import code_pb2

from chassis.errors import Problem
from contract.over_json import find_name
from contract.rpcs import CONTRACT, RPCS, SERVICES, Rpc
from siaga.access.v1 import access_pb2
from siaga.errors.v1 import error_reason_pb2

SHARED = "siaga.errors.v1"
REASONS = {
    f"{name[1:].rsplit('.', 1)[0]}.{value.name}": value
    for name, enum in CONTRACT.enums.items()
    if enum.name == "ErrorReason"
    for value in enum.value
}
# What follows its service's memory and no log: it has missed nothing that it could not make good by telling what there is.
WITHOUT_LOG = {"directory.WatchDirectory"}
SENT = [name for name in REASONS if not name.endswith(".ERROR_REASON_UNSPECIFIED")]
of_every_rpc = pytest.mark.parametrize("rpc", RPCS.values(), ids=RPCS.keys())


def reasons_of(package: str) -> set[str]:
    return {name.rsplit(".", 1)[1] for name in SENT if name.rsplit(".", 1)[0] == package}


def read_errors_line(rpc: Rpc) -> str:
    """What stands after `Errors:`, to the end of the comment; empty where there is none."""
    found = re.search(r"^Errors: (.+)\Z", rpc.comment, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def test_there_is_something_to_test() -> None:
    assert {"alerts", "directory"} <= set(SERVICES)
    # A key that two services of a package share would hide one of them.
    assert len(RPCS) == sum(len(service.method) for file in CONTRACT.descriptors.file for service in file.service)
    assert len(RPCS) >= 65


@of_every_rpc
def test_an_rpc_says_who_may_call_it(rpc: Rpc) -> None:
    assert rpc.rule is not None
    assert rpc.rule.token in {access_pb2.Rule.REQUIRED, access_pb2.Rule.OPTIONAL}
    assert access_pb2.ROLE_UNSPECIFIED not in rpc.rule.roles
    # Roles come from a token: without one required they would keep nobody out who has none.
    assert not rpc.rule.roles or rpc.rule.token == access_pb2.Rule.REQUIRED


@of_every_rpc
def test_an_emergency_is_open_to_everybody_at_any_rate(rpc: Rpc) -> None:
    assert rpc.rule is not None
    if rpc.rule.emergency:
        assert (rpc.rule.token, rpc.rule.never_limited, rpc.rule.expired_grace) == (access_pb2.Rule.OPTIONAL, True, True)
    else:
        assert not rpc.rule.expired_grace


@of_every_rpc
def test_an_rpc_is_reached_over_http_or_says_that_it_is_not(rpc: Rpc) -> None:
    assert rpc.rule is not None
    assert bool(rpc.bindings) != rpc.rule.grpc_only
    for binding in rpc.bindings:
        assert re.fullmatch(r"/v1/[\w/{}=*.:]+", binding.path)
        resource = find_name(binding).partition(".")[0]
        assert binding.body == {"GET": "", "POST": "*", "PATCH": resource, "DELETE": ""}[binding.method]


def test_no_two_rpcs_share_a_path() -> None:
    bindings = Counter((binding.method, re.sub(r"\{[\w.]+=|\}", "", binding.path)) for rpc in RPCS.values() for binding in rpc.bindings)
    assert [binding for binding, times in bindings.items() if times > 1] == []


@of_every_rpc
def test_an_rpc_lists_its_errors_and_each_of_them_exists(rpc: Rpc) -> None:
    line = read_errors_line(rpc)
    named = re.findall(r"`([A-Z][A-Z_]+)`", line)
    assert set(named) <= reasons_of(rpc.package) | reasons_of(SHARED)
    assert named or line == "none of its own."


@pytest.mark.parametrize("name", SENT)
def test_a_reason_has_a_code_and_a_comment(name: str) -> None:
    value = REASONS[name]
    assert value.options.HasExtension(error_reason_pb2.code)
    assert value.options.Extensions[error_reason_pb2.code] not in {code_pb2.OK, code_pb2.UNKNOWN}
    package, word = name.rsplit(".", 1)
    assert CONTRACT.comments[f".{package}.ErrorReason.{word}"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_one_error_class_for_each_of_its_reasons(service: str) -> None:
    found = Counter(each.reason.name for each in problems_in(f"{service}.errors"))
    assert found == Counter(reasons_of(f"siaga.{service}.v1"))


def test_each_shared_reason_has_one_error_class_in_the_chassis_or_at_the_gateway() -> None:
    chassis, gateway = ([each.reason.name for each in problems_in(module)] for module in ("chassis.errors", "gateway.errors"))
    assert len(set(chassis)) == len(chassis)
    assert len(set(gateway)) == len(gateway)
    assert {*chassis, *gateway} == reasons_of(SHARED)


@pytest.mark.parametrize("module", ["chassis.errors", "gateway.errors", *(f"{service}.errors" for service in SERVICES)])
def test_an_error_says_something_fixed_in_a_sentence(module: str) -> None:
    for each in problems_in(module):
        assert each.text[0].isupper()
        assert each.text.endswith(".")
        assert "%" not in each.text
        assert "{" not in each.text


@pytest.mark.parametrize("name", [name for name in SENT if not name.startswith(SHARED)])
def test_a_reason_of_a_service_is_one_of_its_rpcs_errors(name: str) -> None:
    package, word = name.rsplit(".", 1)
    assert any(f"`{word}`" in read_errors_line(rpc) for rpc in RPCS.values() if rpc.package == package)


@of_every_rpc
def test_a_change_takes_a_request_id(rpc: Rpc) -> None:
    # A page of what is kept of a caller is asked for in a body, and changes nothing.
    if rpc.bindings and rpc.bindings[0].method != "GET" and not rpc.has("page_token"):
        field = rpc.descriptor.input_type.fields_by_name["request_id"]
        assert field.type == field.TYPE_STRING
    else:
        assert not rpc.has("request_id")


@of_every_rpc
def test_an_update_takes_a_mask_and_a_removal_an_etag(rpc: Rpc) -> None:
    method = rpc.bindings[0].method if rpc.bindings else ""
    assert rpc.has("update_mask") == (method == "PATCH")
    if method == "PATCH":
        resource = rpc.descriptor.input_type.fields_by_name[rpc.bindings[0].body].message_type
        assert resource == rpc.descriptor.output_type
        assert {"name", "etag"} <= set(rpc.descriptor.output_type.fields_by_name)
    if method == "DELETE":
        assert rpc.has("etag")
    # Whose etag is an earlier one is told so.
    if method in {"PATCH", "DELETE"}:
        assert re.search(r"`[A-Z]+_CHANGED`", read_errors_line(rpc))


@of_every_rpc
def test_a_list_pages(rpc: Rpc) -> None:
    paged = [name in rpc.descriptor.input_type.fields_by_name for name in ("page_size", "page_token")]
    paged.append("next_page_token" in rpc.descriptor.output_type.fields_by_name)
    assert len(set(paged)) == 1
    if rpc.descriptor.name.startswith(("List", "Search")):
        assert all(paged)


@of_every_rpc
def test_a_watch_takes_and_gives_a_cursor(rpc: Rpc) -> None:
    assert rpc.has("cursor") == rpc.watches
    if rpc.watches:
        assert rpc.streams
        assert not rpc.descriptor.client_streaming
        answer = rpc.descriptor.output_type
        assert {"cursor", "event", "snapshot_end", "heartbeat", "end"} <= set(answer.fields_by_name)
        end = answer.fields_by_name["end"].message_type
        reasons = {value.name for value in end.enum_types_by_name["Reason"].values}
        assert {"SLOW_READER", "SERVICE_STOPPING", "TOKEN_EXPIRED"} <= reasons
        errors = set(re.findall(r"`([A-Z_]+)`", read_errors_line(rpc)))
        assert {"INVALID_CURSOR", "OVERLOADED"} <= errors
        assert ("CURSOR_EXPIRED" in errors) == (rpc.key not in WITHOUT_LOG)


@of_every_rpc
def test_what_streams_and_is_no_watch_is_for_grpc_alone_and_a_file_or_says_that_it_streams(rpc: Rpc) -> None:
    files = {message for message in (rpc.descriptor.input_type, rpc.descriptor.output_type) if "chunk" in message.fields_by_name}
    streams = bool(files) or rpc.descriptor.name.startswith("Stream")
    assert streams == ((rpc.streams or rpc.descriptor.client_streaming) and not rpc.watches)
    assert not (streams and rpc.bindings)


def test_the_generated_code_is_current() -> None:
    script = Path(__file__).parents[2] / "protos" / "generate.py"
    told = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


def problems_in(module: str) -> list[type[Problem]]:
    """The errors that the module itself defines."""
    found = importlib.import_module(module)
    return [
        each
        for _, each in inspect.getmembers(found, inspect.isclass)
        if issubclass(each, Problem) and each.__module__ == module and each is not Problem
    ]
