"""An SOS is refused for nothing but being unreadable: what is broken is dropped and named, the rest is kept."""

import math
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from people import MONAS, Party, People, new_alert_token, new_id, refusal_of, to_request

from chassis.testing import Issuer
from siaga.alerts.v1 import alert_pb2
from siaga.alerts.v1.alert_service_pb2 import RaiseAlertRequest, RaiseAlertResponse

HOUR, DAY = 3600, 24 * 3600
ROOM = "agencies/jakarta-112"
Breakage = Callable[[RaiseAlertRequest], None]


def make_sos() -> RaiseAlertRequest:
    """With everything that a citizen may say, and all of it right."""
    return to_request(
        "RaiseAlert",
        requestId=new_id(),
        alertToken=new_alert_token(),
        kind="FIRE",
        subject="OTHER",
        channel="APP",
        caller={"displayName": "Bu Dewi", "callbackPhone": "+62 812-3456"},
        contactPreference="TEXT",
        location={"point": MONAS, "accuracyMeters": 12.5, "fixTime": "2026-03-01T12:00:00.25Z", "source": "GPS"},
        target={"point": {"latitude": -6.2, "longitude": 106.8}, "addressText": "Jalan Merdeka 1"},
        note="asap di lantai 3",
    )


def assign(path: str, value: Any) -> Breakage:
    def work(request: RaiseAlertRequest) -> None:
        *holders, name = path.split(".")
        holder: Any = request
        for each in holders:
            holder = getattr(holder, each)
        setattr(holder, name, value)

    return work


def clear(path: str) -> Breakage:
    def work(request: RaiseAlertRequest) -> None:
        *holders, name = path.split(".")
        holder: Any = request
        for each in holders:
            holder = getattr(holder, each)
        holder.ClearField(name)

    return work


# What breaks, the field of the alert that is lost with it, and the name that the reply gives it.
BREAKAGES: dict[str, tuple[Breakage, str, str]] = {
    "latitude 91": (assign("location.point.latitude", 91), "location", "location"),
    "latitude NaN": (assign("location.point.latitude", math.nan), "location", "location"),
    "latitude Infinity": (assign("location.point.latitude", math.inf), "location", "location"),
    "no latitude": (clear("location.point.latitude"), "location", "location"),
    "no longitude": (clear("location.point.longitude"), "location", "location"),
    "longitude -180.1": (assign("location.point.longitude", -180.1), "location", "location"),
    "no point": (clear("location.point"), "location", "location"),
    "accuracy -1": (assign("location.accuracy_meters", -1), "location.accuracy_meters", "location.accuracyMeters"),
    "accuracy NaN": (assign("location.accuracy_meters", math.nan), "location.accuracy_meters", "location.accuracyMeters"),
    "accuracy 2000 km": (assign("location.accuracy_meters", 2e6), "location.accuracy_meters", "location.accuracyMeters"),
    "fix time before 1970": (assign("location.fix_time.seconds", -1), "location.fix_time", "location.fixTime"),
    "fix time in the year 31710": (assign("location.fix_time.seconds", 938_000_000_000), "location.fix_time", "location.fixTime"),
    "fix time beyond all time": (assign("location.fix_time.seconds", 2**62), "location.fix_time", "location.fixTime"),
    "fix time with too many nanoseconds": (assign("location.fix_time.nanos", 2**31 - 1), "location.fix_time", "location.fixTime"),
    "fix time with negative nanoseconds": (assign("location.fix_time.nanos", -5), "location.fix_time", "location.fixTime"),
    "source 77": (assign("location.source", 77), "location.source", "location.source"),
    "kind 99": (assign("kind", 99), "kind", "kind"),
    "kind -1": (assign("kind", -1), "kind", "kind"),
    "subject 9": (assign("subject", 9), "subject", "subject"),
    "channel 99": (assign("channel", 99), "", "channel"),
    "channel VOICE": (assign("channel", alert_pb2.Alert.VOICE), "", "channel"),
    "contact preference 9": (assign("contact_preference", 9), "contact_preference", "contactPreference"),
    "phone of words": (assign("caller.callback_phone", "call my sister"), "caller.callback_phone", "caller.callbackPhone"),
    "phone too long": (assign("caller.callback_phone", "0" * 26), "caller.callback_phone", "caller.callbackPhone"),
    "name too long": (assign("caller.display_name", "D" * 101), "caller.display_name", "caller.displayName"),
    "target latitude 91": (assign("target.point.latitude", 91), "target.point", "target.point"),
    "no target longitude": (clear("target.point.longitude"), "target.point", "target.point"),
    "address too long": (assign("target.address_text", "J" * 501), "target.address_text", "target.addressText"),
    "request id of words": (assign("request_id", "the first one"), "", "requestId"),
    "token too short": (assign("alert_token", "a" * 21), "", "alertToken"),
    "token too long": (assign("alert_token", "a" * 129), "", "alertToken"),
    "odd token": (assign("alert_token", "a" * 30 + " ü"), "", "alertToken"),
    "drill": (assign("drill", True), "", "drill"),
    "external ids": (lambda request: request.external_ids.update({"jaki": "7"}), "", "externalIds"),
    "too many external ids": (lambda request: request.external_ids.update({f"{n}": "" for n in range(11)}), "", "externalIds"),
    "fix in the future": (lambda request: request.location.fix_time.FromSeconds(4_000_000_000), "location.fix_time", "location.fixTime"),
    "external id too long": (lambda request: request.external_ids.update({"jaki": "7" * 101, "": "8"}), "", "externalIds"),
}


def kept(alert: alert_pb2.Alert, lost: set[str]) -> dict[str, object]:
    """What the caller said, as the alert has it, apart from what was lost."""
    fields = {
        "kind": alert.kind,
        "subject": alert.subject,
        "channel": alert.channel,
        "contact_preference": alert.contact_preference,
        "caller.display_name": alert.caller.display_name,
        "caller.callback_phone": alert.caller.callback_phone,
        "location": (alert.location.point.latitude, alert.location.point.longitude) if alert.HasField("location") else None,
        "location.accuracy_meters": alert.location.accuracy_meters,
        "location.source": alert.location.source,
        "location.fix_time": alert.location.fix_time.ToMilliseconds(),
        "target.point": (alert.target.point.latitude, alert.target.point.longitude) if alert.target.HasField("point") else None,
        "target.address_text": alert.target.address_text,
        "note": alert.note,
    }
    return {name: value for name, value in fields.items() if not any(name == each or name.startswith(f"{each}.") for each in lost)}


def check(request: RaiseAlertRequest, reply: RaiseAlertResponse, broken: list[str]) -> None:
    whole = make_sos()
    lost = {BREAKAGES[each][1] for each in broken} - {""}
    expected = alert_pb2.Alert(kind=whole.kind, subject=whole.subject, contact_preference=whole.contact_preference, note=whole.note)
    expected.channel = alert_pb2.Alert.APP
    expected.caller.CopyFrom(whole.caller)
    expected.location.CopyFrom(whole.location)
    expected.target.CopyFrom(whole.target)
    alert = reply.alert
    assert kept(alert, lost) == kept(expected, lost)
    named = {BREAKAGES[each][2] for each in broken}
    # What goes with its place is not named beside it.
    assert set(reply.ignored_fields) == {each for each in named if "location" not in named or not each.startswith("location.")}
    assert len(set(reply.ignored_fields)) == len(reply.ignored_fields)
    assert alert.HasField("location") == ("location" not in lost)
    assert alert.target.HasField("point") == ("target.point" not in lost)
    if "location.fix_time" in lost and alert.HasField("location"):
        assert alert.location.fix_time == alert.create_time
    if "alertToken" in named:
        assert len(reply.alert_token) >= 22
    else:
        assert reply.alert_token == request.alert_token
    assert (alert.state, alert.drill, dict(alert.external_ids)) == (alert_pb2.Alert.RAISED, False, {})


async def test_of_an_sos_without_a_fault_everything_is_kept(people: People) -> None:
    request = make_sos()
    check(request, await people.dewi.send("RaiseAlert", request), [])


async def test_an_empty_sos_is_raised(people: People) -> None:
    reply = await people.nobody("RaiseAlert")
    assert (reply.alert.state, reply.alert.agency, reply.alert.routing) == (alert_pb2.Alert.RAISED, ROOM, alert_pb2.Alert.DEFAULT)
    assert not reply.alert.HasField("location")
    assert list(reply.ignored_fields) == []
    assert len(reply.alert_token) >= 22


async def test_whatever_one_value_is_broken_it_alone_is_dropped_and_named(people: People) -> None:
    for broken, (break_it, _, _) in BREAKAGES.items():
        request = make_sos()
        break_it(request)
        for party in (people.dewi, people.nobody):
            check(request, await party.send("RaiseAlert", request), [broken])


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(broken=st.lists(st.sampled_from(sorted(BREAKAGES)), unique=True, max_size=8))
async def test_whatever_values_are_broken_what_is_right_is_kept(people: People, broken: list[str]) -> None:
    request = make_sos()
    for each in broken:
        BREAKAGES[each][0](request)
    # A later breakage may mend or replace an earlier one of the same field.
    standing = [each for each in broken if not any(same_place(each, later) for later in broken[broken.index(each) + 1 :])]
    check(request, await people.dewi.send("RaiseAlert", request), standing)


def same_place(one: str, other: str) -> bool:
    return BREAKAGES[one][2] == BREAKAGES[other][2]


async def test_of_a_note_that_is_too_long_the_beginning_is_kept(people: People) -> None:
    reply = await people.dewi("RaiseAlert", note="é" * 4001)
    assert reply.alert.note == "é" * 4000
    assert list(reply.ignored_fields) == ["note"]
    assert not (await people.dewi("RaiseAlert", note="é" * 4000)).ignored_fields


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"note": "he\0re"}, "note"),
        ({"caller": {"displayName": "De\0wi"}}, "caller.displayName"),
        ({"target": {"addressText": "Jalan\0 1"}}, "target.addressText"),
    ],
)
async def test_a_character_that_no_database_takes_costs_nobody_their_sos(people: People, words: dict[str, Any], path: str) -> None:
    reply = await people.dewi("RaiseAlert", kind="FIRE", **words)
    assert (reply.alert.state, reply.alert.kind) == (alert_pb2.Alert.RAISED, alert_pb2.Alert.FIRE)
    assert list(reply.ignored_fields) == [path]
    said = reply.alert.note or reply.alert.target.address_text or reply.alert.caller.display_name
    assert said in {"here", "Dewi", "Jalan 1"}


async def test_control_and_other_odd_characters_are_kept_verbatim(people: People) -> None:
    note = "\x01\x7f\u202e\ufeff\U0001f525 '; DROP TABLE alerts; --\r\n"
    name, caller = await people.raise_alert(note=note)
    assert (await caller("GetAlert", name=name)).note == note


async def test_those_who_answer_may_say_more(people: People) -> None:
    said: dict[str, Any] = {"channel": "SMS", "drill": True, "externalIds": {"jaki": "7", "nul": "a\0b"}}
    for party in (people.rina, people.sari, people.machine):
        reply = await party("RaiseAlert", **said)
        assert list(reply.ignored_fields) == []
        assert (reply.alert.channel, reply.alert.drill) == (alert_pb2.Alert.SMS, True)
        assert dict(reply.alert.external_ids) == said["externalIds"]


async def test_an_administrator_may_drill_and_no_more(people: People) -> None:
    reply = await people.sign_in("admin", "admin")("RaiseAlert", channel="SMS", drill=True, externalIds={"jaki": "7"})
    assert list(reply.ignored_fields) == ["channel", "externalIds"]
    assert (reply.alert.channel, reply.alert.drill) == (alert_pb2.Alert.APP, True)


async def test_a_channel_that_nobody_named_is_the_usual_one(people: People) -> None:
    usual = [
        *((people.dewi, "SELF", "APP"), (people.dewi, "OTHER", "APP"), (people.nobody, "OTHER", "APP")),
        *((people.rina, "SELF", "APP"), (people.rina, "OTHER", "VOICE"), (people.machine, "SELF", "PARTNER")),
        (people.sign_in("sms-gateway", "adapter"), "SELF", "SMS"),
    ]
    for party, subject, channel in usual:
        assert alert_pb2.Alert.Channel.Name((await party("RaiseAlert", subject=subject)).alert.channel) == channel


async def test_whoever_writes_down_a_call_is_not_the_caller(people: People) -> None:
    said = {"displayName": "Pak Agus", "callbackPhone": "0812"}
    for party, channel, operator in ((people.rina, "VOICE", "rina"), (people.machine, "SMS", "room-system")):
        alert = (await party("RaiseAlert", caller=said, channel=channel)).alert
        assert (alert.caller.user, alert.caller.display_name, alert.caller.verified) == ("", "Pak Agus", False)
        [raised, _] = (await people.sari("ListAlertEvents", name=alert.name)).events
        assert raised.actor == operator
    own = (await people.rina("RaiseAlert", caller=said)).alert
    assert (own.caller.user, own.caller.verified) == ("rina", True)
    [raised, _] = (await people.sari("ListAlertEvents", name=own.name)).events
    assert raised.actor == ""


async def test_a_silent_alert_is_never_called_back(people: People) -> None:
    reply = await people.dewi("RaiseAlert", silent=True, contactPreference="CALL")
    assert (reply.alert.contact_preference, reply.alert.restricted) == (alert_pb2.Alert.DO_NOT_CONTACT, True)


async def test_who_calls_is_the_tokens_word_and_not_the_requests(people: People) -> None:
    said = {"user": "somebody-else", "verified": True, "callbackPhone": "112"}
    caller = (await people.dewi("RaiseAlert", caller=said)).alert.caller
    assert (caller.user, caller.display_name, caller.callback_phone, caller.verified) == ("dewi", "Dewi", "112", True)
    caller = (await people.nobody("RaiseAlert", caller=said)).alert.caller
    assert (caller.user, caller.display_name, caller.callback_phone, caller.verified) == ("", "", "112", False)


async def test_whatever_token_comes_along_the_sos_is_raised(people: People, issuer: Issuer) -> None:
    now = time.time()
    good = issuer.sign("dewi", "citizen")
    forger = Issuer()
    forger.close()
    tokens: dict[str, tuple[str, str, str]] = {
        "good": (good, "", "dewi"),
        "expired a moment ago": (issuer.sign("dewi", exp=int(now - 5)), "", "dewi"),
        "expired an hour ago": (issuer.sign("dewi", exp=int(now - HOUR)), "EXPIRED", "dewi"),
        "expired 89 days ago": (issuer.sign("dewi", exp=int(now - 89 * DAY)), "EXPIRED", "dewi"),
        "expired 91 days ago": (issuer.sign("dewi", exp=int(now - 91 * DAY)), "EXPIRED", ""),
        "of another issuer": (issuer.sign("dewi", iss="https://elsewhere.test"), "FOREIGN", ""),
        "for another audience": (issuer.sign("dewi", aud="elsewhere"), "FOREIGN", ""),
        "not yet valid": (issuer.sign("dewi", nbf=int(now + HOUR)), "NOT_YET_VALID", ""),
        "forged": (forger.sign("dewi", "supervisor", agency=ROOM), "UNVERIFIABLE", ""),
        "altered": (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "UNVERIFIABLE", ""),
        "no token at all": ("open sesame", "UNVERIFIABLE", ""),
        "far too long": ("a" * 9000, "UNVERIFIABLE", ""),
        "without a person": (issuer.sign(""), "UNVERIFIABLE", ""),
    }
    for what, (token, problem, user) in tokens.items():
        party = Party(people.channel, token)
        reply = await party("RaiseAlert", kind="FIRE")
        assert (reply.credential_problem, reply.alert.caller.user, reply.alert.caller.verified) == (problem, user, bool(user)), what
        assert (reply.alert.kind, reply.alert.state) == (alert_pb2.Alert.FIRE, alert_pb2.Alert.RAISED), what


async def test_a_token_that_has_expired_names_its_user_and_grants_nothing(people: People) -> None:
    expired = people.sign_in("rina", "dispatcher", agency=ROOM, lifetime=-HOUR)
    reply = await expired("RaiseAlert", channel="VOICE", drill=True, externalIds={"jaki": "7"})
    assert (reply.credential_problem, reply.alert.caller.user) == ("EXPIRED", "rina")
    assert list(reply.ignored_fields) == ["channel", "drill", "externalIds"]
    assert (await refusal_of(expired("ListAlerts")))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")
    assert (await refusal_of(expired("GetAlert", name=reply.alert.name)))[:2] == ("UNAUTHENTICATED", "INVALID_TOKEN")


async def test_more_than_64_kilobytes_are_refused_with_a_number_to_dial(people: People) -> None:
    request = RaiseAlertRequest(note="a" * 65_530)
    assert request.ByteSize() == 65_534
    reply = await people.nobody.send("RaiseAlert", request)
    assert list(reply.ignored_fields) == ["note"]
    request.note += "abc"
    refused = await refusal_of(people.nobody.send("RaiseAlert", request))
    assert refused[:3] == ("INVALID_ARGUMENT", "REQUEST_TOO_LARGE", {"maxBytes": "65536", "dial": "112"})


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b'{"kind": "FIRE"}', b"\x08", b"\x12\x02\xff\xfe"])
async def test_what_cannot_be_read_is_refused_with_a_number_to_dial(people: People, body: bytes) -> None:
    raise_alert = people.channel.unary_unary(
        "/siaga.alerts.v1.AlertService/RaiseAlert", response_deserializer=RaiseAlertResponse.FromString
    )

    async def call() -> grpc.aio.UnaryUnaryCall[Any, Any]:
        return await raise_alert(body, timeout=5)

    refused = await refusal_of(call())
    assert refused[:3] == ("INVALID_ARGUMENT", "UNREADABLE_REQUEST", {"dial": "112"})


async def test_fields_of_a_newer_app_are_no_fault(people: People) -> None:
    raise_alert = people.channel.unary_unary(
        "/siaga.alerts.v1.AlertService/RaiseAlert", response_deserializer=RaiseAlertResponse.FromString
    )
    reply: Any = await raise_alert(make_sos().SerializeToString() + b"\xfa\x7f\x03new", timeout=5)
    assert (reply.alert.kind, list(reply.ignored_fields)) == (alert_pb2.Alert.FIRE, [])
