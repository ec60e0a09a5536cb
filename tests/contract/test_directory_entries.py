"""How entries of the directory are made, changed and removed: masks, etags, and what stands in the way."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message

from contract.entries import KINDS, Entries, Kind, describe_creation
from contract.rpcs import AN_ABSENT_UUID, RPCS, Services, new_id

of_every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
# What follows from the rest of an entry, or from its being changed.
OUTPUT = {"uid", "etag", "updateTime", "unassured", "source", "hasBoundary"}


@pytest.fixture(scope="module")
def entries(services: Services, admin: str) -> Entries:
    return Entries(services, admin)


def fields_of(kind: Kind) -> set[str]:
    return {field.json_name for field in RPCS[f"directory.Get{kind.name}"].response.DESCRIPTOR.fields}


def find_differences(one: Message, other: Message) -> set[str]:
    """The fields, as JSON spells them, that two entries do not share, beside those that follow from them."""
    first, second = (json_format.MessageToDict(each) for each in (one, other))
    return {field for field in {**first, **second} if first.get(field) != second.get(field)} - OUTPUT


@of_every_kind
def test_every_field_is_known_here(kind: Kind) -> None:
    assert fields_of(kind) - OUTPUT == {"name", *kind.whole, *kind.fixed}
    assert kind.whole.keys() == kind.other.keys()


@of_every_kind
def test_an_entry_is_made_as_it_was_asked_for(entries: Entries, kind: Kind) -> None:
    content = describe_creation(kind)
    made = entries.ask(f"Create{kind.name}", content).message
    told = json_format.MessageToDict(made)
    name = f"{kind.collection}/{content[f'{kind.word}Id']}"
    assert {field: value for field, value in told.items() if field not in OUTPUT} == {"name": name, **kind.whole, **kind.fixed}
    assert made.etag
    assert made.HasField("update_time")


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.name != "Area"], ids=lambda kind: kind.name)
def test_an_entry_without_an_id_is_given_one(entries: Entries, kind: Kind) -> None:
    names = {entries.ask(f"Create{kind.name}", {kind.word: kind.fewest}).message.name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith(f"{kind.collection}/") for name in names)


@of_every_kind
def test_a_change_answers_with_what_is_then_read(entries: Entries, kind: Kind) -> None:
    # That nobody has confirmed it is told at once.
    made = entries.ask(f"Create{kind.name}", {**describe_creation(kind), kind.word: {**kind.fixed, **kind.fewest}}).message
    assert entries.get(kind, made.name).message == made
    changed = entries.update(kind, made.name, {"displayName": "Renamed"}).message
    assert entries.get(kind, made.name).message == changed
    entries.ask(f"Delete{kind.name}", {"name": made.name}).require_ok()
    assert entries.get(kind, made.name).said == f"NOT_FOUND {kind.name.upper()}_NOT_FOUND"


@pytest.mark.parametrize(("name", "field"), [(kind.name, field) for kind in KINDS.values() for field in kind.whole])
def test_only_the_field_of_the_mask_changes_whatever_else_the_request_has(entries: Entries, name: str, field: str) -> None:
    kind = KINDS[name]
    made = entries.make(kind)
    changed = entries.update(kind, made.name, kind.other, field).message
    # A facility that moves belongs to the area where it is then.
    assert find_differences(made, changed) == ({field, "area"} if (name, field) == ("Facility", "point") else {field})
    assert changed.etag != made.etag
    assert json_format.MessageToDict(changed).get(field, []) == kind.other[field]


@of_every_kind
def test_a_mask_of_everything_changes_all_that_can_be(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    changed = entries.update(kind, made.name, kind.other, "*").message
    assert find_differences(made, changed) == kind.other.keys()


@of_every_kind
def test_what_a_mask_names_and_the_request_does_not_have_is_emptied(entries: Entries, kind: Kind) -> None:
    optional = kind.whole.keys() - kind.needed
    for mask in ("*", ",".join([*kind.needed, *optional])):
        made = entries.make(kind)
        changed = entries.update(kind, made.name, kind.fewest, mask).message
        assert find_differences(made, changed) == optional
        bare = entries.ask(f"Create{kind.name}", {**describe_creation(kind), kind.word: {**kind.fixed, **kind.fewest}}).message
        assert find_differences(changed, bare) == {"name"}


@of_every_kind
def test_without_a_mask_the_fields_that_the_request_has_change(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    changed = entries.update(kind, made.name, {"displayName": "Renamed"}).message
    assert find_differences(made, changed) == {"displayName"}


@of_every_kind
def test_a_mask_names_only_what_can_be_changed(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    for field in sorted((fields_of(kind) & OUTPUT) | kind.fixed.keys() | {"name", "noSuchField", "point.latitude"}):
        answer = entries.update(kind, made.name, {"displayName": "Renamed"}, f"displayName,{field}")
        assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["updateMask"]), field
    assert entries.get(kind, made.name).message == made


@of_every_kind
def test_what_is_output_alone_is_not_read(entries: Entries, kind: Kind) -> None:
    said = {"name": f"{kind.collection}/other", "uid": AN_ABSENT_UUID, "updateTime": "2001-01-01T00:00:00Z", "source": "osm"}
    said = {field: value for field, value in {**said, "hasBoundary": True}.items() if field in fields_of(kind)}
    told = json_format.MessageToDict(entries.make(kind, **said))
    assert [field for field, value in said.items() if told.get(field) == value] == []


@of_every_kind
def test_an_entry_that_somebody_else_has_changed_is_neither_changed_nor_removed(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    changed = entries.update(kind, made.name, {"displayName": "Renamed", "etag": made.etag}).message
    for etag in (made.etag, "x"):
        assert entries.update(kind, made.name, {"displayName": "Again", "etag": etag}).said == "ABORTED ENTRY_CHANGED"
        assert entries.ask(f"Delete{kind.name}", {"name": made.name, "etag": etag}).said == "ABORTED ENTRY_CHANGED"
    assert entries.get(kind, made.name).message == changed
    assert len(entries.changes(made.name)) == 2
    entries.ask(f"Delete{kind.name}", {"name": made.name, "etag": changed.etag}).require_ok()


@of_every_kind
def test_of_ten_who_read_the_same_entry_one_changes_it(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    with ThreadPoolExecutor(10) as pool:
        contents = [{"displayName": f"Renamed {number}", "etag": made.etag} for number in range(10)]
        answers = list(pool.map(lambda content: entries.update(kind, made.name, content), contents))
    assert sorted(answer.said for answer in answers) == ["ABORTED ENTRY_CHANGED"] * 9 + ["OK"]
    assert len(entries.changes(made.name)) == 2


@of_every_kind
def test_whoever_names_no_etag_changes_and_removes_it_whatever_it_is(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    etags = {entries.update(kind, made.name, {"displayName": text, "etag": ""}).message.etag for text in ("one", "two", "three")}
    assert len(etags - {made.etag}) == 3
    assert entries.ask(f"Delete{kind.name}", {"name": made.name, "etag": ""}).code == "OK"


@of_every_kind
def test_an_update_that_changes_nothing_leaves_the_etag_and_no_row(entries: Entries, kind: Kind) -> None:
    made = entries.make(kind)
    assert entries.update(kind, made.name, kind.whole, "*").message == made
    assert len(entries.changes(made.name)) == 1


@of_every_kind
def test_a_name_is_given_once(entries: Entries, kind: Kind) -> None:
    content = describe_creation(kind)
    made = entries.ask(f"Create{kind.name}", content, requestId=new_id()).message
    for more in ({}, {"requestId": new_id()}):
        answer = entries.ask(f"Create{kind.name}", content, **more)
        assert (answer.said, answer.metadata) == ("ALREADY_EXISTS ENTRY_EXISTS", {"name": made.name})
    assert entries.get(kind, made.name).message == made


def test_an_area_stays_until_nothing_needs_it(entries: Entries) -> None:
    area = entries.make(KINDS["Area"], level="DISTRICT", parent="areas/31.71").name
    code = area.removeprefix("areas/")
    village = {"areaId": f"{code}.1", "area": {**KINDS["Area"].whole, "level": "VILLAGE", "parent": area}}
    row = {"area": area, "category": "FIRE"}
    entries.ask("SetCoverage", {"coverage": {**row, "agency": "agencies/jakarta-fire"}}).require_ok()
    users = {
        entries.ask("CreateArea", village).message.name: "DeleteArea",
        entries.make(KINDS["Hotline"], area=area).name: "DeleteHotline",
        entries.make(KINDS["Facility"], area=area).name: "DeleteFacility",
        f"coverage/{code}.FIRE": "RemoveCoverage",
    }
    remove_users(entries, "DeleteArea", area, users, row)


def test_an_agency_stays_until_nothing_needs_it(entries: Entries) -> None:
    agency = entries.make(KINDS["Agency"]).name
    row = {"area": entries.make(KINDS["Area"]).name, "category": "FIRE"}
    entries.ask("SetCoverage", {"coverage": {**row, "agency": agency}}).require_ok()
    users = {
        entries.make(KINDS["Agency"], parent=agency).name: "DeleteAgency",
        entries.make(KINDS["Facility"], agency=agency).name: "DeleteFacility",
        f"coverage/{row['area'].removeprefix('areas/')}.FIRE": "RemoveCoverage",
    }
    remove_users(entries, "DeleteAgency", agency, users, row)


def remove_users(entries: Entries, rpc: str, name: str, users: dict[str, str], row: dict[str, str]) -> None:
    """Removes whatever stands in the way of a removal, as its error names it, and then the entry itself.

    `users` are all that do, each with the RPC that removes it; `row` is the request for a row of coverage.
    """
    while users:
        answer = entries.ask(rpc, {"name": name})
        assert answer.said == "FAILED_PRECONDITION ENTRY_IN_USE"
        user = answer.metadata["by"]
        removal = users.pop(user)
        entries.ask(removal, row if removal == "RemoveCoverage" else {"name": user}).require_ok()
    entries.ask(rpc, {"name": name}).require_ok()


# What an entry of a kind must not be, and the field that says so.
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("Area", {"displayName": " "}, "displayName"),
    ("Area", {"timeZone": "Asia/Nowhere"}, "timeZone"),
    ("Agency", {"displayName": ""}, "displayName"),
    ("Agency", {"assuredTime": None}, "assuredTime"),
    ("Agency", {"alertPolicy": {"acknowledgeSeconds": 30}}, "alertPolicy.supervisorSeconds"),
    ("Hotline", {"categories": []}, "categories"),
    ("Hotline", {"numbers": []}, "numbers"),
    ("Facility", {"categories": []}, "categories"),
    ("Facility", {"openingHours": "whenever"}, "openingHours"),
    ("Facility", {"categories": ["SHELTER_INTAKE"], "address": ""}, "point"),
    ("Facility", {"categories": ["SHELTER_INTAKE"], "point": None}, "address"),
    ("Facility", {"point": None, "numbers": []}, "numbers"),
]


@pytest.mark.parametrize(("name", "fields", "fault"), FAULTS)
def test_an_entry_that_breaks_a_rule_is_refused_and_its_field_named_from_the_request_down(
    entries: Entries, name: str, fields: dict[str, Any], fault: str
) -> None:
    kind = KINDS[name]
    refused = entries.ask(f"Create{name}", describe_creation(kind, **fields))
    assert (refused.said, refused.fields) == ("INVALID_ARGUMENT INVALID_ENTRY", [f"{kind.word}.{fault}"])
    made = entries.make(kind)
    refused = entries.update(kind, made.name, {**kind.whole, **fields}, "*")
    assert (refused.said, refused.fields) == ("INVALID_ARGUMENT INVALID_ENTRY", [f"{kind.word}.{fault}"])
    assert entries.get(kind, made.name).message == made


def test_an_area_keeps_its_place(entries: Entries) -> None:
    kind = KINDS["Area"]
    made = entries.make(kind)
    for mask in ("point", "*"):
        answer = entries.update(kind, made.name, {**kind.whole, "point": None}, mask)
        assert (answer.code, answer.fields) == ("INVALID_ARGUMENT", ["area.point"])
    assert entries.get(kind, made.name).message == made
