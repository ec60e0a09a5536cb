"""An OTLP receiver: a small real collector that keeps all it is sent."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from chassis.testing import free_port


@dataclass(frozen=True)
class Span:
    """A span by `service: name`, with what belongs to it."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: dict[str, Any]
    kind: int
    raw: Any

    @property
    def label(self) -> str:
        return f"{self.service}: {self.name}"


@dataclass
class Record:
    service: str
    text: str
    raw: Any


@dataclass
class Receiver:
    """What came. `requests` are all messages as they were."""

    port: int = field(default_factory=free_port)
    requests: list[Message] = field(default_factory=list[Message])
    _server: Any = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(self), self._server)
        metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(self), self._server)
        logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(self), self._server)
        assert self._server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def spans(self) -> list[Span]:
        found: list[Span] = []
        for resource in self._resources(trace_service_pb2.ExportTraceServiceRequest, "resource_spans"):
            service = service_of(resource)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {each.key: read_value(each.value) for each in span.attributes}
                    found.append(Span(service, span.name, span.trace_id, span.span_id, span.parent_span_id, attributes, span.kind, span))
        return found

    def metrics(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        """The attributes of each point, by service and name."""
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for resource in self._resources(metrics_service_pb2.ExportMetricsServiceRequest, "resource_metrics"):
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = getattr(metric, metric.WhichOneof("data")).data_points
                    known = found.setdefault((service_of(resource), metric.name), [])
                    known += [{each.key: read_value(each.value) for each in point.attributes} for point in points]
        return found

    def values(self, name: str) -> list[tuple[dict[str, Any], float]]:
        """The attributes and the value of each point of a gauge or a counter, as they came."""
        return [
            ({each.key: read_value(each.value) for each in point.attributes}, point.as_int or point.as_double)
            for resource in self._resources(metrics_service_pb2.ExportMetricsServiceRequest, "resource_metrics")
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in getattr(metric, metric.WhichOneof("data")).data_points
        ]

    def records(self) -> list[Record]:
        return [
            Record(service_of(resource), record.body.string_value, record)
            for resource in self._resources(logs_service_pb2.ExportLogsServiceRequest, "resource_logs")
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def _resources(self, kind: type[Message], field_name: str) -> Iterator[Any]:
        for request in list(self.requests):
            if isinstance(request, kind):
                yield from getattr(request, field_name)


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:
        self._receiver.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:
        self._receiver.requests.append(request)
        return metrics_service_pb2.ExportMetricsServiceResponse()


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:
        self._receiver.requests.append(request)
        return logs_service_pb2.ExportLogsServiceResponse()


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.stop()


def service_of(resource: Any) -> str:
    return next((each.value.string_value for each in resource.resource.attributes if each.key == "service.name"), "")


def read_value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
