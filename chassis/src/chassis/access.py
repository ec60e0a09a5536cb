"""Who may call an RPC, from the rules in the contract."""

from dataclasses import dataclass

from google.protobuf.descriptor import ServiceDescriptor

from chassis.errors import AccessDenied, InvalidToken
from chassis.identity import Caller
from siaga.access.v1 import access_pb2


@dataclass(frozen=True, slots=True)
class Method:
    """An RPC as its descriptor has it. `path` is gRPC's, `/package.Service/Name`."""

    path: str
    rule: access_pb2.Rule
    roles: frozenset[access_pb2.Role.ValueType]
    server_streams: bool
    client_streams: bool


def read_methods(service: ServiceDescriptor) -> dict[str, Method]:
    """By path. An RPC without a rule is left out, and nobody may call it."""
    found: dict[str, Method] = {}
    for each in service.methods:
        options = each.GetOptions()
        if options.HasExtension(access_pb2.rule):
            rule = options.Extensions[access_pb2.rule]
            path = f"/{service.full_name}/{each.name}"
            found[path] = Method(path, rule, frozenset(rule.roles), each.server_streaming, each.client_streaming)
    return found


def authorize(method: Method, caller: Caller) -> None:
    """Raises InvalidToken or AccessDenied."""
    if method.rule.token == access_pb2.Rule.REQUIRED and not caller.user:
        raise InvalidToken
    if method.roles and method.roles.isdisjoint(caller.roles):
        raise AccessDenied
