"""Every list pages alike: all of it, once, in order, by tokens that belong to their own question."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor

from alerts.model.enums import Audience
from chassis.opaque import wrap
from chassis.paging import Page
from contract.rpcs import RPCS, Services, new_id
from contract.warned import issue
from contract.webhooks import make_deliveries
from security.tokens import POLICE, Signer
from siaga.directory.v1.agency_pb2 import COMPLAINT_POST

Content = dict[str, Any]
LISTS = [key for key, rpc in RPCS.items() if rpc.has("page_token")]
HERE = {"point": {"latitude": -6.17, "longitude": 106.82}}
# Another question than the one in `Questions`; none where a list has no filters.
OTHERWISE: dict[str, Content | None] = {
    "alerts.ListAlerts": {"includeDrills": True},
    "alerts.ListAlertEvents": {},
    "alerts.ListMessages": {},
    "alerts.ExportMyAlerts": None,
    "alerts.ListIncidents": {"state": "CLOSED"},
    "alerts.ListUnits": {"duty": "OFF_DUTY"},
    "directory.SearchNearby": {"categories": ["POLICE"]},
    "directory.ListAreas": {"level": "VILLAGE"},
    "directory.ListAgencies": {"query": "jakarta"},
    "directory.ListHotlines": {"updatedAfter": "2026-01-01T00:00:00Z"},
    "directory.ListFacilities": {"categories": ["POLICE"]},
    "directory.ListCoverage": {"area": "areas/31"},
    "directory.ListDirectoryChanges": {"name": "coverage/31.POLICE"},
    "alerts.ListWarnings": {"includeExercises": True},
}
OTHERWISE["alerts.ListWebhooks"] = {"state": ["ENABLED"]}
OTHERWISE["alerts.ListWebhookDeliveries"] = {"state": ["DELIVERED"]}
WARNED = "areas/31.01.01"
# Those that pages with numbers are made of.
NUMBERED = [key for key in LISTS if RPCS[key].has("skip")]


class Questions:
    """A question for each list with several answers, and its asking."""

    def __init__(self, services: Services, dispatcher: str, supervisor: str, admin: str) -> None:
        self.services, self.dispatcher, self.supervisor, self.admin = services, dispatcher, supervisor, admin
        alerts = [services.call("alerts.RaiseAlert", {"kind": "FIRE", "requestId": new_id()}).message.alert for _ in range(5)]
        for number in range(3):
            said = {"name": alerts[0].name, "text": f"number {number}"}
            services.call("alerts.AddNote", said, token=supervisor).require_ok()
            services.call("alerts.SendMessage", said, token=supervisor).require_ok()
            # Of a kind that no other test has any of.
            unit = {"kind": "BOAT", "displayName": f"Boat {number}"}
            services.call("alerts.CreateUnit", {"unit": unit}, token=supervisor).require_ok()
            # The dispatcher's own, and two of a kind that nothing else puts together.
            services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}, token=dispatcher).require_ok()
            pair = [services.call("alerts.RaiseAlert", {"kind": "OTHER"}).message.alert.name for _ in range(2)]
            services.call("alerts.MergeAlerts", {"alerts": pair}, token=supervisor).require_ok()
        self.another_alert = alerts[1].name
        agency = services.call("directory.CreateAgency", {"agency": {"displayName": "Posts"}}, token=admin).message.name
        for number in range(5):
            renamed = {"name": agency, "displayName": f"Posts {number}"}
            services.call("directory.UpdateAgency", {"agency": renamed}, token=admin).require_ok()
            facility = {"displayName": f"Post {number}", "categories": ["COMPLAINT_POST"], "agency": agency, **HERE}
            services.call("directory.CreateFacility", {"facility": facility}, token=admin).require_ok()
        self.content: dict[str, Content] = {
            "alerts.ListAlerts": {"createdAfter": alerts[0].create_time.ToJsonString()},
            "alerts.ListAlertEvents": {"name": alerts[0].name},
            "alerts.ListMessages": {"name": alerts[0].name},
            "alerts.ListUnits": {"kind": ["BOAT"]},
            "alerts.ListIncidents": {"kind": ["OTHER"]},
            "directory.SearchNearby": HERE,
            "directory.ListFacilities": {"agency": agency},
            "directory.ListDirectoryChanges": {"name": agency},
            # Of an island that no other test warns of.
            "alerts.ListWarnings": {"area": WARNED},
        }
        for _ in range(3):
            issue(services, supervisor, area={"areas": [WARNED]})

        make_deliveries(services, supervisor, 1)
        self.content["alerts.ListWebhookDeliveries"] = {"name": make_deliveries(services, supervisor, 5)}

    def ask(self, key: str, **more: Any) -> Any:
        token = self.admin if RPCS[key].administers else self.dispatcher
        if RPCS[key].service.name == "WebhookService":
            token = self.supervisor
        return self.services.call(key, {**self.content.get(key, {}), **more}, token=token)

    def walk(self, key: str, size: int, **more: Any) -> list[list[str]]:
        """The entries on each page, as text."""
        pages: list[list[str]] = []
        token = ""
        while True:
            page = self.ask(key, pageSize=size, pageToken=token, **more).message
            pages.append([str(each) for each in entries(page)])
            token = page.next_page_token
            if not token:
                return pages


def entries(page: Any) -> Any:
    field = next(each for each in page.DESCRIPTOR.fields if each.is_repeated and each.type == FieldDescriptor.TYPE_MESSAGE)
    return getattr(page, field.name)


@pytest.fixture(scope="module")
def questions(services: Services, dispatcher: str, supervisor: str, admin: str) -> Questions:
    return Questions(services, dispatcher, supervisor, admin)


def test_every_list_is_known_here() -> None:
    assert set(LISTS) == set(OTHERWISE)


@pytest.mark.parametrize("key", LISTS)
def test_pages_hold_everything_once_and_in_order(questions: Questions, key: str) -> None:
    whole = questions.walk(key, 1000)
    assert len(whole) == 1
    found = whole[0]
    assert len(found) >= 2
    assert len(set(found)) == len(found)
    # One at a time, where those are not too many pages.
    least = len(found) // 50 + 1
    for size in (least, least + 1, len(found) - 1, len(found)):
        pages = questions.walk(key, size)
        assert [each for page in pages for each in page] == found
        assert all(len(page) == size for page in pages[:-1])
        assert 1 <= len(pages[-1]) <= size


def test_without_a_size_a_page_holds_fifty(questions: Questions) -> None:
    assert len(entries(questions.ask("directory.ListAreas").message)) == 50


@pytest.mark.parametrize("key", NUMBERED)
def test_pages_with_numbers_are_the_same_entries_and_tell_how_many_there_are(questions: Questions, key: str) -> None:
    found = questions.walk(key, 1000)[0]
    for number in range(len(found) // 2 + 2):
        page = questions.ask(key, pageSize=2, skip=number * 2).message
        assert [str(each) for each in entries(page)] == found[number * 2 : number * 2 + 2]
        assert page.total_size == len(found)
        assert bool(page.next_page_token) == (number * 2 + 2 < len(found))
    # What is left out first stays out on the pages that follow.
    assert [each for page in questions.walk(key, 2, skip=1) for each in page] == found[1:]


@pytest.mark.parametrize("key", NUMBERED)
@pytest.mark.parametrize("skip", [-1, 1_000_001])
def test_leaving_out_too_many_or_less_than_none_is_refused(questions: Questions, key: str, skip: int) -> None:
    answer = questions.ask(key, skip=skip)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["skip"])


def test_a_filter_decides_how_many_there_are(questions: Questions) -> None:
    key, filtered = "directory.ListFacilities", {"categories": ["COMPLAINT_POST"], "area": "areas/31.71"}
    found = questions.ask(key, pageSize=1000, **filtered).message
    assert len(found.facilities) == 5
    assert all(COMPLAINT_POST in each.categories for each in found.facilities)
    assert questions.ask(key, pageSize=1, **filtered).message.total_size == found.total_size == 5
    assert questions.ask(key, **filtered | {"area": "areas/31.72"}).message.total_size == 0


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("size", [-1, 1001, 2**31 - 1, -(2**31)])
def test_a_size_out_of_range_is_refused(questions: Questions, key: str, size: int) -> None:
    answer = questions.ask(key, pageSize=size)
    assert (answer.said, answer.fields) == ("INVALID_ARGUMENT INVALID_REQUEST", ["pageSize"])


def change_one(token: str) -> str:
    return token[:5] + ("A" if token[5] != "A" else "B") + token[6:]


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize(
    "spoil", [change_one, lambda token: token + "A", lambda token: token[1:], lambda _: "x", lambda _: "ж", lambda _: "=" * 20]
)
def test_a_garbled_page_token_is_refused(questions: Questions, key: str, spoil: Callable[[str], str]) -> None:
    token = questions.ask(key, pageSize=1).message.next_page_token
    refused = questions.ask(key, pageSize=1, pageToken=spoil(token))
    assert (refused.said, refused.fields) == ("INVALID_ARGUMENT INVALID_PAGE_TOKEN", ["pageToken"])


@pytest.mark.parametrize("key", LISTS)
def test_a_page_token_of_another_list_is_refused(questions: Questions, key: str) -> None:
    for other in LISTS:
        token = questions.ask(other, pageSize=1).message.next_page_token
        said = questions.ask(key, pageSize=1, pageToken=token).said
        assert said == ("OK" if other == key else "INVALID_ARGUMENT INVALID_PAGE_TOKEN")


@pytest.mark.parametrize("key", [key for key, question in OTHERWISE.items() if question is not None])
def test_a_page_token_of_another_question_is_refused(questions: Questions, key: str) -> None:
    token = questions.ask(key, pageSize=1).message.next_page_token
    more = OTHERWISE[key] or {"name": questions.another_alert}
    assert questions.ask(key, **more).code == "OK"
    assert questions.ask(key, pageToken=token, **more).said == "INVALID_ARGUMENT INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("key", ["alerts.ListAlerts", "alerts.ListUnits"])
def test_a_page_token_of_another_agency_is_refused(questions: Questions, services: Services, signer: Signer, key: str) -> None:
    content = {**questions.content[key], "pageSize": 1}
    token = questions.ask(key, pageSize=1).message.next_page_token
    officer = signer.sign("lists-officer", "dispatcher", agency=POLICE)
    assert services.call(key, content, token=officer).code == "OK"
    assert services.call(key, {**content, "pageToken": token}, token=officer).said == "INVALID_ARGUMENT INVALID_PAGE_TOKEN"


def test_a_page_token_of_somebody_else_is_refused(questions: Questions, services: Services, citizen: str) -> None:
    content = {**questions.content["alerts.ListAlerts"], "pageSize": 1}
    token = questions.ask("alerts.ListAlerts", pageSize=1).message.next_page_token
    answer = services.call("alerts.ListAlerts", {**content, "pageToken": token}, token=citizen)
    assert answer.said == "INVALID_ARGUMENT INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("place", ["abc", "9" * 30, "-5", "٣", "1e3", "0x1"])
def test_a_page_token_that_somebody_made_up_is_refused(questions: Questions, place: str) -> None:
    key = "alerts.ListAlertEvents"
    request = RPCS[key].parse(questions.content[key])
    token = wrap(Page(request, str(int(Audience.AGENCY)))._question, place)
    assert questions.ask(key, pageToken=token).said == "INVALID_ARGUMENT INVALID_PAGE_TOKEN"
    real = wrap(Page(request, str(int(Audience.AGENCY)))._question, "1")
    assert questions.ask(key, pageToken=real).code == "OK"
