"""Generates the Python code and the descriptor set of the contract: `python protos/generate.py [--check]`.

The third-party .proto files that the contract imports are taken as descriptors from the packages that own them, so
that none of them is copied here.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.api import annotations_pb2, httpbody_pb2
from google.protobuf import descriptor_pb2, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2
from google.protobuf.descriptor import FileDescriptor
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

PROTOS = Path(__file__).parent
GENERATED = PROTOS / "gen"
CONTRACT = Path("siaga") / "contract.binpb"
VALIDATE = "buf/validate/validate.proto"
# Not imported by the contract, but what the gateway needs to turn rich errors into JSON.
ERRORS = ("google/rpc/status.proto", "google/rpc/error_details.proto")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if the committed code is not current")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "gen"
        made.mkdir()
        generate(made)
        if check:
            sys.exit("protos/gen is not current: run `make protos`" if differs(made, GENERATED) else 0)
        shutil.rmtree(GENERATED, ignore_errors=True)
        shutil.copytree(made, GENERATED)


def generate(out: Path) -> None:
    third_party = out.parent / "third_party.binpb"
    third_party.write_bytes(third_party_descriptors().SerializeToString())
    own = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "siaga").rglob("*.proto"))
    services = [path for path in own if path.endswith("_service.proto")]
    run_protoc(third_party, [f"--python_out={out}", f"--mypy_out=quiet:{out}", *own, VALIDATE])
    run_protoc(third_party, [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services])
    (out / "siaga").mkdir(exist_ok=True)
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out / CONTRACT}"]
    run_protoc(third_party, [*options, *own, *ERRORS])
    (out / "siaga" / "py.typed").touch()


def run_protoc(third_party: Path, arguments: list[str]) -> None:
    bin_folder = Path(sys.executable).parent
    plugins = [f"--plugin=protoc-gen-{name}={bin_folder / f'protoc-gen-{name}'}" for name in ("mypy", "mypy_grpc")]
    if protoc.main(["protoc", f"-I{PROTOS}", f"--descriptor_set_in={third_party}", *plugins, *arguments]) != 0:
        sys.exit("protoc failed")


def third_party_descriptors() -> descriptor_pb2.FileDescriptorSet:
    found = descriptor_pb2.FileDescriptorSet()
    seen: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name not in seen:
            seen.add(file.name)
            for each in file.dependencies:
                add(each)
            file.CopyToProto(found.file.add())

    of_google_apis = (annotations_pb2, httpbody_pb2, code_pb2, status_pb2, error_details_pb2)
    for module in (*of_google_apis, empty_pb2, field_mask_pb2, struct_pb2, timestamp_pb2):
        add(module.DESCRIPTOR)
    # protovalidate carries its options for another protobuf runtime; the descriptor itself is the same.
    found.file.append(descriptor_pb2.FileDescriptorProto.FromString(validate_pb.desc().proto.to_binary()))
    return found


def differs(made: Path, committed: Path) -> bool:
    listing = ["git", "ls-files", "--others", "--cached", "--exclude-standard", "."]
    kept = subprocess.run(listing, cwd=committed, capture_output=True, check=True, text=True).stdout.split()  # noqa: S603
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    return names != set(kept) or any(not filecmp.cmp(made / name, committed / name, shallow=False) for name in names)


if __name__ == "__main__":
    main()
