"""Traces tell who called whom, with the events on the way, and nothing of anybody."""

import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml
from opentelemetry.proto.trace.v1.trace_pb2 import Span as RawSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from chassis.testing import wait_until
from contract.over_json import write_call
from contract.rpcs import RPCS, Answer, Services, read_until_caught_up
from contract.streams import over_grpc
from harness import RunningPlatform
from security import matrix
from security.tokens import ROOM, Signer
from telemetry.receiver import Receiver, Span

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "who_calls_whom.yaml").read_text())
THROUGH: dict[str, dict[str, Any]] = TABLE["through_the_gateway"]
PAST: dict[str, dict[str, Any]] = TABLE["past_the_gateway"]
BY_THE_CALLER = {"alerts.TrackAlert", "alerts.CancelAlert", "alerts.RaiseAlert", "alerts.EraseAlert"}
# Envoy sends its spans every 5 s.
ARRIVE_SECONDS = 15
# Each span's label, and those below it.
TREE = list[tuple[str, Any]]


@dataclass
class Called:
    """A call that was made under a trace id of its own."""

    trace: bytes
    parent: bytes


class Calls:
    """Makes every call of the table once, while one watch of the agency is open."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.platform, self.services = platform, Services(platform)
        signer = Signer(platform)
        self.dispatcher = signer.sign("tracer", "dispatcher", agency=ROOM)
        self.admin = signer.sign("tracer-admin", "admin")
        self.others = {
            "supervisor": signer.sign("tracer-supervisor", "supervisor", agency=ROOM),
            "service": signer.sign("tracer-service", "service"),
            "fire brigade": signer.sign("tracer-fire", "dispatcher", agency="agencies/jakarta-fire"),
            "SMS gateway": signer.sign("tracer-sms", "adapter"),
        }
        self.made: dict[str, Called] = {}

    def make_all(self, have_arrived: Callable[[], bool]) -> None:
        with over_grpc(self.services)("alerts.WatchAlerts", {"cursor": "now"}, self.dispatcher, "") as stream:
            read_until_caught_up(stream)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: [None for _ in stream])
                for key in THROUGH:
                    self.make(key)
                for key in PAST:
                    self.make_past(key)
                # The last event has reached the watch when its span has.
                wait_until(have_arrived, ARRIVE_SECONDS, "every span")
                stream.cancel()

    def make(self, key: str) -> None:
        rpc, binding, table = RPCS[key], RPCS[key].bindings[0], THROUGH[key]
        raised = self.services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message
        words = self.write_words(key, raised.alert.name)
        for step in table.get("after", ()):
            self.services.call(f"alerts.{step}", matrix.fill(matrix.REQUESTS[f"alerts.{step}"], words), token=self.dispatcher).require_ok()
        call = write_call(binding, matrix.fill(matrix.REQUESTS[key], words))
        token = self.admin if rpc.administers else self.others.get(table.get("by"), self.dispatcher)
        headers = {"siaga-alert-token": raised.alert_token} if key in BY_THE_CALLER else {"authorization": f"Bearer {token}"}
        headers["traceparent"] = self.start_trace(key)
        with httpx.Client(base_url=self.platform.url, headers=headers, timeout=10) as client:
            if rpc.streams:
                with client.stream(call.method, call.path, params={"cursor": "now"}) as answer:
                    next(answer.iter_lines())
                return
            client.request(call.method, call.path, json=call.body, params=call.query or None)

    def write_words(self, key: str, alert: str = "") -> dict[str, str]:
        """What the placeholders of the access matrix's requests stand for, with a unit that is ready, and an incident to which
        the alert belongs where the request names one.
        """
        unit = {"unit": {"kind": "AMBULANCE", "displayName": "A unit"}}
        name = self.services.call("alerts.CreateUnit", unit, token=self.others["supervisor"]).message.name
        self.services.call("alerts.StartDuty", {"name": name}, token=self.dispatcher).require_ok()
        words = {"$alert": alert, "$unit": name, "$operator": "", "$time": "2026-01-01T00:00:00Z"}
        if "$incident" in str(matrix.REQUESTS[key]) or "$fellow" in str(matrix.REQUESTS[key]):
            words["$fellow"] = self.services.call("alerts.RaiseAlert", {"kind": "MEDICAL"}).message.alert.name
        if "$incident" in str(matrix.REQUESTS[key]):
            pair = {"alerts": [alert, words["$fellow"]]}
            words["$incident"] = self.services.call("alerts.MergeAlerts", pair, token=self.dispatcher).message.name
        return words

    def make_past(self, key: str) -> None:
        rpc = RPCS[key]
        request = rpc.parse(matrix.fill(matrix.REQUESTS[key], self.write_words(key)))
        if "sender" in request.DESCRIPTOR.fields_by_name:
            # From one that has an open alert it would be a message.
            request.sender = f"+62811{secrets.randbelow(10**8):08}"
        ask = rpc.call_on(self.services.channels[rpc.upstream], rpc.request.SerializeToString, rpc.response.FromString)
        token = self.others.get(PAST[key].get("by"), self.dispatcher if rpc.upstream == "alerts" else self.admin)
        metadata = [("authorization", f"Bearer {token}"), ("traceparent", self.start_trace(key))]
        # An error is what the table has of some.
        with suppress(grpc.RpcError):
            answer = ask(iter([request]) if rpc.descriptor.client_streaming else request, metadata=metadata)
            if rpc.watches:
                next(answer)
                answer.cancel()
            elif rpc.streams:
                list(answer)

    def start_trace(self, key: str) -> str:
        called = self.made[key] = Called(secrets.token_bytes(16), secrets.token_bytes(8))
        return f"00-{called.trace.hex()}-{called.parent.hex()}-01"


@pytest.fixture(scope="module")
def calls(traced: RunningPlatform, collector: Receiver) -> Iterator[Calls]:
    calls = Calls(traced)
    calls.make_all(lambda: all(count(collector, key, calls) >= len(flatten(expected(key))) for key in calls.made))
    yield calls
    calls.services.close()


def count(collector: Receiver, key: str, calls: Calls) -> int:
    return len(spans_of(collector, calls.made[key]))


def spans_of(collector: Receiver, called: Called) -> list[Span]:
    return [span for span in collector.spans() if span.trace == called.trace]


def expected(key: str) -> TREE:
    """The spans of a call as the table has it, each with those below it."""
    rpc = RPCS[key]
    table = (THROUGH | PAST)[key]
    events: TREE = [(f"{rpc.upstream}: tail {event}", [(f"{rpc.upstream}: watch {event}", [])]) for event in table.get("events", ())]
    events += [(f"{rpc.upstream}: tail {event}", []) for event in table.get("unwatched", ())]
    served: TREE = [(f"{rpc.upstream}: {rpc.path[1:]}", sorted(events))]
    return [(f"gateway: {rpc.path[1:]}", served)] if key in THROUGH else served


def flatten(tree: TREE) -> list[str]:
    return [label for name, below in tree for label in (name, *flatten(below))]


def grow(spans: list[Span], parent: bytes) -> TREE:
    return sorted((span.label, grow(spans, span.id)) for span in spans if span.parent == parent)


def test_every_rpc_is_in_the_table() -> None:
    assert {*THROUGH, *PAST} == set(RPCS)
    assert set(PAST) == {key for key, rpc in RPCS.items() if not rpc.bindings}


@pytest.mark.parametrize("key", [*THROUGH, *PAST])
def test_a_call_is_one_trace_from_the_gateway_to_the_last_watch(calls: Calls, collector: Receiver, key: str) -> None:
    called = calls.made[key]
    spans = spans_of(collector, called)
    assert grow(spans, called.parent) == expected(key)
    assert len(spans) == len(flatten(expected(key)))


@pytest.mark.parametrize("key", [*THROUGH, *PAST])
def test_a_span_says_how_its_call_ended(calls: Calls, collector: Receiver, key: str) -> None:
    rpc = RPCS[key]
    span = next(each for each in spans_of(collector, calls.made[key]) if each.label == f"{rpc.upstream}: {rpc.path[1:]}")
    said = Answer(span.attributes["rpc.response.status_code"], reason=span.attributes.get("siaga.reason", "")).said
    # Whoever watches ends it by hanging up.
    assert said == (THROUGH | PAST)[key].get("status", "CANCELLED" if rpc.watches else "OK")
    assert span.attributes["rpc.method"] == rpc.path[1:]
    # None of the table's calls ends with what a server would have to answer for.
    assert span.raw.status.code == Status.STATUS_CODE_UNSET
    assert span.kind == RawSpan.SPAN_KIND_SERVER


@pytest.mark.usefixtures("calls")
def test_alerts_asks_the_directory_for_its_snapshot(collector: Receiver) -> None:
    path = RPCS["directory.GetSnapshot"].path[1:]

    def is_told() -> bool:
        spans = collector.spans()
        asking = {span.id for span in spans if span.label == f"alerts: {path}" and span.kind == RawSpan.SPAN_KIND_CLIENT}
        return any(span.label == f"directory: {path}" and span.parent in asking for span in spans)

    wait_until(is_told, ARRIVE_SECONDS, "both spans of GetSnapshot")


@pytest.mark.parametrize("work", TABLE["by_itself"])
def test_what_nobody_called_for_is_a_trace_of_its_own(calls: Calls, collector: Receiver, work: str) -> None:
    event = f"alerts: tail {TABLE['by_itself'][work]}"
    fire = {"kind": "FIRE", "location": {"point": {"latitude": -6.2, "longitude": 106.8}}}

    def is_told() -> bool:
        spans = collector.spans()
        working = {span.id for span in spans if span.label == f"alerts: {work}" and not span.parent}
        return any(span.label == event and span.parent in working for span in spans)

    with over_grpc(calls.services)("alerts.WatchAlerts", {"cursor": "now"}, calls.dispatcher, "") as stream:
        read_until_caught_up(stream)
        for _ in range(2):
            calls.services.call("alerts.RaiseAlert", fire).require_ok()
        # Silence lasts ten seconds before it calls anybody.
        wait_until(is_told, ARRIVE_SECONDS + 10, event)


@pytest.mark.usefixtures("calls")
def test_a_span_holds_nothing_but_what_is_named(collector: Receiver) -> None:
    spans = collector.spans()
    assert {span.service for span in spans} == {"gateway", "alerts", "directory"}
    for span in spans:
        served = {RawSpan.SPAN_KIND_SERVER: "service", RawSpan.SPAN_KIND_CLIENT: "call"}.get(span.kind, "event")
        kind = "gateway" if span.service == "gateway" else served
        assert set(span.attributes) <= set(TABLE["attributes"][kind]), span
        # An event of a span, its status's text or a link could quote an exception.
        assert (list(span.raw.events), span.raw.status.message, list(span.raw.links)) == ([], "", []), span


@pytest.mark.usefixtures("calls")
def test_the_durations_of_calls_and_the_lag_of_the_loop_are_measured(collector: Receiver) -> None:
    wanted = {(service, name) for service in ("alerts", "directory") for name in ("rpc.server.call.duration", "siaga.event_loop.lag")}
    wait_until(lambda: wanted <= set(collector.metrics()), ARRIVE_SECONDS, "the metrics")
    for (service, name), points in collector.metrics().items():
        for attributes in points:
            assert set(attributes) <= set(TABLE["metrics"][name]), name
            if name == "rpc.server.call.duration":
                assert attributes["rpc.method"] in {rpc.path[1:] for rpc in RPCS.values() if rpc.upstream == service}
            else:
                # Words of ours, and nobody's name, number or place.
                assert all(re.fullmatch("[A-Za-z_]+", value) for value in attributes.values()), attributes


@pytest.mark.usefixtures("calls")
def test_log_records_say_where_they_come_from_and_nothing_more(collector: Receiver) -> None:
    wait_until(lambda: {"alerts", "directory"} <= {record.service for record in collector.records()}, ARRIVE_SECONDS, "log records")
    for record in collector.records():
        raw: Any = record.raw
        assert {each.key for each in raw.attributes} <= {"code.file.path", "code.function.name", "code.line.number"}
        assert "Traceback" not in record.text
