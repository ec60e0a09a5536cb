"""The OpenAPI document is valid, and says what the contract says."""

from typing import Any

import pytest
from openapi_spec_validator import validate

from gateway.contract import Contract
from gateway.openapi import write_openapi
from security.matrix import find_refusals

# What everybody is answered by every RPC, which the tests of access hold true.
REFUSALS = {
    f"{rpc.service}.{rpc.method.name}": find_refusals(f"{rpc.upstream}.{rpc.method.name}") for rpc in Contract().rpcs if rpc.bindings
}


@pytest.fixture(scope="module")
def document() -> Any:
    return write_openapi(Contract())


def test_it_is_valid(document: Any) -> None:
    validate(document)


def test_every_binding_is_an_operation(document: Any) -> None:
    bindings = [binding for rpc in Contract().rpcs for binding in rpc.bindings]
    operations = [(path, method) for path, methods in document["paths"].items() for method in methods]
    assert len(operations) == len(bindings)
    resources = {"agency", "alert", "area", "facility", "hotline", "unit", "warning", "webhook"}
    assert {binding.body for binding in bindings} == {"", "*", *resources}
    assert ("/v1/alerts:raise", "post") in operations
    assert ("/v1/alerts/{alert}:track", "post") in operations
    assert ("/v1/contacts:nearby", "get") in operations
    assert ("/v1/contacts:nearby", "post") in operations
    assert ("/v1/agencies/{agency}", "get") in operations


def test_operation_ids_are_unique_and_everything_is_described(document: Any) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(tag["description"] for tag in document["tags"])
    assert {tag["name"] for tag in document["tags"]} == {tag for operation in operations for tag in operation["tags"]}
    for operation in operations:
        assert operation["summary"]
        assert all(parameter["description"] for parameter in operation["parameters"])
    assert all(schema["description"] or name == "Error" for name, schema in document["components"]["schemas"].items() if name != "Error")


def test_bounds_and_types_are_those_of_the_contract(document: Any) -> None:
    schemas = document["components"]["schemas"]
    raised = schemas["alerts.v1.RaiseAlertRequest"]
    assert "required" not in raised
    assert raised["properties"]["note"]["maxLength"] == 4000
    assert raised["properties"]["externalIds"]["maxProperties"] == 10
    assert raised["properties"]["externalIds"]["additionalProperties"]["maxLength"] == 100
    point = schemas["type.v1.Point"]
    assert point["required"] == ["latitude", "longitude"]
    assert (point["properties"]["latitude"]["minimum"], point["properties"]["latitude"]["maximum"]) == (-90, 90)
    tracked = schemas["alerts.v1.TrackAlertRequest"]
    assert tracked["required"] == ["locations"]
    assert "name" not in tracked["properties"]
    assert "OUTCOME_UNSPECIFIED" not in schemas["alerts.v1.ResolveAlertRequest"]["properties"]["outcome"]["enum"]
    assert "OUTCOME_UNSPECIFIED" in schemas["alerts.v1.Alert.Outcome"]["enum"]
    assert schemas["alerts.v1.Alert"]["properties"]["createTime"]["format"] == "date-time"


def test_path_and_query_parameters_are_those_of_the_request(document: Any) -> None:
    nearby = {each["name"]: each for each in document["paths"]["/v1/contacts:nearby"]["get"]["parameters"]}
    paged = {"pageSize", "pageToken"}
    assert set(nearby) == {"point.latitude", "point.longitude", "categories", "openNow", "maxDistanceMeters"} | paged
    assert nearby["point.latitude"]["required"]
    assert not nearby["pageSize"]["required"]
    alert, reason = document["paths"]["/v1/alerts/{alert}"]["get"]["parameters"]
    assert (alert["in"], alert["schema"]["pattern"]) == ("path", "^[0-9a-f-]{36}$")
    assert (reason["in"], reason["required"]) == ("query", False)


def test_an_update_has_its_resource_as_body_and_the_rest_as_parameters(document: Any) -> None:
    update = document["paths"]["/v1/facilities/{facility}"]["patch"]
    assert update["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/directory.v1.Facility"}
    parameters = {each["name"]: each["in"] for each in update["parameters"]}
    assert parameters == {"facility": "path", "requestId": "query", "updateMask": "query"}
    removal = document["paths"]["/v1/facilities/{facility}"]["delete"]
    assert {each["name"] for each in removal["parameters"]} == {"facility", "requestId", "etag"}
    assert "requestBody" not in removal


def test_errors_are_grouped_by_their_status(document: Any) -> None:
    acknowledge = document["paths"]["/v1/alerts/{alert}:acknowledge"]["post"]["responses"]
    assert "`ALREADY_ACKNOWLEDGED`" in acknowledge["409"]["description"]
    assert "`ALERT_CLOSED`" in acknowledge["400"]["description"]
    assert "`ACCESS_DENIED`" in acknowledge["403"]["description"]
    assert set(document["paths"]["/v1/alerts:raise"]["post"]["responses"]) == {"200", "400", "429", "500", "503", "504"}


@pytest.mark.parametrize("rpc", [rpc for rpc, refusals in REFUSALS.items() if refusals])
def test_every_refusal_that_somebody_gets_is_documented(document: Any, rpc: str) -> None:
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    responses = next(each["responses"] for each in operations if each["operationId"] == rpc)
    told = {status: answer["description"] for status, answer in responses.items() if status != "200"}
    assert {reason for reason in REFUSALS[rpc] if f"`{reason}`" not in str(told)} == set()


def test_a_watch_is_a_stream_of_events(document: Any) -> None:
    done = document["paths"]["/v1/alerts:watch"]["get"]["responses"]["200"]["content"]
    assert list(done) == ["text/event-stream"]


def test_the_alert_token_opens_an_alert_and_nothing_else(document: Any) -> None:
    paths = document["paths"]
    assert {"alertToken": []} in paths["/v1/alerts/{alert}"]["get"]["security"]
    assert paths["/v1/alerts"]["get"]["security"] == [{"bearer": []}]
    assert paths["/v1/areas"]["get"]["security"] == [{}, {"bearer": []}]
