"""Every message as a document of CAP 1.2: each word, time, shape and text, by the schema and back again."""

import itertools
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cap_standard import find, find_one, read_document
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.adapters.cap.documents import serialize, write_document, write_number, write_time, write_word
from siaga.alerts.v1.warning_pb2 import Warning as PublicWarning

Info, Message = PublicWarning.Info, PublicWarning.Message
UUID = "01a21517-567a-75bd-91ae-10d089e719ae"
SENT = int(datetime(2026, 3, 1, 5, 30, 15, tzinfo=UTC).timestamp())
# The standard's words, as its sections 3.2.1 and 3.2.2 list them.
WORDS: dict[Any, dict[str, str]] = {
    PublicWarning.Status: {"ACTUAL": "Actual", "EXERCISE": "Exercise", "TEST": "Test"},
    Message.Type: {"ALERT": "Alert", "UPDATE": "Update", "CANCEL": "Cancel"},
    Info.Urgency: {
        "IMMEDIATE": "Immediate",
        "EXPECTED": "Expected",
        "FUTURE": "Future",
        "PAST": "Past",
        "UNKNOWN_URGENCY": "Unknown",
    },
    Info.Severity: {
        "EXTREME": "Extreme",
        "SEVERE": "Severe",
        "MODERATE": "Moderate",
        "MINOR": "Minor",
        "UNKNOWN_SEVERITY": "Unknown",
    },
    Info.Certainty: {
        "OBSERVED": "Observed",
        "LIKELY": "Likely",
        "POSSIBLE": "Possible",
        "UNLIKELY": "Unlikely",
        "UNKNOWN_CERTAINTY": "Unknown",
    },
    Info.Category: {
        "GEO": "Geo",
        "MET": "Met",
        "SAFETY": "Safety",
        "SECURITY": "Security",
        "RESCUE": "Rescue",
        "FIRE": "Fire",
        "HEALTH": "Health",
        "ENV": "Env",
        "TRANSPORT": "Transport",
        "INFRA": "Infra",
        "CBRNE": "CBRNE",
        "OTHER": "Other",
    },
    Info.ResponseType: {
        "SHELTER": "Shelter",
        "EVACUATE": "Evacuate",
        "PREPARE": "Prepare",
        "EXECUTE": "Execute",
        "AVOID": "Avoid",
        "MONITOR": "Monitor",
        "ASSESS": "Assess",
        "ALL_CLEAR": "AllClear",
        "NONE": "None",
    },
}


def texts(text: str = "Banjir") -> PublicWarning.Texts:
    return PublicWarning.Texts(event=text, headline=text, description=text, instruction=text, area_description=text)


def make_warning(**values: Any) -> PublicWarning:
    """A first message with no more than what must be there; `values` are of its info."""
    said: dict[str, Any] = {
        "categories": [Info.MET],
        "urgency": Info.IMMEDIATE,
        "severity": Info.SEVERE,
        "certainty": Info.OBSERVED,
        "indonesian": texts(),
        "area": PublicWarning.Area(areas=["areas/31.71.01"]),
        "expire_time": Timestamp(seconds=SENT + 3600),
    }
    warning = PublicWarning(name=f"warnings/{UUID}", status=PublicWarning.ACTUAL, time_zone="Asia/Jakarta", info=Info(**said | values))
    message = warning.message
    message.number, message.type, message.identifier = 1, Message.ALERT, f"{UUID}.1"
    message.sender, message.sender_name = "jakarta-112@siaga.example", "Jakarta 112"
    message.sent_time.seconds = SENT
    return warning


def write(warning: PublicWarning) -> etree._Element:
    return read_document(serialize(write_document(warning)))


def test_every_word_of_the_contract_is_one_of_the_standards() -> None:
    for enum, words in WORDS.items():
        assert {name for name in enum.keys() if not name.endswith("_UNSPECIFIED")} == set(words)  # noqa: SIM118  # an enum, no dict
        for name, word in words.items():
            assert write_word(name) == word


@pytest.mark.parametrize(
    ("urgency", "severity", "certainty"), list(itertools.product(*(WORDS[each] for each in (Info.Urgency, Info.Severity, Info.Certainty))))
)
def test_every_urgency_severity_and_certainty_is_written(urgency: str, severity: str, certainty: str) -> None:
    root = write(make_warning(urgency=urgency, severity=severity, certainty=certainty))
    expected = [WORDS[Info.Urgency][urgency], WORDS[Info.Severity][severity], WORDS[Info.Certainty][certainty]]
    assert [find_one(root, f"info/c:{name}") for name in ("urgency", "severity", "certainty")] == expected


def test_every_category_and_response_is_written_in_the_order_that_was_said() -> None:
    categories, responses = list(WORDS[Info.Category])[::-1], list(WORDS[Info.ResponseType])[::-1]
    root = write(make_warning(categories=categories, response_types=responses))
    assert find(root, "info/c:category") == [WORDS[Info.Category][each] for each in categories]
    assert find(root, "info/c:responseType") == [WORDS[Info.ResponseType][each] for each in responses]


@pytest.mark.parametrize("status", WORDS[PublicWarning.Status])
@pytest.mark.parametrize("kind", WORDS[Message.Type])
def test_every_status_and_kind_of_message_is_written(status: str, kind: str) -> None:
    warning = make_warning()
    warning.status, warning.message.type = PublicWarning.Status.Value(status), Message.Type.Value(kind)
    if kind != "ALERT":
        warning.message.number = 3
        for number, zone in ((1, "Asia/Jakarta"), (2, "UTC")):
            sent_time = Timestamp(seconds=SENT - 100 + number)
            warning.message.references.add(sender="a@b.example", identifier=f"{UUID}.{number}", sent_time=sent_time, time_zone=zone)
    root = write(warning)
    assert (find_one(root, "status"), find_one(root, "msgType")) == (WORDS[PublicWarning.Status][status], WORDS[Message.Type][kind])
    assert find_one(root, "scope") == "Public"
    named = [f"a@b.example,{UUID}.1,2026-03-01T12:28:36+07:00 a@b.example,{UUID}.2,2026-03-01T05:28:37-00:00"]
    assert find(root, "references") == ([] if kind == "ALERT" else named)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("Asia/Jakarta", "2026-03-01T12:30:15+07:00"),
        ("Asia/Makassar", "2026-03-01T13:30:15+08:00"),
        ("Asia/Jayapura", "2026-03-01T14:30:15+09:00"),
        ("UTC", "2026-03-01T05:30:15-00:00"),
        ("Europe/London", "2026-03-01T05:30:15-00:00"),
        ("Asia/Kolkata", "2026-03-01T11:00:15+05:30"),
        ("America/St_Johns", "2026-03-01T02:00:15-03:30"),
    ],
)
def test_times_have_the_offset_of_the_place_and_never_a_letter(zone: str, text: str) -> None:
    assert write_time(Timestamp(seconds=SENT), ZoneInfo(zone)) == text
    warning = make_warning(onset_time=Timestamp(seconds=SENT + 60), effective_time=Timestamp(seconds=SENT + 30))
    warning.time_zone = zone
    root = write(warning)
    assert find_one(root, "sent") == text
    times = [datetime.fromisoformat(find_one(root, f"info/c:{name}")).timestamp() - SENT for name in ("effective", "onset", "expires")]
    assert times == [30, 60, 3600]


def test_in_summer_an_offset_is_another_one() -> None:
    assert write_time(Timestamp(seconds=SENT + 120 * 86_400), ZoneInfo("Europe/London")).endswith("+01:00")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (-6.2, "-6.2"),
        (106.8, "106.8"),
        (0.0, "0"),
        (-0.0, "0"),
        (-1e-9, "0"),
        (5e-324, "0"),
        (1e-7, "0.0000001"),
        (179.99999999, "180"),
        (0.001, "0.001"),
    ],
)
def test_numbers_have_no_exponent(number: float, text: str) -> None:
    assert write_number(number) == text


def test_shapes_are_latitude_before_longitude_and_closed() -> None:
    area = PublicWarning.Area(areas=["areas/31.71.01", "areas/31.71.02"])
    polygon = area.polygons.add()
    for latitude, longitude in ((-6.2, 106.8), (-6.2, 106.81), (-6.19, 106.81)):
        polygon.points.add(latitude=latitude, longitude=longitude)
    circle = area.circles.add(radius_meters=1500)
    circle.center.latitude, circle.center.longitude = -6.2, 106.8
    root = write(make_warning(area=area))
    assert find(root, "info/c:area/c:polygon") == ["-6.2,106.8 -6.2,106.81 -6.19,106.81 -6.2,106.8"]
    assert find(root, "info/c:area/c:circle") == ["-6.2,106.8 1.5"]
    codes = zip(find(root, "info/c:area/c:geocode/c:valueName"), find(root, "info/c:area/c:geocode/c:value"), strict=True)
    assert list(codes) == [("siaga.area", "31.71.01"), ("siaga.area", "31.71.02")]


def test_each_language_is_an_info_with_all_that_there_is() -> None:
    warning = make_warning(english=texts("Flood"), contact="112", web="https://siaga.example/?a=1&b=2", response_types=[Info.SHELTER])
    root = write(warning)
    assert find(root, "info/c:language") == ["id-ID", "en"]
    assert find(root, "info/c:event") == ["Banjir", "Flood"]
    assert find(root, "info/c:area/c:areaDesc") == ["Banjir", "Flood"]
    for name, text in (
        ("contact", "112"),
        ("web", "https://siaga.example/?a=1&b=2"),
        ("senderName", "Jakarta 112"),
        ("severity", "Severe"),
    ):
        assert find(root, f"info/c:{name}") == [text] * 2


def test_a_cancellation_says_why() -> None:
    warning = make_warning()
    warning.message.note = "Air <surut> & aman."
    assert find_one(write(warning), "note") == "Air <surut> & aman."


# All that XML can hold and the service lets in.
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff")
TEXTS = st.text(CHARACTERS, min_size=1, max_size=60).filter(str.strip)
TIMES = st.integers(0, 4_000_000_000).map(lambda seconds: Timestamp(seconds=seconds))


def points(least: int = 1) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(st.floats(-90, 90), st.floats(-180, 180)), min_size=least, max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    text=TEXTS,
    times=st.lists(TIMES, min_size=4, max_size=4),
    zone=st.sampled_from(["Asia/Jakarta", "Asia/Jayapura", "UTC", "America/New_York", "Asia/Kathmandu"]),
    polygons=st.lists(points(3), max_size=3),
    circles=st.lists(st.tuples(points(), st.floats(1, 1_000_000)), max_size=3),
)
def test_whatever_is_said_is_written_and_read_again(
    text: str, times: list[Timestamp], zone: str, polygons: list[Any], circles: list[Any]
) -> None:
    area = PublicWarning.Area(areas=["areas/31"])
    for corners in polygons:
        polygon = area.polygons.add()
        for latitude, longitude in corners:
            polygon.points.add(latitude=latitude, longitude=longitude)
    for [(latitude, longitude), *_], radius in circles:
        circle = area.circles.add(radius_meters=radius)
        circle.center.latitude, circle.center.longitude = latitude, longitude
    sent, effective, onset, expires = times
    said = {"effective_time": effective, "onset_time": onset, "expire_time": expires}
    warning = make_warning(indonesian=texts(text), english=texts(f"{text}\n\t"), area=area, **said)
    warning.message.sent_time.CopyFrom(sent)
    warning.time_zone = zone
    root = write(warning)
    assert find(root, "info/c:headline") == [text, f"{text}\n\t"]
    assert datetime.fromisoformat(find_one(root, "sent")).timestamp() == sent.seconds
    for name, time in (("effective", effective), ("onset", onset), ("expires", expires)):
        assert {datetime.fromisoformat(each).timestamp() for each in find(root, f"info/c:{name}")} == {time.seconds}
    read = [[tuple(map(float, pair.split(","))) for pair in ring.split()[:-1]] for ring in find(root, "info/c:area/c:polygon")]
    for corners, expected in zip(read, polygons * 2, strict=True):
        assert all(pair == pytest.approx(each, abs=1e-7) for pair, each in zip(corners, expected, strict=True))
