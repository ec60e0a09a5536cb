"""An alert and a unit in each state of the access matrix, and the persons who ask for them."""

import secrets
from dataclasses import dataclass
from typing import Any

from contract.rpcs import AN_ABSENT_UUID, Answer, Rpc, Services, new_id
from security.matrix import ABOUT, ANYWHERE, INCIDENT_STATES, PERSONS, REQUESTS, STATES, UNIT_STATES, fill
from security.tokens import POLICE, ROOM, Signer

# Who brings about the states, and asks for nothing.
_OTHERS: dict[str, dict[str, Any]] = {
    "colleague": {"user": "colleague", "roles": ["dispatcher"], "agency": ROOM},
    "police-colleague": {"user": "police-colleague", "roles": ["dispatcher"], "agency": POLICE},
}
_CREW = ["matrix-crew", "matrix-both"]
_ABSENT_UNIT = "units/nobody"


@dataclass
class Known:
    """An alert of the test: its name, the token that opens it, when it was raised, the unit at work for it or ready, and the
    incident that it belongs to without leading it.
    """

    name: str
    token: str
    time: str = "2100-01-01T00:00:00Z"
    unit: str = ""
    incident: str = ""


class World:
    """Persons with their tokens, and an alert or a unit in each state, made anew when a call has changed it."""

    def __init__(self, services: Services, signer: Signer) -> None:
        self.services = services
        self.tokens = {name: _sign(signer, person) for name, person in {**PERSONS, **_OTHERS}.items()}
        self.found: dict[tuple[str, str], Known] = {}
        self.another = secrets.token_urlsafe(24)
        self.do("alerts.RaiseAlert", "stranger", alertToken=self.another)

    def do(self, key: str, person: str, **content: Any) -> Any:
        return self.services.call(key, content, token=self.tokens[person]).message

    def find(self, about: str, state: str) -> Known:
        """The alert, or the unit with what it is at work for."""
        if (about, state) not in self.found:
            make = {UNIT_STATES: self._make_unit, INCIDENT_STATES: self._make_incident}.get(about, self._make_alert)
            self.found[about, state] = make(STATES[about][state])
        return self.found[about, state]

    def ask(self, rpc: Rpc, state: str, person: str) -> Answer:
        about = ABOUT[rpc.key]
        known = self.find(about, state)
        held = {"own": known.token, "another": self.another, None: ""}[PERSONS[person].get("holds")]
        return self.services.call(rpc.key, self.request(rpc.key, known), token=self.tokens[person], alert_token=held)

    def request(self, key: str, known: Known) -> dict[str, Any]:
        words = {"$alert": known.name, "$time": known.time, "$operator": "somebody of the room"}
        if "$unit" in str(REQUESTS[key]):
            known.unit = known.unit or self._make_team(duty=True)
            words["$unit"] = known.unit
        if "$fellow" in str(REQUESTS[key]):
            words["$fellow"] = self._make_alert({}).name
        words["$incident"] = known.incident
        return fill(REQUESTS[key], words)

    def forget(self, about: str, state: str) -> None:
        """A call has changed it, or whatever there was where no state is named."""
        if state == ANYWHERE:
            self.found.clear()
        self.found.pop((about, state), None)

    def _make_alert(self, wanted: dict[str, Any]) -> Known:
        token = secrets.token_urlsafe(24)
        if wanted.get("absent"):
            return Known(f"alerts/{AN_ABSENT_UUID}", token)
        # A note and a telephone number tell what is redacted from what is not.
        content = {"kind": "MEDICAL", "note": "a secret", "caller": {"callbackPhone": "+62811"}, **wanted.get("raise", {})}
        alert = self.do("alerts.RaiseAlert", "owner", **content, alertToken=token).alert
        known = Known(alert.name, token, alert.create_time.ToJsonString())
        self.do("alerts.AddNote", "supervisor", name=known.name, text="for the agency")
        self.services.call("alerts.SendMessage", {"name": known.name, "text": "from the caller"}, alert_token=token).require_ok()
        if not alert.silent:
            self.do("alerts.SendMessage", "supervisor", name=known.name, text="from the room")
        if "held" in wanted:
            self.do("alerts.AcknowledgeAlert", wanted["held"], name=known.name)
        if wanted.get("dispatched"):
            known.unit = self._make_team(duty=True)
            self.do("alerts.DispatchAlert", wanted["held"], name=known.name, units=[known.unit])
            for status in ("ACCEPTED", "DONE") if wanted.get("finished") else ("ACCEPTED",):
                self.do("alerts.UpdateAssignment", "crew", name=known.name, unit=known.unit, status=status)
        if "asks" in wanted:
            self.do(f"alerts.{wanted['asks']}", wanted["held"], name=known.name, agency=POLICE)
        if "answer" in wanted:
            self.do("alerts.RespondToRequest", "police-colleague", name=known.name, answer=wanted["answer"], reason="no car")
        if wanted.get("closed"):
            self.do("alerts.ResolveAlert", wanted["held"], name=known.name, outcome="HELPED")
        if wanted.get("cancelled"):
            self.services.call("alerts.CancelAlert", {"name": known.name}, alert_token=token).require_ok()
        return known

    def _make_unit(self, wanted: dict[str, Any]) -> Known:
        if wanted.get("absent"):
            return Known(f"alerts/{AN_ABSENT_UUID}", secrets.token_urlsafe(24), unit=_ABSENT_UNIT)
        known = self._make_alert({"held": "colleague", **wanted})
        known.unit = self._make_team(duty=wanted.get("duty", False))
        if "raise" in wanted:
            self.do("alerts.DispatchAlert", "colleague", name=known.name, units=[known.unit])
        return known

    def _make_incident(self, wanted: dict[str, Any]) -> Known:
        if wanted.get("absent"):
            return Known(f"alerts/{AN_ABSENT_UUID}", secrets.token_urlsafe(24), incident=f"incidents/{AN_ABSENT_UUID}")
        lead, known = (self._make_alert({}) for _ in range(2))
        incident = self.do("alerts.MergeAlerts", "supervisor", alerts=[lead.name, known.name])
        if incident.lead != lead.name:
            # So many of one account are doubtful, and that of one of them may be known already.
            lead, known = known, lead
        known.incident = incident.name
        if "held" in wanted:
            self.do("alerts.AcknowledgeIncident", wanted["held"], name=known.incident)
        if "asks" in wanted:
            self.do(f"alerts.{wanted['asks']}", wanted["held"], name=lead.name, agency=POLICE)
        if wanted.get("closed"):
            self.do("alerts.ResolveIncident", wanted["held"], name=known.incident, outcome="HELPED")
        return known

    def _make_team(self, *, duty: bool) -> str:
        unit = {"kind": "TEAM", "displayName": "A team", "crew": _CREW}
        name = self.do("alerts.CreateUnit", "supervisor", unitId=new_id(), unit=unit).name
        if duty:
            self.do("alerts.StartDuty", "crew", name=name)
        return name


def _sign(signer: Signer, person: dict[str, Any]) -> str:
    claims = {name: person[name] for name in ("areas",) if name in person}
    if "user" not in person:
        return ""
    return signer.sign(f"matrix-{person['user']}", *person.get("roles", ()), agency=person.get("agency", ""), **claims)
