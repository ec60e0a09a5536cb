"""Traces, metrics and logs over OTLP. Only what is named here leaves the process: no argument, no exception text, no person."""

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags

from chassis.settings import Platform

_LAG_SECONDS = 1.0
# In seconds, as OpenTelemetry's conventions have them for calls: the SDK's own are made for milliseconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
# Of what an outage may keep back for minutes.
LONG_BUCKETS = (*BUCKETS, 30.0, 60.0, 300.0)
# Those that a server has to answer for, by the same conventions; the others are what its caller did or asked.
_SERVER_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
# Fixed here, because SDK and exporters record no such thing by themselves.
_tracer = trace.get_tracer("chassis")
_meter = metrics.get_meter("chassis")
_call_seconds = _meter.create_histogram(
    "rpc.server.call.duration", "s", "How long calls took, by method and status", explicit_bucket_boundaries_advisory=BUCKETS
)
_lag_seconds = _meter.create_histogram(
    "siaga.event_loop.lag", "s", "How late the event loop woke up", explicit_bucket_boundaries_advisory=LONG_BUCKETS
)
_log = logging.getLogger(__name__)


def start(service: str, platform: Platform) -> Callable[[], None]:
    """Sets the process up; returns what sends the rest and ends it."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    ends: list[Callable[[], object]] = []
    resource = Resource({SERVICE_NAME: service})
    tracer_provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(platform.trace_ratio)))
    trace.set_tracer_provider(tracer_provider)
    if platform.otlp_endpoint:
        tracer_provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(platform.otlp_endpoint, insecure=True), schedule_delay_millis=1000)
        )
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(platform.otlp_endpoint, insecure=True), export_interval_millis=10_000)
        meter_provider = MeterProvider([reader], resource)
        metrics.set_meter_provider(meter_provider)
        logger_provider = LoggerProvider(resource)
        logger_provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(platform.otlp_endpoint, insecure=True)))
        handlers.append(LoggingHandler(logging.INFO, logger_provider))
        ends = [tracer_provider.shutdown, meter_provider.shutdown, logger_provider.shutdown]
    for handler in handlers:
        handler.addFilter(_withhold_exception_text)
    logging.basicConfig(level=logging.INFO, handlers=handlers, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    for talkative in ("httpx", "alembic"):
        logging.getLogger(talkative).setLevel(logging.WARNING)

    # What Python itself would print of the last error has its text.
    sys.excepthook = lambda _, error, __: _log.critical("the process ends: %s", describe(error))

    def end() -> None:
        for each in ends:
            each()

    return end


def describe(error: BaseException) -> str:
    """What an error was and where it came from, without its text, which may quote what must not be in a log."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name} ({frame.filename.rpartition('/')[2]}:{frame.lineno})" for frame in reversed(frames))
    cause = f", from {describe(error.__cause__)}" if error.__cause__ else ""
    parts = f" of {' and '.join(map(describe, error.exceptions))}" if isinstance(error, BaseExceptionGroup) else ""
    return f"{type(error).__name__} in {places}{parts}{cause}"


def _withhold_exception_text(record: logging.LogRecord) -> bool:
    if record.exc_info and record.exc_info[1]:
        record.msg, record.args = f"{record.getMessage()}: {describe(record.exc_info[1])}", ()
        record.exc_info = None
    return True


class Ending:
    """How a call ends: well, unless somebody says otherwise."""

    __slots__ = ("code", "reason")

    def __init__(self) -> None:
        self.code, self.reason = "OK", ""

    def fail(self, code: str, reason: str) -> None:
        self.code, self.reason = code, reason


@contextmanager
def call_span(method: str, metadata: Mapping[str, str]) -> Generator[Ending, None, None]:
    """The span and the duration of one call; whoever finds out that it failed says so."""
    parent = _parse(metadata.get("traceparent", ""))
    name = method[1:]
    attributes = _describe_rpc(name)
    span = _tracer.start_span(name, parent and trace.set_span_in_context(parent), SpanKind.SERVER, attributes)
    token = otel_context.attach(trace.set_span_in_context(span))
    ending = Ending()
    began = time.perf_counter()
    try:
        yield ending
    except asyncio.CancelledError:
        ending.code = "CANCELLED"
        raise
    except GeneratorExit:
        # A stream whose reader hung up while it was being written to is closed from a context that is not its own.
        ending.code, token = "CANCELLED", None
        raise
    finally:
        attributes["rpc.response.status_code"] = ending.code
        if ending.code in _SERVER_ERRORS:
            attributes["error.type"] = ending.code
            span.set_status(StatusCode.ERROR)
        _call_seconds.record(time.perf_counter() - began, attributes)
        span.set_attributes(attributes)
        if ending.reason:
            span.set_attribute("siaga.reason", ending.reason)
        if token:
            otel_context.detach(token)
        span.end()


@contextmanager
def outgoing_span(method: str) -> Generator[tuple[tuple[str, str]], None, None]:
    """The span of a call to another service; yields the metadata that carries it there."""
    attributes = _describe_rpc(method)
    with _tracer.start_as_current_span(
        method, kind=SpanKind.CLIENT, attributes=attributes, record_exception=False, set_status_on_exception=False
    ):
        yield (("traceparent", traceparent()),)


def _describe_rpc(method: str) -> dict[str, str]:
    return {"rpc.system.name": "grpc", "rpc.method": method}


@contextmanager
def work_span(name: str) -> Generator[None, None, None]:
    """The first span of work that nobody called for: what it logs can be followed like what a call logs."""
    with _tracer.start_as_current_span(name, otel_context.Context(), record_exception=False, set_status_on_exception=False):
        yield


def traceparent() -> str:
    """Of the current span, in W3C's form; empty outside of any."""
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else ""


@contextmanager
def event_span(name: str, caused_by: str) -> Generator[str, None, None]:
    """A span that carries on from the write that logged an event, where that one was sampled; yields its own traceparent."""
    # Beside the sampling the flags may say that the id is random.
    if (parent := _parse(caused_by)) is None or not parent.get_span_context().trace_flags.sampled:
        yield ""
        return
    context = trace.set_span_in_context(parent)
    with _tracer.start_as_current_span(name, context, SpanKind.CONSUMER, record_exception=False, set_status_on_exception=False):
        yield traceparent()


async def measure_loop_lag() -> None:
    """Until cancelled. Anything that blocks the loop delays an SOS by as much."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LAG_SECONDS
        await asyncio.sleep(_LAG_SECONDS)
        _lag_seconds.record(max(0.0, loop.time() - due))


def _parse(value: str) -> NonRecordingSpan | None:
    parts = value.split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:  # noqa: PLR2004  # the four parts of W3C's form
        return None
    try:
        context = SpanContext(int(parts[1], 16), int(parts[2], 16), is_remote=True, trace_flags=TraceFlags(int(parts[3], 16)))
    except ValueError:
        return None
    return NonRecordingSpan(context) if context.is_valid else None
