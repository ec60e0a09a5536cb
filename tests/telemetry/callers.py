"""The secrets that callers set, what an incident's callers are written, and why a restricted alert is read."""

import time
from typing import Any

import httpx

from contract.rpcs import new_id
from security.tokens import ROOM


def plant_in_callers(planting: Any) -> None:
    """`planting` makes the canaries and remembers them."""
    caller = bearer(planting, "canary-pins", auth_time=int(time.time()))
    pin, duress = planting.secret("a PIN"), planting.secret("a duress PIN")
    planting.post("/v1/callers/me:setPins", {"pin": pin, "duressPin": duress}, **caller)
    changed = {
        "pin": planting.secret("a new PIN"),
        "duressPin": planting.secret("a new duress PIN"),
        "oldPin": planting.secret("a wrong PIN"),
    }
    planting.refuse("a wrong PIN", "POST", "/v1/callers/me:setPins", json=changed, headers=caller)
    planting.post("/v1/callers/me:setPins", {**changed, "oldPin": pin}, **caller)
    for used in (duress, planting.canaries["a new duress PIN"].text, planting.secret("another wrong PIN")):
        name = planting.post("/v1/alerts:raise", {"kind": "MEDICAL", "alertToken": new_id()}, **caller)["alert"]["name"]
        planting.post(f"/v1/{name}:cancel", {"pin": used}, **caller)
    supervisor = bearer(planting, "canary-supervisor", "supervisor", agency=ROOM)
    pair = [planting.post("/v1/alerts:raise", {"kind": "OTHER"})["alert"]["name"] for _ in range(2)]
    incident = planting.post("/v1/incidents:mergeAlerts", {"alerts": pair}, **supervisor)["name"]
    planting.post(f"/v1/{incident}:acknowledge", {}, **supervisor)
    assert planting.post(f"/v1/{incident}:message", {"text": planting.canary("a message to an incident")}, **supervisor)["callers"] == 2
    silent = planting.post("/v1/alerts:raise", {"silent": True})["alert"]["name"]
    planting.post(f"/v1/{silent}:acknowledge", {}, **supervisor)
    planting.post(f"/v1/{silent}:resolve", {"outcome": "HELPED"}, **supervisor)
    reason = {"reason": planting.canary("why a closed one is read")}
    assert httpx.get(f"{planting.platform.url}/v1/{silent}", params=reason, headers=supervisor).status_code == 200


def bearer(planting: Any, user: str, *roles: str, **claims: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {planting.signer.sign(user, *roles, **claims)}"}
