"""An import is all or nothing, whenever its service dies."""

import sys
import time
from contextlib import suppress
from typing import Any

import grpc
import pytest

from chassis.testing import create_database
from harness import RunningPlatform, run_platform
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_admin_service_pb2_grpc import DirectoryAdminServiceStub
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

ROWS = 4000
KILLS = 4


def make_table(mark: str) -> bytes:
    rows = [f"{number},Uji {mark},HOSPITAL,{-6.1 - number / 40_000:.5f},106.82,119" for number in range(ROWS)]
    return "\n".join(["id,name,categories,latitude,longitude,numbers", *rows]).encode()


def send(platform: RunningPlatform, table: bytes) -> Any:
    """The answers of an import, one after the other."""
    head = admin_pb.ImportDirectoryRequest(head={"scope": "areas/31", "format": "FACILITIES_CSV", "file_bytes": len(table)})
    chunks = [admin_pb.ImportDirectoryRequest(chunk=table[start : start + 60_000]) for start in range(0, len(table), 60_000)]
    channel = grpc.insecure_channel(platform.address("directory"))
    metadata = [("authorization", f"Bearer {platform.token('admin')}")]
    return DirectoryAdminServiceStub(channel).ImportDirectory(iter([head, *chunks]), metadata=metadata, timeout=60)


def count_by_name(platform: RunningPlatform) -> dict[str, int]:
    """From the database, once the service has read it."""
    with grpc.insecure_channel(platform.address("directory")) as channel:
        stub = DirectoryServiceStub(channel)
        end = time.monotonic() + 20
        while stub.SearchNearby(pb.SearchNearbyRequest(point={"latitude": -6.17, "longitude": 106.82}, page_size=1)).stale:
            assert time.monotonic() < end
            time.sleep(0.05)
        found: dict[str, int] = {}
        request = pb.ListFacilitiesRequest(page_size=1000)
        while True:
            reply = stub.ListFacilities(request)
            for each in reply.facilities:
                found[each.display_name] = found.get(each.display_name, 0) + 1
            request.page_token = reply.next_page_token
            if not request.page_token:
                return found


def kill_while_importing(platform: RunningPlatform) -> None:
    began = time.monotonic()
    list(send(platform, make_table("0")))
    whole = time.monotonic() - began
    assert count_by_name(platform) == {"Uji 0": ROWS}
    interrupted = 0
    for turn in range(KILLS):
        had = count_by_name(platform)
        answers, began = send(platform, make_table(str(turn + 1))), time.monotonic()
        with suppress(grpc.RpcError):
            for _ in answers:
                if time.monotonic() - began > whole * turn / KILLS:
                    break
        platform.kill("directory")
        platform.start("directory")
        now = count_by_name(platform)
        assert now in (had, {f"Uji {turn + 1}": ROWS})
        interrupted += now == had
    assert interrupted


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_directory_that_is_killed_has_all_of_an_import_or_nothing(engine: str, request: pytest.FixtureRequest) -> None:
    settings = {}
    if engine == "postgres":
        settings["DIRECTORY_DATABASE_URL"] = create_database(request.getfixturevalue("durable_postgres_server"))
    with run_platform(settings) as platform:
        kill_while_importing(platform)


def test_an_import_in_two_transactions_is_found_out() -> None:
    with run_platform(directory=[sys.executable, "tests/recovery/import_in_pieces.py"]) as platform, pytest.raises(AssertionError):
        kill_while_importing(platform)
