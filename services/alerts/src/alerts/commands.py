"""The command beside serving and migrating: it has the running service count the alerts anew, and says how far it is."""

# ruff: noqa: T201  # A person at a keyboard reads it.

import argparse
import os
import sys
import time

import grpc

from alerts.settings import Settings
from chassis.clock import new_uuid
from siaga.alerts.v1.alert_service_pb2_grpc import AlertServiceStub
from siaga.alerts.v1.statistics_pb2 import RebuildAlertStatisticsRequest

_ASK_SECONDS = 1.0
_CALL_SECONDS = 10.0
_SIGN_IN = """\
an administrator's access token is needed: give it as --token or in SIAGA_TOKEN.
In development:  curl -d '{"person": "admin"}' http://localhost:8080/dev/token   and take its accessToken"""


def rebuild_statistics(settings: Settings, arguments: list[str]) -> None:
    """Ends the process with what to do next where it cannot be done."""
    parser = argparse.ArgumentParser(
        prog="python -m alerts rebuild-statistics", description="Counts all alerts anew, in the running service."
    )
    parser.add_argument("--server", default=settings.listen, help="where the service listens, by default %(default)s")
    parser.add_argument("--token", default=os.environ.get("SIAGA_TOKEN", ""), help="an administrator's, by default SIAGA_TOKEN")
    said = parser.parse_args(arguments)
    if not said.token:
        sys.exit(_SIGN_IN)
    # The same request each time: it is carried out once, and asked for how far it is.
    request = RebuildAlertStatisticsRequest(request_id=new_uuid())
    try:
        with grpc.insecure_channel(said.server) as channel:
            stub, metadata = AlertServiceStub(channel), (("authorization", f"Bearer {said.token}"),)
            while not (response := stub.RebuildAlertStatistics(request, metadata=metadata, timeout=_CALL_SECONDS)).complete:
                if response.HasField("counted_time"):
                    print(f"counted up to {response.counted_time.ToJsonString()}", file=sys.stderr)
                time.sleep(_ASK_SECONDS)
    except grpc.RpcError as error:
        sys.exit(_explain(error, said.server))
    except KeyboardInterrupt:
        sys.exit("\nthe service goes on with it by itself")
    print("the statistics are counted anew")


def _explain(error: grpc.RpcError, server: str) -> str:
    assert isinstance(error, grpc.Call)
    match error.code():
        case grpc.StatusCode.UNAUTHENTICATED:
            return f"the token is not valid or has expired; {_SIGN_IN}"
        case grpc.StatusCode.PERMISSION_DENIED:
            return f"the token is not an administrator's; {_SIGN_IN}"
        case grpc.StatusCode.UNAVAILABLE:
            return f"no alerts service answers at {server}: start it with `python -m alerts`, or say where it is with --server"
        case _:
            return f"the service answered {error.code().name}: {error.details()}"
