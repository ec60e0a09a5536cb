"""What leaves the process: where a call came from and how it ended, and nothing of what it said."""

import asyncio
import secrets
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from answering import NAME, SERVICE, answering, bearer, refusal_of
from google.protobuf.message import Message
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from tiny_process import SECRET

from chassis import telemetry
from chassis.errors import Overloaded
from chassis.testing import AUDIENCE, ISSUER, Issuer, find_points, free_port, python, run_process
from siaga.alerts.v1 import alert_service_pb2 as pb
from siaga.alerts.v1 import alert_service_pb2_grpc

REQUEST = pb.GetAlertRequest(name=NAME)
OF_GET_ALERT = {"rpc.system.name": "grpc", "rpc.method": f"{SERVICE.full_name}/GetAlert"}
# By OpenTelemetry's conventions for gRPC, of what went wrong on a server's side and of what its caller did.
SERVER_ERRORS = {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Of what callers have asked to be traced, as in production with a ratio of none."""
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        provider = TracerProvider(sampler=ParentBased(ALWAYS_OFF))
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


def new_traceparent(*, sampled: bool = True) -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-{'01' if sampled else '00'}"


def of_trace(exporter: InMemorySpanExporter, traceparent: str) -> Sequence[ReadableSpan]:
    trace_id = int(traceparent.split("-")[1], 16)
    return [span for span in exporter.get_finished_spans() if span.context.trace_id == trace_id]


async def test_a_call_carries_its_callers_trace_on(issuer: Issuer, tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    traceparent = new_traceparent()
    inside: list[str] = []

    async def note() -> None:
        inside.append(telemetry.traceparent())

    async with answering(issuer, tmp_path) as answers:
        answers.servicer.behave = note
        await answers.stub.GetAlert(REQUEST, metadata=[("traceparent", traceparent)])
    [span] = of_trace(exporter, traceparent)
    assert (span.name, span.kind) == (f"{SERVICE.full_name}/GetAlert", SpanKind.SERVER)
    assert span.parent
    assert f"{span.parent.span_id:016x}" == traceparent.split("-")[2]
    assert inside == [f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01"]
    assert dict(span.attributes or {}) == OF_GET_ALERT | {"rpc.response.status_code": "OK"}
    assert span.status.status_code is StatusCode.UNSET


async def test_a_call_that_is_not_sampled_leaves_no_span(issuer: Issuer, tmp_path: Path, exporter: InMemorySpanExporter) -> None:
    traceparent = new_traceparent(sampled=False)
    async with answering(issuer, tmp_path) as answers:
        await answers.stub.GetAlert(REQUEST, metadata=[("traceparent", traceparent)])
    assert not of_trace(exporter, traceparent)


@pytest.mark.parametrize(
    ("error", "code", "reason"), [(ValueError(SECRET), "INTERNAL", "INTERNAL_ERROR"), (Overloaded(), "RESOURCE_EXHAUSTED", "OVERLOADED")]
)
@pytest.mark.parametrize("streams", [False, True])
async def test_a_failed_calls_span_says_how_and_not_what(  # three are what is given, three what differs
    issuer: Issuer,
    tmp_path: Path,
    exporter: InMemorySpanExporter,
    error: Exception,
    code: str,
    reason: str,
    streams: bool,  # noqa: FBT001
) -> None:
    async def fail() -> None:
        raise error

    traceparent = ("traceparent", new_traceparent())
    async with answering(issuer, tmp_path) as answers:
        answers.servicer.behave = fail
        if streams:
            await refusal_of(answers.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=[traceparent, *bearer(issuer, "dispatcher")]))
        else:
            await refusal_of(answers.stub.GetAlert(REQUEST, metadata=[traceparent]))
    [span] = of_trace(exporter, traceparent[1])
    of_method = {"rpc.system.name": "grpc", "rpc.method": span.name}
    failed = {"error.type": code} if code in SERVER_ERRORS else {}
    assert dict(span.attributes or {}) == of_method | failed | {"rpc.response.status_code": code, "siaga.reason": reason}
    assert span.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    assert span.status.description is None
    assert span.events == ()
    assert SECRET not in span.to_json()


@pytest.mark.parametrize("code", [each.name for each in grpc.StatusCode])
def test_a_call_is_an_error_where_the_server_has_to_answer_for_it(
    exporter: InMemorySpanExporter, metric_reader: InMemoryMetricReader, code: str
) -> None:
    traceparent = new_traceparent()
    method = f"tiny.Service/EndsWith{code}"
    with telemetry.call_span(f"/{method}", {"traceparent": traceparent}) as ending:
        ending.fail(code, "")
    [span], [point] = of_trace(exporter, traceparent), read_durations(metric_reader, method)
    assert (span.status.status_code is StatusCode.ERROR) == (code in SERVER_ERRORS)
    told = {"rpc.system.name": "grpc", "rpc.method": method, "rpc.response.status_code": code}
    assert dict(span.attributes or {}) == dict(point.attributes or {}) == told | ({"error.type": code} if code in SERVER_ERRORS else {})


@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_whose_caller_hung_up_was_cancelled(
    issuer: Issuer,
    tmp_path: Path,
    exporter: InMemorySpanExporter,
    streams: bool,  # noqa: FBT001
) -> None:
    traceparent, begun = new_traceparent(), asyncio.Event()

    async def wait_for_ever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with answering(issuer, tmp_path) as answers:
        answers.servicer.behave = wait_for_ever
        metadata = [("traceparent", traceparent), *bearer(issuer, "dispatcher")]
        stub = answers.stub
        call = stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=metadata) if streams else stub.GetAlert(REQUEST, metadata=metadata)
        await asyncio.wait_for(begun.wait(), 10)
        call.cancel()
        async with asyncio.timeout(10):
            while not (found := of_trace(exporter, traceparent)):
                await asyncio.sleep(0.01)
    [span] = found
    assert (span.attributes or {})["rpc.response.status_code"] == "CANCELLED"
    assert span.status.status_code is StatusCode.UNSET


async def test_a_stream_that_is_closed_while_it_is_written_to_was_cancelled(exporter: InMemorySpanExporter) -> None:
    traceparent = new_traceparent()

    async def stream() -> AsyncGenerator[int, None]:
        with telemetry.call_span("/tiny.Service/Watch", {"traceparent": traceparent}):
            yield 1

    steps = stream()
    await anext(steps)
    await steps.aclose()
    [span] = of_trace(exporter, traceparent)
    assert (span.attributes or {})["rpc.response.status_code"] == "CANCELLED"


def test_durations_of_calls_are_told_apart_from_milliseconds_to_ten_seconds(metric_reader: InMemoryMetricReader) -> None:
    with telemetry.call_span("/tiny.Service/Measured", {}):
        pass
    [point] = read_durations(metric_reader, "tiny.Service/Measured")
    assert tuple(point.explicit_bounds) == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert point.count == 1


def test_the_lag_of_the_loop_is_told_apart_from_milliseconds_to_minutes(
    metric_reader: InMemoryMetricReader, run_fast: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    async def measure_once() -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(telemetry.measure_loop_lag(), 1.5)

    run_fast(measure_once())
    [point] = find_points(metric_reader, "siaga.event_loop.lag")
    assert (point.explicit_bounds[0], point.explicit_bounds[-1]) == (0.005, 300)


def read_durations(reader: InMemoryMetricReader, method: str) -> list[HistogramDataPoint]:
    return [point for point in find_points(reader, "rpc.server.call.duration") if (point.attributes or {})["rpc.method"] == method]


def test_a_call_to_another_service_says_which(exporter: InMemorySpanExporter) -> None:
    traceparent = new_traceparent()
    with telemetry.call_span("/tiny.Service/Get", {"traceparent": traceparent}), telemetry.outgoing_span("other.Service/Get"):
        pass
    called = next(span for span in of_trace(exporter, traceparent) if span.kind is SpanKind.CLIENT)
    assert dict(called.attributes or {}) == {"rpc.system.name": "grpc", "rpc.method": "other.Service/Get"}


@pytest.mark.parametrize("garbled", ["", "x", "00-0-0-01", f"00-{'0' * 32}-{'0' * 16}-01", f"00-{'g' * 32}-{'1' * 16}-01", "-" * 50, "🚨"])
async def test_a_garbled_traceparent_is_none(exporter: InMemorySpanExporter, garbled: str) -> None:
    with telemetry.call_span("/tiny.Service/Get", {"traceparent": garbled}):
        assert not trace.get_current_span().is_recording()
    with telemetry.event_span("tail", garbled) as own:
        assert own == ""
    assert not exporter.get_finished_spans()


@pytest.mark.parametrize("flags", ["01", "03"])
async def test_an_events_span_goes_on_from_the_write_that_caused_it(exporter: InMemorySpanExporter, flags: str) -> None:
    # The second of the flags says that the trace's id is random.
    traceparent = new_traceparent()[:-2] + flags
    with pytest.raises(ValueError, match=SECRET), telemetry.event_span("tail AlertRaised", traceparent) as own:
        raise ValueError(SECRET)
    [span] = of_trace(exporter, traceparent)
    assert (span.name, span.kind, span.events) == ("tail AlertRaised", SpanKind.CONSUMER, ())
    assert own == f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-{flags}"
    assert SECRET not in span.to_json()


async def test_an_event_of_a_write_that_was_not_sampled_makes_no_span(exporter: InMemorySpanExporter) -> None:
    traceparent = new_traceparent(sampled=False)
    with telemetry.event_span("tail AlertRaised", traceparent) as own:
        assert own == ""
    assert not of_trace(exporter, traceparent)


def fail_with_secrets() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(SECRET) from error


def test_an_error_is_described_by_type_and_place() -> None:
    with pytest.raises(ValueError, match=SECRET) as raised:
        fail_with_secrets()
    description = telemetry.describe(raised.value)
    assert description.startswith("ValueError in fail_with_secrets (test_telemetry.py:")
    assert ", from KeyError in fail_with_secrets (test_telemetry.py:" in description
    assert SECRET not in description


class Collector(
    trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer, logs_service_pb2_grpc.LogsServiceServicer
):
    """What an OpenTelemetry collector receives: all three kinds, told apart by their type."""

    def __init__(self) -> None:
        self.received: list[Message] = []

    def Export(self, request: Message, context: grpc.ServicerContext) -> Any:
        self.received.append(request)
        answers = {
            trace_service_pb2.ExportTraceServiceRequest: trace_service_pb2.ExportTraceServiceResponse,
            metrics_service_pb2.ExportMetricsServiceRequest: metrics_service_pb2.ExportMetricsServiceResponse,
            logs_service_pb2.ExportLogsServiceRequest: logs_service_pb2.ExportLogsServiceResponse,
        }
        return answers[type(request)]()

    def text_of(self, kind: type[Message]) -> str:
        return "\n".join(str(request) for request in self.received if isinstance(request, kind))


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(ThreadPoolExecutor(4))
    collector = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield collector, f"http://127.0.0.1:{port}"
    server.stop(0).wait()


async def test_a_process_exports_traces_metrics_and_logs_without_a_word_of_an_exception(issuer: Issuer, tmp_path: Path) -> None:
    port = free_port()
    platform = {"SIAGA_DATA": str(tmp_path), "SIAGA_ISSUER": ISSUER, "SIAGA_AUDIENCE": AUDIENCE, "SIAGA_JWKS_URL": issuer.jwks_url}
    script = str(Path(__file__).with_name("tiny_process.py"))
    traceparent = new_traceparent()
    with collecting() as (collector, endpoint):
        environment = platform | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        with run_process(python(script, f"127.0.0.1:{port}", "serving"), environment, tmp_path / "log") as process:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(channel.channel_ready(), 20)
                stub = alert_service_pb2_grpc.AlertServiceStub(channel)
                refusal = await refusal_of(stub.GetAlert(REQUEST, metadata=[("traceparent", traceparent)]))
            process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(process.wait, 15) == 0
        spans = collector.text_of(trace_service_pb2.ExportTraceServiceRequest)
        metrics = collector.text_of(metrics_service_pb2.ExportMetricsServiceRequest)
        logs = collector.text_of(logs_service_pb2.ExportLogsServiceRequest)
    printed = (tmp_path / "log").read_text()
    assert f"{SERVICE.full_name}/GetAlert" in spans
    assert "rpc.server.call.duration" in metrics
    # The canary shows that the search below would find what is there.
    for log in (printed, logs):
        assert "canary of the log: KeyError in raise_with_a_secret" in log
        assert refusal.metadata["errorId"] in log
    for place in (printed, logs, spans, metrics, repr(refusal)):
        assert SECRET not in place


def test_a_process_that_fails_says_where_and_not_what(tmp_path: Path) -> None:
    script = (
        "from chassis import telemetry; from chassis.settings import Platform; telemetry.start('tiny', Platform());"
        f"raise ValueError('{SECRET}')"
    )
    with run_process(python("-c", script), {}, tmp_path / "log") as process:
        assert process.wait(20) == 1
    printed = (tmp_path / "log").read_text()
    assert "the process ends: ValueError in <module>" in printed
    assert SECRET not in printed


def test_levels_below_warning_of_talkative_libraries_are_left_out(tmp_path: Path) -> None:
    script = (
        "import logging; from chassis import telemetry; from chassis.settings import Platform; telemetry.start('tiny', Platform());"
        "logging.getLogger('httpx').info('a URL with a person in it'); logging.getLogger('ours').info('ours')"
    )
    with run_process(python("-c", script), {}, tmp_path / "log") as process:
        assert process.wait(20) == 0
    printed = (tmp_path / "log").read_text()
    assert "INFO ours: ours" in printed
    assert "a URL" not in printed
