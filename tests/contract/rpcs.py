"""Every RPC of the contract, found in the descriptors and callable by its key, such as `alerts.GetAlert`."""

import importlib
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from chassis.errors import STATUS_DETAILS
from gateway.contract import Binding, Contract, clean_comment, find_bindings
from harness import RunningPlatform
from siaga.access.v1 import access_pb2

SECONDS = 20
CONTRACT = Contract()
AN_ABSENT_UUID = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Rpc:
    """`rule` is None where the contract says nobody may call."""

    descriptor: MethodDescriptor
    comment: str
    bindings: tuple[Binding, ...]

    @property
    def service(self) -> ServiceDescriptor:
        return self.descriptor.containing_service

    @property
    def package(self) -> str:
        return self.service.file.package

    @property
    def upstream(self) -> str:
        return self.package.split(".")[1]

    @property
    def key(self) -> str:
        return f"{self.upstream}.{self.descriptor.name}"

    @property
    def path(self) -> str:
        return f"/{self.service.full_name}/{self.descriptor.name}"

    @cached_property
    def rule(self) -> access_pb2.Rule | None:
        options = self.descriptor.GetOptions()
        return options.Extensions[access_pb2.rule] if options.HasExtension(access_pb2.rule) else None

    @cached_property
    def request(self) -> type[Message]:
        return message_factory.GetMessageClass(self.descriptor.input_type)

    @cached_property
    def response(self) -> type[Message]:
        return message_factory.GetMessageClass(self.descriptor.output_type)

    @cached_property
    def documented(self) -> set[str]:
        """The reasons with which it may refuse: those of its own comment, and those that every RPC has."""
        shared = {value.name for value in CONTRACT.enums[".siaga.errors.v1.ErrorReason"].value}
        return shared | set(re.findall(r"`([A-Z_]+)`", self.comment.partition("Errors:")[2]))

    @property
    def streams(self) -> bool:
        return self.descriptor.server_streaming

    @property
    def watches(self) -> bool:
        """Whether it goes on until its reader leaves; what streams otherwise ends by itself."""
        return self.descriptor.name.startswith("Watch")

    @property
    def administers(self) -> bool:
        return self.rule is not None and list(self.rule.roles) == [access_pb2.ADMIN]

    def call_on(
        self, channel: grpc.Channel, write: Callable[[Any], bytes] | None = None, read: Callable[[bytes], Any] | None = None
    ) -> Any:
        """What calls it over a channel. It takes and gives bytes where nothing writes and reads them."""
        match self.descriptor.client_streaming, self.descriptor.server_streaming:
            case False, False:
                return channel.unary_unary(self.path, write, read)
            case False, True:
                return channel.unary_stream(self.path, write, read)
            case True, False:
                return channel.stream_unary(self.path, write, read)
            case _:
                return channel.stream_stream(self.path, write, read)

    def has(self, name: str) -> bool:
        return name in self.descriptor.input_type.fields_by_name

    def parse(self, content: Mapping[str, Any]) -> Message:
        """A request from its JSON."""
        return json_format.ParseDict(dict(content), self.request())


def _find() -> Iterator[Rpc]:
    pool = descriptor_pool.Default()
    for file in CONTRACT.descriptors.file:
        if file.package.startswith("siaga."):
            importlib.import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")
        comments = {tuple(each.path): clean_comment(each.leading_comments) for each in file.source_code_info.location}
        for i, service in enumerate(file.service):
            if file.package.startswith("siaga."):
                known = pool.FindServiceByName(f"{file.package}.{service.name}")
                for j, method in enumerate(service.method):
                    found = known.methods_by_name[method.name]
                    yield Rpc(found, comments.get((6, i, 2, j), ""), tuple(find_bindings(method)))


RPCS = {rpc.key: rpc for rpc in _find()}
SERVICES = sorted({rpc.upstream for rpc in RPCS.values()})


@dataclass
class Answer:
    """What a call was answered. `messages` are all that came, one for a unary call."""

    code: str = "OK"
    text: str = ""
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    fields: list[str] = field(default_factory=list[str])
    status: status_pb2.Status = field(default_factory=status_pb2.Status)
    messages: list[Any] = field(default_factory=list[Any])

    @property
    def message(self) -> Any:  # whatever the RPC answers with
        self.require_ok()
        return self.messages[0]

    def require_ok(self) -> None:
        """For a call whose answer does not matter as long as it is one."""
        assert self.code == "OK", self

    @property
    def said(self) -> str:
        """Status and reason in one, such as `NOT_FOUND ALERT_NOT_FOUND`."""
        return f"{self.code} {self.reason}".strip()


class Services:
    """Calls straight at the services of a platform, past the gateway."""

    def __init__(self, platform: RunningPlatform, addresses: Mapping[str, str] | None = None) -> None:
        options = [("grpc.max_receive_message_length", 256 * 1024 * 1024)]
        addresses = addresses or {name: f"127.0.0.1:{platform.ports[name]}" for name in SERVICES}
        self.channels = {name: grpc.insecure_channel(address, options) for name, address in addresses.items()}

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()

    def call(
        self,
        key: str,
        content: Mapping[str, Any] | Message | list[Message] | None = None,
        *,
        token: str = "",
        alert_token: str = "",
        authorization: str = "",
        seconds: float = SECONDS,
    ) -> Answer:
        """One call to its end; of a watch, what comes until it has caught up. A stream of requests is a list."""
        rpc = RPCS[key]
        request = content if isinstance(content, Message | list) else rpc.parse(content or {})
        try:
            if rpc.watches:
                with self.watch(key, request, token=token, alert_token=alert_token, authorization=authorization) as stream:
                    return Answer(messages=read_until_caught_up(stream))
            if rpc.descriptor.client_streaming:
                request = iter(request if isinstance(request, list) else [request])
            ask = rpc.call_on(self.channels[rpc.upstream], rpc.request.SerializeToString, rpc.response.FromString)
            answer = ask(request, metadata=write_metadata(token, alert_token, authorization), timeout=seconds)
            return Answer(messages=list(answer) if rpc.streams else [answer])
        except grpc.RpcError as error:
            return read_error(error)

    @contextmanager
    def watch(
        self, key: str, content: Mapping[str, Any] | Message, *, token: str = "", alert_token: str = "", authorization: str = ""
    ) -> Iterator[Any]:
        """A stream's messages, for as long as the `with`."""
        rpc = RPCS[key]
        request = content if isinstance(content, Message) else rpc.parse(content)
        follow = rpc.call_on(self.channels[rpc.upstream], rpc.request.SerializeToString, rpc.response.FromString)
        stream = follow(request, metadata=write_metadata(token, alert_token, authorization), timeout=SECONDS)
        try:
            yield stream
        finally:
            stream.cancel()


def write_metadata(token: str, alert_token: str, authorization: str = "") -> list[tuple[str, str]]:
    authorization = authorization or (f"Bearer {token}" if token else "")
    return [(name, value) for name, value in (("authorization", authorization), ("siaga-alert-token", alert_token)) if value]


def read_until_caught_up(stream: Any) -> list[Any]:  # grpc has no name for it
    found: list[Any] = []
    for message in stream:
        found.append(message)
        if message.WhichOneof("content") in {"snapshot_end", "heartbeat", "end"}:
            break
    return found


def read_error(error: grpc.RpcError) -> Answer:
    """An error with its details; those of an error that is not in the one shape are empty."""
    call: Any = error
    details = next((value for key, value in call.trailing_metadata() or () if key == STATUS_DETAILS), b"")
    return read_status(call.code().name, status_pb2.Status.FromString(details), call.details() or "")


def read_status(code: str, status: status_pb2.Status, text: str) -> Answer:
    answer = Answer(code, text, status=status)
    for each in status.details:
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if each.Unpack(info):
            answer.reason, answer.metadata = info.reason, dict(info.metadata)
        elif each.Unpack(request):
            answer.fields = [violation.field for violation in request.field_violations]
    return answer


def new_id() -> str:
    return str(uuid.uuid4())
