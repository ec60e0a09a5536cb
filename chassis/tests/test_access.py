"""Who may call an RPC, as the contract's rules have it."""

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import ServiceDescriptor

from chassis.access import Method, authorize, read_methods
from chassis.errors import AccessDenied, InvalidToken
from chassis.identity import NOBODY, Caller
from siaga.access.v1 import access_pb2
from siaga.access.v1.access_pb2 import ADMIN, CITIZEN, DISPATCHER, Role, Rule


def make_service(**rules: Rule | None) -> ServiceDescriptor:
    """A service with an RPC for each of `rules`, in a pool of its own."""
    file = descriptor_pb2.FileDescriptorProto(name="tiny.proto", package="tiny", dependency=["siaga/access/v1/access.proto"])
    file.message_type.add(name="Nothing")
    service = file.service.add(name="Service")
    for name, rule in rules.items():
        method = service.method.add(
            name=name, input_type=".tiny.Nothing", output_type=".tiny.Nothing", server_streaming=name.startswith("Watch")
        )
        if rule:
            method.options.Extensions[access_pb2.rule].CopyFrom(rule)
    pool = descriptor_pool.Default()
    return pool.AddSerializedFile(file.SerializeToString()).services_by_name["Service"]


def test_methods_are_read_with_their_rules_and_one_without_a_rule_is_left_out() -> None:
    open_to_all = Rule(token=Rule.OPTIONAL)
    guarded = Rule(token=Rule.REQUIRED, roles=[DISPATCHER, ADMIN])
    service = make_service(Get=open_to_all, WatchThings=guarded, Forgotten=None)
    assert read_methods(service) == {
        "/tiny.Service/Get": Method("/tiny.Service/Get", open_to_all, frozenset(), server_streams=False, client_streams=False),
        "/tiny.Service/WatchThings": Method(
            "/tiny.Service/WatchThings", guarded, frozenset({DISPATCHER, ADMIN}), server_streams=True, client_streams=False
        ),
    }


ANNA = Caller("users/anna", frozenset({CITIZEN}))
OFFICE = Caller("users/budi", frozenset({CITIZEN, DISPATCHER}), "agencies/a")
EXPIRED = Caller("users/anna", problem="EXPIRED")


@pytest.mark.parametrize(
    ("token", "roles", "caller", "error"),
    [
        (Rule.OPTIONAL, [], NOBODY, None),
        (Rule.OPTIONAL, [], ANNA, None),
        (Rule.OPTIONAL, [DISPATCHER], NOBODY, AccessDenied),
        (Rule.REQUIRED, [], NOBODY, InvalidToken),
        (Rule.REQUIRED, [], ANNA, None),
        (Rule.REQUIRED, [DISPATCHER], NOBODY, InvalidToken),
        (Rule.REQUIRED, [DISPATCHER], ANNA, AccessDenied),
        (Rule.REQUIRED, [DISPATCHER], EXPIRED, AccessDenied),
        (Rule.REQUIRED, [DISPATCHER, ADMIN], OFFICE, None),
        (Rule.REQUIRED, [ADMIN], OFFICE, AccessDenied),
    ],
)
def test_a_caller_needs_what_the_rule_asks_for(
    token: "Rule.Token.ValueType", roles: "list[Role.ValueType]", caller: Caller, error: type[Exception] | None
) -> None:
    method = Method("/tiny.Service/Get", Rule(token=token), frozenset(roles), server_streams=False, client_streams=False)
    if error is None:
        authorize(method, caller)
    else:
        with pytest.raises(error):
            authorize(method, caller)
