"""Callers who have set PINs, and what whoever holds their phone can tell from what it is shown."""

import json
import time
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from people import Party, People, read_refusal

from siaga.alerts.v1 import alert_pb2

PIN, DURESS, WRONG = "2580", "9137", "0000"
CLAIM = alert_pb2.Alert.CancelClaim
STATE = alert_pb2.Alert.State
# Between the two replies of a pair that must look alike nothing may differ but what names the alert and when.
PARTS = (
    "name",
    "cursor",
    "fixTime",
    *(f"{what}Time" for what in ("create", "update", "close", "deliver", "acknowledge", "dispatch", "arrive")),
)


def fresh(people: People, user: str = "dewi") -> Party:
    """Somebody who has signed in just now."""
    return people.sign_in(user, "citizen", name=user.title(), auth_time=int(time.time()))


async def set_pins(people: People, user: str = "dewi", **more: Any) -> None:
    await fresh(people, user)("SetPins", **{"pin": PIN, "duressPin": DURESS} | more)


async def cancel(party: Party, name: str, pin: str = "") -> Any:
    return await party("CancelAlert", name=name, pin=pin)


async def attempt(party: Party, **said: Any) -> str:
    """Why their PINs were not set; empty where they were."""
    try:
        await party("SetPins", **said)
    except grpc.aio.AioRpcError as error:
        return read_refusal(error).reason
    return ""


async def seen(people: People, name: str) -> tuple[str, str]:
    """The state and the claim that the agency is shown."""
    alert = await people.sari("GetAlert", name=name)
    return STATE.Name(alert.state), CLAIM.Name(alert.cancel_claim)


def look(message: Any) -> str:
    """What a reader can tell from a message, its own names and times aside."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            # The number of an entry of the timeline names nothing.
            number = value["name"].partition("/events/")[2] if "name" in value else ""
            return {key: number if key in PARTS else clean(each) for key, each in value.items()}
        return [clean(each) for each in value] if isinstance(value, list) else value

    return json.dumps(clean(MessageToDict(message)), sort_keys=True)
