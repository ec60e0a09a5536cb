"""The contract as the gateway reads it: the RPCs with a rule, their HTTP bindings, and the comments of the .proto files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from google.api import annotations_pb2, http_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)
from google.protobuf.message import Message

# Options whose module is not loaded when the descriptors are read would be lost.
from buf.validate import validate_pb2  # noqa: F401  # pyright: ignore[reportUnusedImport]
from siaga.access.v1 import access_pb2
from siaga.errors.v1 import error_reason_pb2  # noqa: F401  # pyright: ignore[reportUnusedImport]

# The package types its extension as a plain field.
HTTP: Any = annotations_pb2.http
# Of a path: `{name=alerts/*}` or `{facility.name=facilities/*}`.
VARIABLE = re.compile(r"\{(?P<field>[\w.]+)=(?P<collection>\w+)/\*\}")


@dataclass(frozen=True)
class Binding:
    """One HTTP method and path template of an RPC; `body` is empty, `*`, or the field that is the body."""

    method: str
    path: str
    body: str


@dataclass(frozen=True)
class Rpc:
    """An RPC that somebody may call. `service` is the full name, such as `siaga.alerts.v1.AlertService`."""

    package: str
    service: str
    method: MethodDescriptorProto
    rule: access_pb2.Rule
    bindings: tuple[Binding, ...]
    comment: str

    @property
    def path(self) -> str:
        """Of the call over gRPC."""
        return f"/{self.service}/{self.method.name}"

    @property
    def upstream(self) -> str:
        """The deployable that serves it: the word after `siaga.`."""
        return self.package.split(".")[1]

    @property
    def streams(self) -> bool:
        """Whether either side sends more than one message, so that no deadline can be set for it."""
        return self.method.client_streaming or self.method.server_streaming


class Contract:
    """The descriptor set with its messages, enums and comments by full name (`.siaga.alerts.v1.Alert`)."""

    def __init__(self) -> None:
        """Read the descriptor set that ships with the generated code."""
        self.descriptors = FileDescriptorSet.FromString((files("siaga") / "contract.binpb").read_bytes())
        self.messages: dict[str, DescriptorProto] = {}
        self.enums: dict[str, EnumDescriptorProto] = {}
        self.comments: dict[str, str] = {}
        self.rpcs: list[Rpc] = []
        for file in self.descriptors.file:
            comments = {tuple(each.path): clean_comment(each.leading_comments) for each in file.source_code_info.location}
            for name, path, node in walk_parts(file, f".{file.package}", ()):
                self.comments[name] = comments.get(path, "")
                if isinstance(node, DescriptorProto):
                    self.messages[name] = node
                elif isinstance(node, EnumDescriptorProto):
                    self.enums[name] = node
            if file.package.startswith("siaga."):
                self.rpcs += find_rpcs(file, self.comments)

    def strip_comments(self) -> FileDescriptorSet:
        """Return the descriptor set without what only people read, half its size."""
        stripped = FileDescriptorSet(file=self.descriptors.file)
        for file in stripped.file:
            file.ClearField("source_code_info")
        return stripped


def walk_parts(node: Message, name: str, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...], Message]]:
    """Yield whatever a file gives a name, with its full name and with its path as source locations write it."""
    yield name, path, node
    for field, value in node.ListFields():
        if field.is_repeated and field.message_type and "name" in field.message_type.fields_by_name:
            for index, child in enumerate(value):
                yield from walk_parts(child, f"{name}.{child.name}", (*path, field.number, index))


def clean_comment(text: str) -> str:
    """Take away the space that follows the slashes on every line."""
    return "\n".join(line.removeprefix(" ") for line in text.splitlines()).strip()


def find_rpcs(file: FileDescriptorProto, comments: dict[str, str]) -> Iterator[Rpc]:
    for service in file.service:
        for method in service.method:
            # No rule means nobody, and therefore no route.
            if method.options.HasExtension(access_pb2.rule):
                yield Rpc(
                    package=file.package,
                    service=f"{file.package}.{service.name}",
                    method=method,
                    rule=method.options.Extensions[access_pb2.rule],
                    bindings=tuple(find_bindings(method)),
                    comment=comments.get(f".{file.package}.{service.name}.{method.name}", ""),
                )


def find_bindings(method: MethodDescriptorProto) -> Iterator[Binding]:
    if method.options.HasExtension(HTTP):
        first: http_pb2.HttpRule = method.options.Extensions[HTTP]
        for each in (first, *first.additional_bindings):
            verb = each.WhichOneof("pattern")
            if verb is not None and verb != "custom":
                yield Binding(verb.upper(), getattr(each, verb), each.body)
