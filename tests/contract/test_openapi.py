"""The OpenAPI document that the gateway serves says what the contract says."""

import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from contract.rpcs import RPCS
from harness import RunningPlatform
from siaga.access.v1 import access_pb2


@pytest.fixture(scope="module")
def document(platform: RunningPlatform) -> Any:
    answer = httpx.get(f"{platform.url}/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_it_is_valid(document: Any) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_binding_of_the_contract_is_in_it_and_nothing_else(document: Any) -> None:
    ours = {(binding.method, re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", binding.path)) for rpc in RPCS.values() for binding in rpc.bindings}
    found = {(method.upper(), re.sub(r"\{[^}]*\}", "*", path)) for path, item in document["paths"].items() for method in item}
    assert found == ours


@pytest.mark.parametrize("key", [key for key, rpc in RPCS.items() if rpc.bindings])
def test_an_operation_says_whether_it_wants_a_token_and_which_errors_there_are(document: Any, key: str) -> None:
    rpc = RPCS[key]
    assert rpc.rule is not None
    operations = [
        each
        for item in document["paths"].values()
        for each in item.values()
        if each["operationId"].startswith(f"{rpc.service.full_name}.{rpc.descriptor.name}")
    ]
    operations = [each for each in operations if each["operationId"].split(".")[4] == rpc.descriptor.name]
    assert len(operations) == len(rpc.bindings)
    for operation in operations:
        assert ({} in operation["security"]) == (rpc.rule.token == access_pb2.Rule.OPTIONAL)
        told = " ".join(answer["description"] for status, answer in operation["responses"].items() if status != "200")
        for reason in re.findall(r"`([A-Z]+_[A-Z_]+)`", rpc.comment.partition("Errors:")[2]):
            assert f"`{reason}`" in told


@pytest.mark.parametrize("key", [key for key, rpc in RPCS.items() if rpc.bindings and rpc.bindings[0].method == "PATCH"])
def test_an_update_has_its_resource_as_the_body_and_all_else_in_path_and_query(document: Any, key: str) -> None:
    resource = RPCS[key].descriptor.output_type.full_name.removeprefix("siaga.")
    operation = next(item["patch"] for item in document["paths"].values() if item.get("patch", {}).get("operationId") == operation_id(key))
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{resource}"}
    rest = {field.json_name for field in RPCS[key].descriptor.input_type.fields if field.name != RPCS[key].bindings[0].body}
    assert {"requestId", "updateMask"} <= rest
    assert {each["name"] for each in operation["parameters"] if each["in"] == "query"} == rest
    assert [each["in"] for each in operation["parameters"]].count("path") == 1


@pytest.mark.parametrize("key", [key for key, rpc in RPCS.items() if rpc.bindings and rpc.bindings[0].method == "DELETE"])
def test_a_removal_has_no_body(document: Any, key: str) -> None:
    operation = next(
        item["delete"] for item in document["paths"].values() if item.get("delete", {}).get("operationId") == operation_id(key)
    )
    assert "requestBody" not in operation
    assert {each["name"] for each in operation["parameters"] if each["in"] == "query"} == {"requestId", "etag"}


def operation_id(key: str) -> str:
    return f"{RPCS[key].service.full_name}.{RPCS[key].descriptor.name}"
