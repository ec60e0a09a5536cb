"""Who calls, and for whom they act."""

import hashlib

import grpc

from alerts.errors import OperatorRequired
from alerts.model.viewers import Viewer
from chassis.identity import Caller, caller
from chassis.interceptors import read_metadata
from siaga.access.v1 import access_pb2

_TOKEN_HEADER = "siaga-alert-token"  # noqa: S105  # a header's name
_ANSWERING = frozenset({access_pb2.DISPATCHER, access_pb2.SUPERVISOR, access_pb2.AGENCY})
_PERSONS = frozenset({access_pb2.RESPONDER, access_pb2.DISPATCHER, access_pb2.SUPERVISOR})


def find_viewer(context: grpc.aio.ServicerContext) -> Viewer:
    by = caller.get()
    token = read_metadata(context).get(_TOKEN_HEADER, "")
    return Viewer(
        user=by.user,
        agency="" if _ANSWERING.isdisjoint(by.roles) else by.agency,
        supervises=access_pb2.SUPERVISOR in by.roles,
        token_hash=hash_token(token) if token else b"",
        crew_of=by.agency if access_pb2.RESPONDER in by.roles else "",
        is_system=access_pb2.AGENCY in by.roles and _PERSONS.isdisjoint(by.roles),
    )


def is_staff(by: Caller) -> bool:
    """Whether they answer for an agency themselves, or go where it sends them."""
    return bool(by.agency) and not _PERSONS.isdisjoint(by.roles)


def find_operator(named: str) -> str:
    """Who acts for the agency: a person themselves, for a system the one it names. Raises OperatorRequired."""
    by = caller.get()
    if not _PERSONS.isdisjoint(by.roles):
        return by.user
    if not named:
        raise OperatorRequired(fields=[("operator", "is required of an agency's system")])
    return named


def hash_token(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
