"""Opaque strings and pages: what comes back is what was given out, for the same question, or nothing."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import opaque
from chassis.errors import InvalidPageToken
from chassis.opaque import unwrap, wrap
from chassis.paging import DEFAULT_SIZE, Page
from siaga.alerts.v1.alert_service_pb2 import ListAlertEventsRequest, ListAlertsRequest

# What UTF-8 can spell.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(question=TEXT, place=TEXT.filter(bool))
def test_a_wrapped_place_comes_back_for_its_question(question: str, place: str) -> None:
    given_out = wrap(question, place)
    assert unwrap(question, given_out) == place
    assert given_out.isascii()
    assert "=" not in given_out


@given(question=TEXT, other=TEXT, place=TEXT.filter(bool))
def test_it_is_nothing_to_another_question(question: str, other: str, place: str) -> None:
    assert (unwrap(other, wrap(question, place)) is None) == (question != other)


@given(garbage=TEXT)
def test_garbage_is_nothing(garbage: str) -> None:
    assert unwrap("question", garbage) is None


@given(data=st.data(), place=TEXT.filter(bool))
def test_one_changed_character_makes_it_nothing_or_the_same(data: st.DataObject, place: str) -> None:
    given_out = wrap("question", place)
    where = data.draw(st.integers(0, len(given_out) - 1))
    with_change = given_out[:where] + data.draw(st.characters(exclude_categories=["Cs"])) + given_out[where + 1 :]
    assert unwrap("question", with_change) in {None, place}


def test_bytes_that_are_no_text_are_nothing_even_with_the_right_check() -> None:
    content = b"\xff\xfe"
    forged = base64.urlsafe_b64encode(opaque._check("question", content) + content).decode()
    assert unwrap("question", forged) is None


ROWS = [f"alerts/{number:03}" for number in range(137)]


def read_page(request: ListAlertsRequest, scope: str = "") -> tuple[list[str], str]:
    """As a store does: one row more than the page has, after the place where the page before ended."""
    page = Page(request, scope)
    rows = [row for row in ROWS if row > page.after][: page.size + 1]
    cut, token = page.cut(rows, lambda row: row)
    return list(cut), token


@given(size=st.integers(1, 200))
def test_pages_together_are_the_list(size: int) -> None:
    read: list[str] = []
    token, pages = "", 0
    while token or not pages:
        rows, token = read_page(ListAlertsRequest(page_size=size, page_token=token))
        assert len(rows) == size or not token
        read += rows
        pages += 1
    assert read == ROWS
    assert pages == -(-len(ROWS) // size), "the last page says that it is the last"


def test_without_a_size_there_is_a_usual_one() -> None:
    rows, token = read_page(ListAlertsRequest())
    assert len(rows) == DEFAULT_SIZE
    assert token


def test_the_size_may_change_from_page_to_page() -> None:
    first, token = read_page(ListAlertsRequest(page_size=7))
    second, _ = read_page(ListAlertsRequest(page_size=11, page_token=token))
    assert first + second == ROWS[:18]


@pytest.mark.parametrize(
    ("request_", "scope"),
    [
        (ListAlertsRequest(agency="agencies/a"), ""),
        (ListAlertsRequest(include_drills=True), ""),
        (ListAlertsRequest(), "agencies/b"),
        (ListAlertEventsRequest(), ""),
    ],
)
def test_a_token_is_refused_by_another_list(request_: ListAlertsRequest | ListAlertEventsRequest, scope: str) -> None:
    _, token = read_page(ListAlertsRequest(page_size=7))
    Page(ListAlertsRequest(page_token=token))
    request_.page_token = token
    with pytest.raises(InvalidPageToken) as refused:
        Page(request_, scope)
    assert [field for field, _ in refused.value.fields] == ["pageToken"]


def test_the_request_is_left_as_it_was() -> None:
    request = ListAlertsRequest(page_size=3, agency="agencies/a")
    Page(request)
    assert request == ListAlertsRequest(page_size=3, agency="agencies/a")
