"""The masks of updates, and errors that any client can read."""

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto
from google.protobuf.field_mask_pb2 import FieldMask

from chassis.errors import InvalidRequest
from chassis.masks import json_name, read_mask

CHANGEABLE = ("name", "json_name", "type_name")
RESOURCE = FieldDescriptorProto(name="one", json_name="two", number=3)


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        ([], ["name", "json_name"]),
        (["*"], ["name", "json_name", "type_name"]),
        (["type_name"], ["type_name"]),
        (["json_name", "name", "json_name"], ["name", "json_name"]),
    ],
)
def test_a_mask_names_what_changes(paths: list[str], fields: list[str]) -> None:
    assert read_mask(FieldMask(paths=paths), RESOURCE, CHANGEABLE) == fields


@pytest.mark.parametrize("path", ["number", "", "name.first", "*", "Name"])
def test_what_cannot_be_changed_is_refused_by_name(path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_mask(FieldMask(paths=["name", path, path]), RESOURCE, CHANGEABLE)
    assert refused.value.fields == [("updateMask", f"{path} cannot be changed")]


def test_a_field_is_named_as_json_spells_it() -> None:
    assert [json_name(name) for name in ("name", "display_name", "max_distance_meters")] == ["name", "displayName", "maxDistanceMeters"]


@pytest.mark.parametrize("fields", [[("field", "wrong")] * 10_000, [("é" * 5000, "wrong")], [("field", "x" * 5000)] * 3])
def test_an_error_names_as_many_fields_as_any_client_can_read(fields: list[tuple[str, str]]) -> None:
    assert len(InvalidRequest(fields=fields).to_status().SerializeToString()) < 8000


def test_a_mask_of_many_wrong_paths_is_refused_in_words_that_any_client_can_read() -> None:
    paths = [f"{number}{'x' * 5000}" for number in range(500)]
    with pytest.raises(InvalidRequest) as refused:
        read_mask(FieldMask(paths=paths), RESOURCE, CHANGEABLE)
    assert 100 < len(refused.value.to_status().SerializeToString()) < 8000
