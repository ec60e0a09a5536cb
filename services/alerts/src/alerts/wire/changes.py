"""What a request to change an alert says."""

from typing import Any

from chassis.errors import InvalidRequest
from chassis.masks import json_name
from siaga.alerts.v1 import alert_service_pb2

_CHANGEABLE = ("kind", "target", "caller.display_name", "caller.callback_phone", "contact_preference")


def to_changes(request: alert_service_pb2.UpdateAlertRequest) -> dict[str, Any]:
    """The columns that the mask names, with their new values. Raises InvalidRequest."""
    said, columns = request.alert, dict[str, Any]()
    present = {"kind": said.kind, "target": said.HasField("target"), "contact_preference": said.contact_preference}
    present |= {"caller.display_name": said.caller.display_name, "caller.callback_phone": said.caller.callback_phone}
    paths = list(request.update_mask.paths)
    if wrong := sorted(set(paths) - {*_CHANGEABLE, "*"}):
        raise InvalidRequest(fields=[("updateMask", f"{json_name(path)[:100]} cannot be changed") for path in wrong])
    if "*" in paths:
        paths = list(_CHANGEABLE)
    for path in paths or [name for name in _CHANGEABLE if present[name]]:
        if path == "target":
            point = said.target.point if said.target.HasField("point") else None
            columns["target_latitude"] = point.latitude if point else None
            columns["target_longitude"] = point.longitude if point else None
            columns["target_address"] = said.target.address_text
        else:
            _, _, field = path.rpartition(".")
            columns[field] = getattr(said.caller if path.startswith("caller.") else said, field)
    return columns
