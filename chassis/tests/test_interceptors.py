"""What stands around every RPC: in which order a caller is refused, and what the refusal says and does not say."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from answering import DIAL, NAME, SERVICE, Answering, answering, bearer, refusal_of
from grpc import StatusCode
from sqlalchemy import create_engine, text

from chassis.access import read_methods
from chassis.errors import InvalidPageToken, Overloaded
from chassis.testing import Issuer
from siaga.alerts.v1 import alert_service_pb2 as pb

SECRET = "Jalan Rahasia 1"
INVALID = pb.AcknowledgeAlertRequest(name="nonsense")


@pytest.fixture
async def answers(issuer: Issuer, tmp_path: Path) -> AsyncIterator[Answering]:
    async with answering(issuer, tmp_path) as running:
        yield running


async def test_a_good_call_comes_through(answers: Answering, issuer: Issuer) -> None:
    request = pb.AcknowledgeAlertRequest(name=NAME)
    assert (await answers.stub.AcknowledgeAlert(request, metadata=bearer(issuer, "dispatcher"))).name == NAME
    assert (await answers.stub.GetAlert(pb.GetAlertRequest(name=NAME))).name == NAME


async def test_identity_comes_first_then_access_then_validation(answers: Answering, issuer: Issuer) -> None:
    """A stranger learns nothing of what is wrong with a request."""
    for metadata in (None, [("authorization", "Bearer nonsense")]):
        refusal = await refusal_of(answers.stub.AcknowledgeAlert(INVALID, metadata=metadata))
        assert (refusal.code, refusal.reason, refusal.fields) == (StatusCode.UNAUTHENTICATED, "INVALID_TOKEN", [])
    refusal = await refusal_of(answers.stub.AcknowledgeAlert(INVALID, metadata=bearer(issuer)))
    assert (refusal.code, refusal.reason, refusal.fields) == (StatusCode.PERMISSION_DENIED, "ACCESS_DENIED", [])
    refusal = await refusal_of(answers.stub.AcknowledgeAlert(INVALID, metadata=bearer(issuer, "dispatcher")))
    assert (refusal.code, refusal.reason, refusal.fields) == (StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", ["name"])
    assert answers.servicer.calls == 0


async def test_a_bad_token_is_refused_even_where_none_is_needed(answers: Answering) -> None:
    refusal = await refusal_of(answers.stub.GetAlert(pb.GetAlertRequest(name=NAME), metadata=[("authorization", "Bearer nonsense")]))
    assert refusal.reason == "INVALID_TOKEN"
    assert refusal.domain == "siaga"


@pytest.mark.parametrize(
    ("authorization", "asked"),
    [
        (None, 'Bearer realm="siaga"'),
        ("Basic bm86bm8=", 'Bearer realm="siaga"'),
        ("Bearer nonsense", 'Bearer realm="siaga", error="invalid_token"'),
    ],
)
async def test_whoever_is_refused_without_a_good_token_is_asked_for_one(
    answers: Answering, issuer: Issuer, authorization: str | None, asked: str
) -> None:
    metadata = [("authorization", authorization)] if authorization else None
    for call in (
        answers.stub.AcknowledgeAlert(INVALID, metadata=metadata),
        answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=metadata),
    ):
        assert (await refusal_of(call)).code is StatusCode.UNAUTHENTICATED
        assert dict(await call.trailing_metadata() or ())["www-authenticate"] == asked
    denied = answers.stub.AcknowledgeAlert(INVALID, metadata=bearer(issuer))
    assert (await refusal_of(denied)).code is StatusCode.PERMISSION_DENIED
    assert "www-authenticate" not in dict(await denied.trailing_metadata() or ())


async def test_a_watch_is_guarded_alike(answers: Answering, issuer: Issuer) -> None:
    long = pb.WatchAlertsRequest(cursor="x" * 201)
    assert (await refusal_of(answers.stub.WatchAlerts(long))).reason == "INVALID_TOKEN"
    assert (await refusal_of(answers.stub.WatchAlerts(long, metadata=bearer(issuer)))).reason == "ACCESS_DENIED"
    refusal = await refusal_of(answers.stub.WatchAlerts(long, metadata=bearer(issuer, "agency")))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ["cursor"])


async def test_every_field_at_fault_is_named_as_json_spells_it(answers: Answering, issuer: Issuer) -> None:
    request = pb.AcknowledgeAlertRequest(name="nonsense", request_id="no uuid", operator="x" * 101)
    refusal = await refusal_of(answers.stub.AcknowledgeAlert(request, metadata=bearer(issuer, "dispatcher")))
    assert sorted(refusal.fields) == ["name", "operator", "requestId"]


async def test_a_nul_in_a_text_is_refused_before_a_database_chokes_on_it(answers: Answering, issuer: Issuer) -> None:
    request = pb.AcknowledgeAlertRequest(name=NAME, operator="a\0b")
    refusal = await refusal_of(answers.stub.AcknowledgeAlert(request, metadata=bearer(issuer, "dispatcher")))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ["operator"])
    nested = pb.ListAlertsRequest(area="areas/a\0")
    assert sorted((await refusal_of(answers.stub.ListAlerts(nested, metadata=bearer(issuer)))).fields) == ["area", "area"]


async def test_an_rpc_without_a_rule_may_be_called_by_nobody(issuer: Issuer, tmp_path: Path) -> None:
    methods = read_methods(SERVICE)
    del methods[f"/{SERVICE.full_name}/GetAlert"]
    async with answering(issuer, tmp_path, methods) as answers:
        refusal = await refusal_of(answers.stub.GetAlert(pb.GetAlertRequest(name=NAME), metadata=bearer(issuer, "admin")))
        assert refusal.code is StatusCode.UNIMPLEMENTED
        assert answers.servicer.calls == 0


async def test_an_emergency_is_refused_for_nothing_that_can_be_read(answers: Answering) -> None:
    request = pb.RaiseAlertRequest(request_id="no uuid", note="x" * 5000)
    response = await answers.stub.RaiseAlert(request, metadata=[("authorization", "Bearer nonsense")])
    assert response.alert_token == "t"


def raising(error: Callable[[], Exception]) -> Callable[[], Coroutine[Any, Any, None]]:
    async def behave() -> None:
        raise error()

    return behave


async def break_a_statement() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(text("SELECT :address FROM nowhere"), {"address": SECRET})


@pytest.mark.parametrize("behave", [raising(lambda: ValueError(SECRET)), break_a_statement, raising(lambda: KeyError(SECRET))])
async def test_the_text_of_an_exception_reaches_neither_caller_nor_log(
    answers: Answering, issuer: Issuer, caplog: pytest.LogCaptureFixture, behave: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    answers.servicer.behave = behave
    for call in (
        answers.stub.GetAlert(pb.GetAlertRequest(name=NAME)),
        answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher")),
        answers.stub.RaiseAlert(pb.RaiseAlertRequest()),
    ):
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason, refusal.text) == (StatusCode.INTERNAL, "INTERNAL_ERROR", "Something went wrong on our side.")
        assert SECRET not in repr(await call.trailing_metadata())
        [record] = [record for record in caplog.records if refusal.metadata["errorId"] in record.getMessage()]
        assert record.levelno == logging.ERROR
        assert SECRET not in caplog.text
        assert "behave (" in record.getMessage() or "break_a_statement (" in record.getMessage(), "the log says where it came from"


async def test_a_documented_error_arrives_with_all_it_says(answers: Answering) -> None:
    answers.servicer.behave = raising(lambda: Overloaded(retry_seconds=1.5, room="of the east"))
    call = answers.stub.GetAlert(pb.GetAlertRequest(name=NAME))
    refusal = await refusal_of(call)
    assert refusal == (StatusCode.RESOURCE_EXHAUSTED, Overloaded.text, "OVERLOADED", "siaga", {"room": "of the east"}, [], 1.5)
    assert dict(await call.trailing_metadata() or ())["retry-after"] == "2"
    answers.servicer.behave = raising(lambda: InvalidPageToken(fields=[("pageToken", "is another list's")]))
    refusal = await refusal_of(answers.stub.GetAlert(pb.GetAlertRequest(name=NAME)))
    assert refusal == (StatusCode.INVALID_ARGUMENT, InvalidPageToken.text, "INVALID_PAGE_TOKEN", "siaga", {}, ["pageToken"], 0)


async def test_only_an_emergencys_errors_say_whom_to_dial(answers: Answering) -> None:
    answers.servicer.behave = raising(Overloaded)
    assert (await refusal_of(answers.stub.RaiseAlert(pb.RaiseAlertRequest()))).metadata == {"dial": DIAL}
    assert (await refusal_of(answers.stub.GetAlert(pb.GetAlertRequest(name=NAME)))).metadata == {}
    answers.servicer.behave = raising(ValueError)
    assert (await refusal_of(answers.stub.RaiseAlert(pb.RaiseAlertRequest()))).metadata["dial"] == DIAL


async def test_what_cannot_be_read_is_refused_and_its_decoder_keeps_quiet(answers: Answering) -> None:
    path = f"/{SERVICE.full_name}"
    raise_alert = answers.channel.unary_unary(f"{path}/RaiseAlert")
    get_alert = answers.channel.unary_unary(f"{path}/GetAlert")
    watch_alert = answers.channel.unary_stream(f"{path}/WatchAlert")
    for data in (b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xc3\x28"):
        refusal = await refusal_of(raise_alert(data))
        assert (refusal.code, refusal.reason, refusal.metadata) == (StatusCode.INVALID_ARGUMENT, "UNREADABLE_REQUEST", {"dial": DIAL})
        for call in (get_alert(data), watch_alert(data)):
            refusal = await refusal_of(call)
            assert (refusal.reason, refusal.text) == ("UNREADABLE_REQUEST", "The request cannot be read.")


async def test_a_request_over_64_kb_is_too_large_for_an_emergency_too(answers: Answering) -> None:
    refusal = await refusal_of(answers.stub.RaiseAlert(pb.RaiseAlertRequest(note="x" * 66_000)))
    assert (refusal.code, refusal.reason) == (StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert refusal.metadata == {"maxBytes": "65536", "dial": DIAL}
    await answers.stub.RaiseAlert(pb.RaiseAlertRequest(note="x" * 65_000))


def test_a_call_without_a_deadline_is_given_one(
    issuer: Issuer, tmp_path: Path, run_fast: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def call() -> None:
        loop = asyncio.get_running_loop()
        async with answering(issuer, tmp_path) as answers:
            answers.servicer.behave = asyncio.Event().wait
            began = loop.time()
            refusal = await refusal_of(answers.stub.GetAlert(pb.GetAlertRequest(name=NAME)))
            assert (refusal.code, refusal.reason) == (StatusCode.DEADLINE_EXCEEDED, "DEADLINE_PASSED")
            assert refusal.retry_seconds == 1
            assert loop.time() - began >= 5
            refusal = await refusal_of(answers.stub.RaiseAlert(pb.RaiseAlertRequest()))
            assert refusal.metadata == {"dial": DIAL}

    run_fast(call())


def test_a_caller_with_a_deadline_of_their_own_may_wait_longer(
    issuer: Issuer, tmp_path: Path, run_fast: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def call() -> None:
        async with answering(issuer, tmp_path) as answers:
            answers.servicer.behave = lambda: asyncio.sleep(8)
            assert (await answers.stub.GetAlert(pb.GetAlertRequest(name=NAME), timeout=60)).name == NAME

    run_fast(call())


async def test_a_message_that_was_serialized_once_for_all_arrives(answers: Answering, issuer: Issuer) -> None:
    async def stream() -> AsyncIterator[pb.WatchAlertsResponse | bytes]:
        yield pb.WatchAlertsResponse(cursor="message")
        yield pb.WatchAlertsResponse(cursor="bytes").SerializeToString()

    answers.servicer.stream = stream
    call = answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer(issuer, "dispatcher"))
    assert [message.cursor async for message in call] == ["message", "bytes"]


async def test_health_and_reflection_need_no_rule_and_others_do_not_pass_for_them(answers: Answering) -> None:
    for path in ("/grpc.health.v1.Nothing/Check", "/siaga.alerts.v1.AlertService/grpc.", "/elsewhere.Service/Get"):
        refusal = await refusal_of(answers.channel.unary_unary(path)(b""))
        assert refusal.code is grpc.StatusCode.UNIMPLEMENTED
