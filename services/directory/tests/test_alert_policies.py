"""How long an agency may take for an alert: what an administrator may say of it, who is told, and what stays when the database is gone."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from administering import Metadata, refuse
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import SecretStr

from chassis.testing import free_port
from directory.settings import Settings
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.agency_pb2 import Agency

Run = Callable[[Settings], AbstractAsyncContextManager[Any]]
ROOM = "agencies/jakarta-112"
LIMIT = {"kind": "FIRE", "state": "DISPATCHED", "warnSeconds": 300, "alertSeconds": 600}
POLICY = {"acknowledgeSeconds": 18, "rollCallSeconds": 0, "limits": [LIMIT, {**LIMIT, "kind": "MEDICAL"}]}


async def update(stub: Any, admin: Metadata, mask: str = "", **fields: Any) -> Agency:
    request = {"agency": {"name": ROOM, **fields}, "updateMask": mask}
    return await stub.UpdateAgency(ParseDict(request, admin_pb.UpdateAgencyRequest()), metadata=admin)


async def get(stub: Any) -> Agency:
    return await stub.GetAgency(pb.GetAgencyRequest(name=ROOM))


async def get_from_snapshot(stub: Any) -> Agency:
    """As alerts reads it."""
    snapshot = (await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot
    return next(each for each in snapshot.agencies if each.name == ROOM)


def policy_of(agency: Agency) -> Any:
    """None where the agency has none of its own."""
    return MessageToDict(agency.alert_policy) if agency.HasField("alert_policy") else None


async def test_it_is_shown_as_it_was_said_and_its_absence_stays_an_absence(stub: Any, admin: Metadata) -> None:
    assert policy_of(await get(stub)) is None
    changed = await update(stub, admin, alertPolicy=POLICY)
    assert await get(stub) == changed
    for agency in (changed, await get_from_snapshot(stub)):
        assert policy_of(agency) == POLICY
        # Nothing is made of what was left out, and "never" is something else than that.
        assert agency.alert_policy.HasField("roll_call_seconds")
        assert not agency.alert_policy.HasField("deliver_seconds")


async def test_alerts_is_told_that_it_has_changed(stub: Any, admin: Metadata) -> None:
    before = (await stub.GetSnapshot(pb.GetSnapshotRequest())).etag
    await update(stub, admin, alertPolicy=POLICY)
    after = await stub.GetSnapshot(pb.GetSnapshotRequest(etag=before))
    assert after.etag != before
    assert after.HasField("snapshot")


async def test_the_mask_names_it_as_a_whole(stub: Any, admin: Metadata) -> None:
    await update(stub, admin, alertPolicy=POLICY)
    # Another field leaves it alone.
    assert policy_of(await update(stub, admin, sipUri="sip:112@room.example")) == POLICY
    assert policy_of(await update(stub, admin, "sipUri", alertPolicy={}, sipUri="sip:113@room.example")) == POLICY
    # What the request does not say is not kept from before.
    assert policy_of(await update(stub, admin, "alertPolicy", alertPolicy={"parentSeconds": 90})) == {"parentSeconds": 90}
    assert policy_of(await update(stub, admin, "alertPolicy")) is None
    part = ParseDict({"agency": {"name": ROOM, "alertPolicy": {"parentSeconds": 90}}}, admin_pb.UpdateAgencyRequest())
    part.update_mask.paths.append("alert_policy.parent_seconds")
    assert (await refuse(stub.UpdateAgency(part, metadata=admin))).reason == "INVALID_REQUEST"


async def test_its_history_has_the_old_and_the_new(stub: Any, admin: Metadata) -> None:
    await update(stub, admin, alertPolicy=POLICY)
    await update(stub, admin, "alertPolicy")
    listed = await stub.ListDirectoryChanges(admin_pb.ListDirectoryChangesRequest(name=ROOM), metadata=admin)
    fields = [field for change in listed.changes for field in change.fields]
    assert [field.path for field in fields] == ["alertPolicy"] * 2
    assert [json.loads(field.new_value or "null") for field in fields] == [POLICY, None]
    assert [json.loads(field.old_value or "null") for field in fields] == [None, POLICY]


@pytest.mark.parametrize(
    ("policy", "reason", "field"),
    [
        ({"deliverSeconds": 0}, "INVALID_REQUEST", "deliverSeconds"),
        ({"parentSeconds": 3601}, "INVALID_REQUEST", "parentSeconds"),
        ({"rollCallSeconds": -1}, "INVALID_REQUEST", "rollCallSeconds"),
        ({"positionSeconds": 86401}, "INVALID_REQUEST", "positionSeconds"),
        ({"limits": [{**LIMIT, "warnSeconds": 0}]}, "INVALID_REQUEST", "limits[0].warnSeconds"),
        ({"limits": [{**LIMIT, "state": "RAISED"}]}, "INVALID_REQUEST", "limits[0].state"),
        ({"limits": [{"warnSeconds": 1, "alertSeconds": 2}]}, "INVALID_REQUEST", "limits[0].state"),
        ({"limits": [{**LIMIT, "kind": 99}]}, "INVALID_REQUEST", "limits[0].kind"),
        ({"limits": [LIMIT] * 51}, "INVALID_REQUEST", "limits"),
        # Each step follows on the one before it, whether it was said or is the default.
        ({"acknowledgeSeconds": 12, "supervisorSeconds": 11}, "INVALID_ENTRY", "supervisorSeconds"),
        ({"deliverSeconds": 16}, "INVALID_ENTRY", "acknowledgeSeconds"),
        ({"acknowledgeSeconds": 9}, "INVALID_ENTRY", "acknowledgeSeconds"),
        ({"supervisorSeconds": 61}, "INVALID_ENTRY", "parentSeconds"),
        ({"limits": [LIMIT, {**LIMIT, "kind": "CRIME", "alertSeconds": 299}]}, "INVALID_ENTRY", "limits[1].alertSeconds"),
        ({"limits": [LIMIT, {**LIMIT, "warnSeconds": 1}]}, "INVALID_ENTRY", "limits[1]"),
    ],
)
async def test_one_that_cannot_be_is_refused_and_its_field_named(
    stub: Any, admin: Metadata, policy: dict[str, Any], reason: str, field: str
) -> None:
    request = ParseDict({"agency": {"name": ROOM, "alertPolicy": policy}}, admin_pb.UpdateAgencyRequest())
    refusal = await refuse(stub.UpdateAgency(request, metadata=admin))
    assert (refusal.reason, [name for name, _ in refusal.fields]) == (reason, [f"agency.alertPolicy.{field}"])
    assert policy_of(await get(stub)) is None


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"deliverSeconds": 15},
        {"deliverSeconds": 5, "acknowledgeSeconds": 5, "supervisorSeconds": 5, "parentSeconds": 5},
        {"limits": [LIMIT, {**LIMIT, "state": "ON_SCENE"}, {key: value for key, value in LIMIT.items() if key != "kind"}]},
        {"limits": [{**LIMIT, "warnSeconds": 86400, "alertSeconds": 86400}]},
    ],
)
async def test_whatever_can_be_is_taken(stub: Any, admin: Metadata, policy: dict[str, Any]) -> None:
    assert policy_of(await update(stub, admin, "alertPolicy", alertPolicy=policy)) == policy


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_start_without_the_database_still_has_it(settings: Settings, run: Run, admin: Metadata, tmp_path: Any) -> None:
    async with run(settings) as stub:
        await update(stub, admin, alertPolicy=POLICY)
    gone = SecretStr(f"sqlite:///{tmp_path / 'gone.db'}")
    async with run(settings.model_copy(update={"database_url": gone, "listen": f"127.0.0.1:{free_port()}"})) as stub:
        assert policy_of(await get(stub)) == policy_of(await get_from_snapshot(stub)) == POLICY
