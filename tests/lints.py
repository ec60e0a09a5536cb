"""The two lints of the house, for `make check`: no commit or abort outside the chassis, no file over 400 lines."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_LINES = 400
_GENERATED = ("protos", "gen")
_CHASSIS = ("chassis", "src")
_ENDS_A_TRANSACTION_OR_CALL = frozenset({"commit", "abort"})


def find_faults(root: Path) -> list[str]:
    """What breaks a lint, as `path:line: what is wrong`; empty where all is well."""
    return [fault for path in find_sources(root) for fault in (*find_long_file(root, path), *find_endings(root, path))]


def find_sources(root: Path) -> Iterator[Path]:
    """Every Python file of ours: nothing hidden, nothing generated."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[:2] != _GENERATED and not any(part.startswith(".") for part in parts):
            yield path


def find_long_file(root: Path, path: Path) -> Iterator[str]:
    lines = len(path.read_text().splitlines())
    if lines > MAX_LINES:
        yield f"{path.relative_to(root)}:{MAX_LINES + 1}: {lines} lines, at most {MAX_LINES}: split it by resource"


def find_endings(root: Path, path: Path) -> Iterator[str]:
    """Calls of `.commit` and `.abort`: the chassis ends transactions and calls, so that nobody forgets what belongs to it."""
    parts = path.relative_to(root).parts
    if parts[:2] == _CHASSIS or "tests" in parts or path.name == "conftest.py":
        return
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _ENDS_A_TRANSACTION_OR_CALL:
            name = node.func.attr
            yield f"{path.relative_to(root)}:{node.lineno}: .{name}() belongs to the chassis: {_WHAT_TO_DO[name]}"


_WHAT_TO_DO = {"commit": "hand a function to Database.write", "abort": "raise a Problem"}


def main() -> None:
    faults = find_faults(Path(__file__).parents[1])
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
