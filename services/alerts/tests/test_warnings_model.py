"""The rules of a public warning, without a service."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from people import ROOM
from warned import info

from alerts.errors import WarningChanged, WarningClosed, WarningFull
from alerts.model.enums import MessageType, WarningState
from alerts.model.jurisdiction import Jurisdiction
from alerts.model.reach import Regions
from alerts.model.warnings import Author, PublicWarning, Sender
from alerts.wire import warnings as wire
from chassis.errors import InvalidRequest
from chassis.geo import AreaIndex
from siaga.alerts.v1 import warning_pb2

START = datetime(2026, 3, 1, 12, 0, 0, 700_000, tzinfo=UTC)
SARI = Author("sari", "sari")
ROOM_SENDER = Sender("jakarta-112@siaga.example", "Jakarta 112")


def after(**passed: float) -> datetime:
    return START + timedelta(**passed)


def make_warning(*, wide: bool = False, hours: float = 1.0, **other: Any) -> PublicWarning:
    said = ParseDict(info(expireTime=after(hours=hours).isoformat(), **other), warning_pb2.Warning.Info())
    regions = Regions([], AreaIndex([]))
    columns = wire.add_reach(wire.to_columns(said, wire.FIELDS, "info"), regions, Jurisdiction(regions, [], {}, lambda _: ROOM), ROOM)
    warning = PublicWarning(
        name="warnings/00000000-0000-7000-8000-000000000000",
        agency=ROOM,
        status=1,
        state=WarningState.PENDING,
        user="sari",
        operator="sari",
        approver="",
        number=0,
        type=0,
        sender="",
        sender_name="",
        note="",
        messages=[],
        create_time=START,
        update_time=START,
        revision=0,
        proposal=None,
        **columns | {"wide": wide},
    )
    warning.issue(ROOM_SENDER, START)
    return warning


def update(warning: PublicWarning, now: datetime, **values: Any) -> bool:
    return warning.update(values, "", SARI, ROOM_SENDER, now)


def test_a_message_is_sent_in_a_whole_second_and_none_before_the_one_before_it() -> None:
    warning = make_warning()
    assert warning.sent_time == START.replace(microsecond=0)
    # Another replica's clock is behind.
    update(warning, after(seconds=-30))
    assert warning.sent_time == START.replace(microsecond=0)
    update(warning, after(seconds=1.5))
    assert warning.sent_time == START.replace(microsecond=0) + timedelta(seconds=2)


def test_each_change_is_later_than_the_one_before_it_and_another_version() -> None:
    warning = make_warning()
    seen = [(warning.update_time, warning.etag)]
    for _ in range(3):
        update(warning, START)
        seen.append((warning.update_time, warning.etag))
    assert [time for time, _ in seen] == sorted({time for time, _ in seen})
    assert len({etag for _, etag in seen}) == 4


def test_a_message_names_all_those_before_it() -> None:
    warning = make_warning()
    for number in (1, 2, 3):
        update(warning, after(minutes=number))
        sent = [(ROOM_SENDER.address, int(after(minutes=each).timestamp()), "UTC") for each in range(number + 1)]
        assert warning.messages == sent
        assert (warning.number, warning.type, warning.state) == (number + 1, MessageType.UPDATE, WarningState.UPDATED)
    warning.cancel("", "", Sender("other@siaga.example", ""), after(minutes=4))
    assert (len(warning.messages), warning.sender, warning.state) == (5, "other@siaga.example", WarningState.CANCELLED)


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0, WarningState.ISSUED), (3599, WarningState.ISSUED), (3600, WarningState.EXPIRED), (86_400, WarningState.EXPIRED)],
)
def test_its_time_decides_whether_it_is_in_force(seconds: float, state: WarningState) -> None:
    warning = make_warning()
    now = START.replace(microsecond=0) + timedelta(seconds=seconds)
    assert warning.find_state(now) == state
    assert warning.is_in_force(now) == (state is WarningState.ISSUED)
    warning.cancel("", "", ROOM_SENDER, START)
    assert warning.find_state(now) == WarningState.CANCELLED


@pytest.mark.parametrize("hours", [-1.0, 0.0, 30 * 24 + 0.01])
def test_it_is_in_force_for_thirty_days_at_most_and_not_in_the_past(hours: float) -> None:
    with pytest.raises(InvalidRequest) as caught:
        make_warning(hours=hours)
    assert caught.value.fields[0][0] == "info.expireTime"
    warning = make_warning(hours=30 * 24)
    update(warning, after(days=29), expire_time=after(days=59))
    assert warning.is_in_force(after(days=58))


def test_it_has_two_hundred_messages_at_most_and_can_still_be_cancelled() -> None:
    warning = make_warning(hours=100)
    for number in range(1, 200):
        update(warning, after(minutes=number))
    with pytest.raises(WarningFull):
        update(warning, after(minutes=200))
    assert warning.cancel("", "", ROOM_SENDER, after(minutes=201))
    assert (warning.number, len(warning.messages)) == (201, 201)


def test_a_full_warnings_update_cannot_be_proposed_nor_approved() -> None:
    warning = make_warning(hours=100)
    update(warning, after(minutes=1), wide=True)
    warning.number = 200
    with pytest.raises(WarningFull):
        warning.approve("tono", warning.etag, ROOM_SENDER, after(minutes=2))
    with pytest.raises(WarningFull):
        update(warning, after(minutes=3), wide=True)


def test_what_is_closed_takes_no_change_whatever_its_etag() -> None:
    for warning, now in ((make_warning(), after(hours=2)), (make_warning(wide=True), after(hours=2))):
        for change in (
            lambda warning=warning, now=now: update(warning, now, expire_time=after(hours=5)),
            lambda warning=warning, now=now: warning.cancel("", "", ROOM_SENDER, now),
        ):
            with pytest.raises(WarningClosed):
                change()
    with pytest.raises(WarningClosed):
        make_warning(wide=True).approve("tono", '"1"', ROOM_SENDER, after(hours=2))
    with pytest.raises(WarningChanged):
        make_warning(wide=True).approve("tono", '"7"', ROOM_SENDER, after(minutes=1))
