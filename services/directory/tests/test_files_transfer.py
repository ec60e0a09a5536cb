"""Imports and exports, as a person at a keyboard has them."""

import asyncio
import json
import os
import pty
import signal
from pathlib import Path

import pytest

from chassis.testing import Issuer, free_port, python
from directory.settings import Settings
from directory.transfer import export_file, import_file
from siaga.directory.v1 import directory_admin_service_pb2 as admin_pb2
from siaga.directory.v1 import directory_service_pb2 as pb
from siaga.directory.v1.directory_service_pb2_grpc import DirectoryServiceStub

HEADER = "id,name,categories,area,latitude,longitude,numbers\n"
PLACES = f"{HEADER}1,RSUD A,hospital,31.71,-6.17,106.82,021 3503150\n2,Pos B,fire,31.71,,,113\n"


@pytest.fixture
def engine() -> str:
    return "sqlite"


class Person:
    """Whoever types the commands, with a token."""

    def __init__(self, settings: Settings, issuer: Issuer) -> None:
        self.server, self.token = settings.listen, issuer.sign("indra", "admin")

    async def start(
        self, *arguments: str | Path, output: int = asyncio.subprocess.PIPE, errors: int = asyncio.subprocess.PIPE
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *python("-m", "directory", *map(str, arguments), "--server", self.server),
            env=os.environ | {"SIAGA_TOKEN": self.token},
            stdout=output,
            stderr=errors,
        )

    async def type(self, *arguments: str | Path) -> tuple[int, list[str], str]:
        """The exit status, the lines of the output, and the error output."""
        process = await self.start(*arguments)
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode().splitlines(), errors.decode()


@pytest.fixture
def person(settings: Settings, issuer: Issuer, stub: DirectoryServiceStub) -> Person:  # noqa: ARG001  # it must run
    return Person(settings, issuer)


async def test_an_import_of_boundaries_needs_no_form_and_changes_nothing_the_second_time(
    person: Person, stub: DirectoryServiceStub, kelurahan: Path
) -> None:
    status, output, _ = await person.type("import", kelurahan, "--scope", "areas/31")
    assert (status, output[-1]) == (0, "added 0, changed 267, unchanged 0, removed 0, kept by hand 0")
    assert output[0].startswith("~ areas/31.01.01.1001 ")
    assert "boundary" in output[0]
    assert output[-2] == "… and 67 more"
    assert len(output) == 202
    _, output, errors = await person.type("import", kelurahan, "--scope", "areas/31")
    assert (output, errors) == (["added 0, changed 0, unchanged 267, removed 0, kept by hand 0"], "")
    snapshot = (await stub.GetSnapshot(pb.GetSnapshotRequest())).snapshot
    assert sum(record.area.has_boundary for record in snapshot.areas) == 267


async def test_a_dry_run_shows_everything_and_changes_nothing(person: Person, stub: DirectoryServiceStub, tmp_path: Path) -> None:
    file = tmp_path / "places.csv"
    file.write_text(HEADER + "".join(f"{number},Pos {number},fire,31.71,,,113\n" for number in range(250)))
    status, output, _ = await person.type("import", file, "--scope", "areas/31", "--dry-run")
    assert (status, len(output)) == (0, 251)
    assert output[0] == "+ facilities/csv-0 Pos 0"
    assert output[-1] == "dry run, nothing was changed: added 250, changed 0, unchanged 0, removed 0, kept by hand 0"
    assert (await stub.ListFacilities(pb.ListFacilitiesRequest())).total_size == 0


async def test_what_changes_is_shown_with_what_it_was(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "places.csv"
    file.write_text(PLACES)
    arguments = ("import", file, "--scope", "areas/31", "--source", "kota")
    _, output, _ = await person.type(*arguments)
    assert output == [
        *("+ facilities/kota-1 RSUD A", "+ facilities/kota-2 Pos B"),
        "added 2, changed 0, unchanged 0, removed 0, kept by hand 0",
    ]
    file.write_text(PLACES.replace("RSUD A", "RSUD C").replace("2,Pos B", "3,Pos B"))
    _, output, _ = await person.type(*arguments)
    assert output == [
        '~ facilities/kota-1 displayName "RSUD A" → "RSUD C"',
        *("- facilities/kota-2 Pos B", "+ facilities/kota-3 Pos B"),
        "added 1, changed 1, unchanged 0, removed 1, kept by hand 0",
    ]


@pytest.mark.parametrize("form", ["facilities-csv", "facilities-osm"])
async def test_an_export_is_an_import_that_changes_nothing(person: Person, tmp_path: Path, form: str) -> None:
    file, exported = tmp_path / "places.csv", tmp_path / "exported.json"
    file.write_text(PLACES)
    await person.type("import", file, "--scope", "areas/31")
    status, output, errors = await person.type("export", "--scope", "areas/31", "--format", form, "--output", exported)
    assert (status, output, errors) == (0, [], "")
    _, output, _ = await person.type("export", "--scope", "areas/31", "--format", form)
    assert output == exported.read_text().splitlines()
    _, output, _ = await person.type("import", exported, "--scope", "areas/31", "--format", form, "--source", "csv")
    assert output == ["added 0, changed 0, unchanged 2, removed 0, kept by hand 0"]
    assert not list(tmp_path.glob(".*.part"))


async def test_a_map_is_told_from_boundaries_by_its_first_feature(person: Person, tmp_path: Path) -> None:
    geometry = {"type": "Point", "coordinates": [106.8272, -6.1754]}
    feature = {"type": "Feature", "properties": {"@id": "node/1", "amenity": "police", "name": "Polsek"}, "geometry": geometry}
    file = tmp_path / "export.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    _, output, _ = await person.type("import", file, "--scope", "areas/31")
    assert output[0] == "+ facilities/osm-n1 Polsek"


async def test_a_refused_import_names_each_line(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "bad.geojson"
    bad = {"type": "Feature", "properties": {"code": "31.71.01.1001", "name": "Gambir", "parent": "31.71.01"}, "geometry": None}
    rows = ",\n".join([json.dumps(bad)] * 130)
    file.write_text(f'{{"type": "FeatureCollection", "features": [\n{rows}\n]}}')
    status, output, errors = await person.type("import", file, "--scope", "areas/31")
    assert (status, output) == (1, [])
    *named, more, refused = errors.splitlines()
    assert named[1] == f"{file}: line 3: 31.71.01.1001: has no geometry"
    assert more == f"… and {130 - len(named)} more"
    assert refused.startswith("nothing was imported: ")


async def test_whatever_goes_wrong_says_what_to_do_next(person: Person, issuer: Issuer, tmp_path: Path) -> None:
    file, admin = tmp_path / "some.geojson", person.token
    file.write_text("{}")

    async def ask(path: Path, token: str = admin, server: str = person.server, scope: str = "areas/31") -> str:
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(import_file, server, token, path, admin_pb2.ImportDirectoryRequest.Head(scope=scope))
        return str(ended.value.code)

    async def fetch(output: Path, scope: str) -> str:
        request = admin_pb2.ExportDirectoryRequest(scope=scope, format=admin_pb2.FACILITIES_CSV)
        with pytest.raises(SystemExit) as ended:
            await asyncio.to_thread(export_file, person.server, admin, request, output)
        return str(ended.value.code)

    assert "/dev/token" in await ask(file, "")
    assert await ask(tmp_path / "none.geojson") == f"{tmp_path}/none.geojson: No such file or directory"
    assert await ask(tmp_path) == f"{tmp_path}: Is a directory"
    absent = await ask(file, server=f"127.0.0.1:{free_port()}")
    assert "python -m directory" in absent
    assert "nothing was imported" in absent
    assert "not valid or has expired" in await ask(file, "nonsense")
    assert "not an administrator's" in await ask(file, issuer.sign("ayu", "citizen"))
    assert f"{file}: line 1: is not a FeatureCollection" in await ask(file)
    file = tmp_path / "some.csv"
    file.write_text(PLACES)
    assert (await ask(file, scope="areas/99")).startswith("nothing was imported: ")
    assert (await fetch(tmp_path / "out", "areas/99")).startswith("nothing was exported: ")
    assert {path.name for path in tmp_path.iterdir()}.isdisjoint({"out", ".out.part"})
    assert await fetch(tmp_path / "no" / "out", "areas/31") == f"{tmp_path}/no/out: No such file or directory"


async def test_an_import_that_is_stopped_leaves_nothing_half_done(person: Person, stub: DirectoryServiceStub, tmp_path: Path) -> None:
    file = tmp_path / "slow.csv"
    os.mkfifo(file)
    ours, theirs = pty.openpty()
    process = await person.start("import", file, "--scope", "areas/31", errors=theirs)
    os.close(theirs)
    with await asyncio.to_thread(file.open, "wb", 0) as slow:
        progress = asyncio.create_task(asyncio.to_thread(os.read, ours, 1000))
        while not progress.done():
            await asyncio.to_thread(slow.write, PLACES.encode() * 1000)
            await asyncio.sleep(0.2)
        assert b"\r\033[Kreceiving: " in progress.result()
        process.send_signal(signal.SIGINT)
        output, _ = await process.communicate()
        said = await asyncio.to_thread(os.read, ours, 1000)
    os.close(ours)
    assert (process.returncode, output) == (130, b"")
    assert said.strip().endswith(b"stopped: nothing was imported")
    assert b"Traceback" not in said
    assert (await stub.ListFacilities(pb.ListFacilitiesRequest())).total_size == 0


async def test_a_reader_of_an_export_who_has_seen_enough_ends_it_without_noise(person: Person) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await person.start("export", "--scope", "areas/31", "--format", "facilities-csv", output=writing)
    os.close(writing)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (1, b"")
