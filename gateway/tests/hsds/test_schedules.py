"""Opening hours as the weeks of HSDS."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.adapters.hsds.schedules import write_schedules

Check = Callable[[str, Any], None]
ID = "0b5d6b1c-7f0e-4a52-9a3b-5d9c1f6a2e01"


def read_times(schedules: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["byday"], each["opens_at"], each["closes_at"]) for each in schedules]


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("Mo-Fr 08:00-16:00; PH off", [("MO,TU,WE,TH,FR", "08:00+07:00", "16:00+07:00")]),
        (
            "Mo-Th 07:30-12:00,13:00-16:00; Fr 07:30-11:00",
            [
                ("FR", "07:30+07:00", "11:00+07:00"),
                ("MO,TU,WE,TH", "07:30+07:00", "12:00+07:00"),
                ("MO,TU,WE,TH", "13:00+07:00", "16:00+07:00"),
            ],
        ),
        ("24/7", [("MO,TU,WE,TH,FR,SA,SU", "00:00+07:00", "00:00+07:00")]),
        ("24/7; Su off", [("MO,TU,WE,TH,FR,SA", "00:00+07:00", "00:00+07:00")]),
        ("Su 22:00-06:00", [("SU", "22:00+07:00", "06:00+07:00")]),
        (
            "Sa 20:00-24:00; Su 00:00-24:00; Mo 00:00-05:00",
            [("SU", "00:00+07:00", "00:00+07:00"), ("MO", "00:00+07:00", "05:00+07:00"), ("SA", "20:00+07:00", "00:00+07:00")],
        ),
        ("Mo-Fr 08:00-24:00", [("MO,TU,WE,TH,FR", "08:00+07:00", "00:00+07:00")]),
    ],
)
def test_a_regular_week_is_told_day_by_day(check: Check, text: str, times: list[tuple[str, str, str]]) -> None:
    schedules = write_schedules(ID, text, "Asia/Jakarta")
    for each in schedules:
        check("schedule", each)
    assert read_times(schedules) == times
    assert {(each["freq"], each["timezone"], each["description"]) for each in schedules} == {("WEEKLY", 7, text)}
    assert len({each["id"] for each in schedules}) == len(schedules)
    assert write_schedules(ID, text, "Asia/Jakarta") == schedules


@pytest.mark.parametrize(
    "text",
    [
        "Jan-Jun Mo-Fr 08:00-16:00",
        "Mo[1] 08:00-12:00",
        "Mo-Fr 08:00-16:00; Dec 25 off",
        "sunrise-sunset",
        "Mo-Fr 08:00+",
        "Mo-Fr 08:00-16:00 unknown",
        'Mo-Fr 08:00-16:00 "by appointment"',
        "off",
    ],
)
def test_what_is_no_regular_week_is_told_in_its_own_words_alone(check: Check, text: str) -> None:
    (schedule,) = write_schedules(ID, text, "Asia/Jakarta")
    check("schedule", schedule)
    assert schedule == {"id": schedule["id"], "service_id": ID, "description": text}


def test_without_a_time_zone_no_time_is_told() -> None:
    (schedule,) = write_schedules(ID, "24/7", "")
    assert "opens_at" not in schedule


def test_unknown_hours_are_no_schedule() -> None:
    assert write_schedules(ID, "", "Asia/Jakarta") == []


def test_the_offset_is_that_of_the_area() -> None:
    (schedule,) = write_schedules(ID, "Mo 08:00-16:00", "Asia/Kolkata")
    assert (schedule["opens_at"], schedule["timezone"]) == ("08:00+05:30", 5.5)
