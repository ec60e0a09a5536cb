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
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from chassis.settings import Platform

_LAG_SECONDS = 1.0
# Fixed here, because SDK and exporters record no such thing by themselves.
_tracer = trace.get_tracer("chassis")
_meter = metrics.get_meter("chassis")
_call_seconds = _meter.create_histogram("rpc.server.call.duration", "s", "How long calls took, by method and status")
_lag_seconds = _meter.create_histogram("siaga.event_loop.lag", "s", "How late the event loop woke up")
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


@contextmanager
def call_span(method: str, metadata: Mapping[str, str]) -> Generator[Span, None, None]:
    """The span and the duration of one call; whoever finds out sets `rpc.grpc.status_code` on it."""
    parent = _parse(metadata.get("traceparent", ""))
    service, _, name = method.lstrip("/").partition("/")
    attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}
    span = _tracer.start_span(method[1:], parent and trace.set_span_in_context(parent), SpanKind.SERVER, attributes)
    token = otel_context.attach(trace.set_span_in_context(span))
    began = time.perf_counter()
    try:
        yield span
    except GeneratorExit:
        # A stream whose reader hung up while it was being written to is closed from a context that is not its own.
        token = None
        raise
    finally:
        _call_seconds.record(time.perf_counter() - began, {"rpc.method": method})
        if token:
            otel_context.detach(token)
        span.end()


@contextmanager
def outgoing_span(method: str) -> Generator[tuple[tuple[str, str]], None, None]:
    """The span of a call to another service; yields the metadata that carries it there."""
    with _tracer.start_as_current_span(method, kind=SpanKind.CLIENT, record_exception=False, set_status_on_exception=False):
        yield (("traceparent", traceparent()),)


def mark_failed(span: Span, code: str, reason: str) -> None:
    span.set_attribute("rpc.grpc.status_code", code)
    span.set_attribute("siaga.reason", reason)
    span.set_status(StatusCode.ERROR)


def traceparent() -> str:
    """Of the current span, in W3C's form; empty outside of any."""
    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else ""


@contextmanager
def event_span(name: str, caused_by: str) -> Generator[str, None, None]:
    """A span that carries on from the write that logged an event, where that one was sampled; yields its own traceparent."""
    if not caused_by.endswith("-01") or (parent := _parse(caused_by)) is None:
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
