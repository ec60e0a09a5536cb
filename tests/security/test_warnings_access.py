"""Who is shown a public warning and who may change it: every person, every RPC, every state of one."""

from typing import Any

import pytest

from contract.rpcs import AN_ABSENT_UUID, RPCS, Answer, Services
from contract.warned import CITY, info, issue
from security.tokens import POLICE, ROOM, Signer

PERSONS: dict[str, tuple[tuple[str, ...], str]] = {
    "anonymous": ((), ""),
    "citizen": (("citizen",), ""),
    "responder": (("responder",), ROOM),
    "dispatcher": (("dispatcher",), ROOM),
    "author": (("supervisor",), ROOM),
    "colleague": (("supervisor",), ROOM),
    "system": (("agency",), ROOM),
    "police": (("supervisor",), POLICE),
    "police-system": (("agency",), POLICE),
    "of no agency": (("supervisor", "agency"), ""),
    "official": (("official",), ""),
    "admin": (("admin",), ""),
}
LEADERS, SYSTEMS = {"author", "colleague", "police"}, {"system", "police-system"}
OF_THE_ROOM = {"dispatcher", "author", "colleague", "system"}
# How each comes to be: of the whole city, approved, updated to the whole city, cancelled.
STATES = {
    "pending": (True, False, False, False),
    "issued": (False, False, False, False),
    "approved": (True, True, False, False),
    "proposed": (False, False, True, False),
    "cancelled": (False, False, False, True),
    "never-sent": (True, False, False, True),
    "absent": (False, False, False, False),
}
SECRET = {"pending", "never-sent", "absent"}
CHANGES = ("UpdateWarning", "CancelWarning", "ApproveWarning")


class World:
    """A warning in each state, made anew for each question that may change it."""

    def __init__(self, services: Services, signer: Signer) -> None:
        self.services = services
        self.tokens = {
            person: signer.sign(f"warned-{person}", *roles, agency=agency) if roles else "" for person, (roles, agency) in PERSONS.items()
        }

    def do(self, rpc: str, person: str, **content: Any) -> Answer:
        if person in SYSTEMS and RPCS[f"alerts.{rpc}"].has("operator"):
            content["operator"] = "somebody"
        return self.services.call(f"alerts.{rpc}", content, token=self.tokens[person])

    def make(self, state: str) -> tuple[str, str]:
        """Its name, and its etag as its agency is shown it."""
        wide, approved, proposed, cancelled = STATES[state]
        if state == "absent":
            return f"warnings/{AN_ABSENT_UUID}", "x"
        warning = issue(self.services, self.tokens["author"], **({"area": {"areas": [CITY]}} if wide else {}))
        if approved:
            warning = self.do("ApproveWarning", "colleague", name=warning.name, etag=warning.etag).message
        if proposed:
            changes = {"name": warning.name, "info": {"area": {"areas": [CITY]}}}
            warning = self.do("UpdateWarning", "author", warning=changes).message
        if cancelled:
            warning = self.do("CancelWarning", "author", name=warning.name).message
        return warning.name, warning.etag


@pytest.fixture(scope="module")
def world(services: Services, signer: Signer) -> World:
    return World(services, signer)


def expect_change(rpc: str, state: str, person: str) -> str:
    """What whoever asks for a change is answered."""
    approves = rpc == "ApproveWarning"
    ended = state in {"cancelled", "never-sent"}
    # The first that holds.
    answers = [
        (person == "anonymous", "UNAUTHENTICATED INVALID_TOKEN"),
        (person not in (LEADERS if approves else LEADERS | SYSTEMS), "PERMISSION_DENIED ACCESS_DENIED"),
        (state == "absent" or (state in SECRET and person not in OF_THE_ROOM), "NOT_FOUND WARNING_NOT_FOUND"),
        (person not in OF_THE_ROOM, "PERMISSION_DENIED NOT_ISSUER"),
        (approves and state in {"issued", "approved", "cancelled"}, "FAILED_PRECONDITION NOT_PENDING"),
        (ended and rpc != "CancelWarning", "FAILED_PRECONDITION WARNING_CLOSED"),
        (approves and person == "author", "PERMISSION_DENIED SECOND_PERSON_REQUIRED"),
    ]
    return next((answer for holds, answer in answers if holds), "OK")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("rpc", CHANGES)
def test_a_change_is_answered_as_written(world: World, rpc: str, state: str) -> None:
    wrong: dict[str, str] = {}
    name, etag = world.make(state)
    for person in PERSONS:
        content = {"warning": {"name": name, "info": {"contact": "112"}}} if rpc == "UpdateWarning" else {"name": name}
        if rpc == "ApproveWarning":
            content["etag"] = etag
        said = world.do(rpc, person, **content).said
        if said != (expected := expect_change(rpc, state, person)):
            wrong[person] = f"{said}, not {expected}"
        if said == "OK":
            name, etag = world.make(state)
    assert wrong == {}


@pytest.mark.parametrize("state", STATES)
def test_a_warning_is_shown_to_everybody_and_what_was_not_sent_to_its_agency(world: World, state: str) -> None:
    name, _ = world.make(state)
    for person in PERSONS:
        answer = world.do("GetWarning", person, name=name)
        if state == "absent" or (state in SECRET and person not in OF_THE_ROOM):
            assert answer.said == "NOT_FOUND WARNING_NOT_FOUND", person
            continue
        shown = answer.message
        assert bool(shown.author) == (person in OF_THE_ROOM), person
        assert shown.HasField("proposed_info") == (person in OF_THE_ROOM and state == "proposed"), person
        assert bool(shown.approver) == (person in OF_THE_ROOM and state == "approved"), person
        assert (shown.message.number > 0) == (state not in SECRET)


def test_what_was_not_sent_looks_to_others_as_what_is_not_there(world: World) -> None:
    """Also by its messages: the same code, reason, text and size."""
    absent, _ = world.make("absent")
    for state in ("pending", "never-sent"):
        name, _ = world.make(state)
        for person in ("anonymous", "citizen", "police", "admin"):
            for number in (0, 1):
                answers = [world.do("GetWarning", person, name=each, message=number) for each in (name, absent)]
                assert answers[0].status == answers[1].status
        for rpc in CHANGES:
            asked = [{"warning": {"name": each}} if rpc == "UpdateWarning" else {"name": each, "etag": "x"} for each in (name, absent)]
            answers = [world.do(rpc, "police", **each) for each in asked]
            assert answers[0].status == answers[1].status


@pytest.mark.parametrize("state", [state for state in STATES if state != "absent"])
def test_lists_and_watches_hold_what_their_reader_may_know(world: World, state: str) -> None:
    name, _ = world.make(state)
    for person in PERSONS:
        listed = world.do("ListWarnings", person, state=["PENDING", "ISSUED", "UPDATED", "CANCELLED"], pageSize=1000).message
        assert (name in {each.name for each in listed.warnings}) == (state not in SECRET or person in OF_THE_ROOM), person
        told = world.do("WatchWarnings", person).messages
        assert (name in {each.event.warning.name for each in told}) == (state in {"issued", "approved", "proposed"}), person
        assert not any(each.event.warning.author or each.event.warning.HasField("proposed_info") for each in told)


def test_only_an_agencys_leader_or_system_issues_one(world: World) -> None:
    for person in PERSONS:
        said = world.do("IssueWarning", person, status="TEST", info=info()).said
        allowed = person in LEADERS | SYSTEMS
        assert said == (
            "OK" if allowed else "UNAUTHENTICATED INVALID_TOKEN" if person == "anonymous" else "PERMISSION_DENIED ACCESS_DENIED"
        )


@pytest.mark.parametrize("rpc", ["IssueWarning", "UpdateWarning", "CancelWarning"])
def test_a_system_that_names_no_person_is_refused(world: World, rpc: str) -> None:
    name, _ = world.make("issued")
    content: dict[str, Any] = {
        "IssueWarning": {"status": "TEST", "info": info()},
        "UpdateWarning": {"warning": {"name": name, "info": {"contact": "112"}}},
        "CancelWarning": {"name": name},
    }[rpc]
    answer = world.services.call(f"alerts.{rpc}", content, token=world.tokens["system"])
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT OPERATOR_REQUIRED", ["operator"])
