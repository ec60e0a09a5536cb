"""What reading a file gives: its entries, each with its line, and what is wrong with the others."""

import codecs
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from directory.model import Facility, Shape

_PIECE_BYTES = 256 * 1024
_MESSAGE_BYTES = 60_000

T = TypeVar("T")


class Fault(NamedTuple):
    """What is wrong, and the line of the file where the entry begins or the text ends to be what it should."""

    line: int
    text: str


class AreaRecord(NamedTuple):
    """An area of a file; `name` and `parent` are resource names, and the parent of a province is `areas/`."""

    line: int
    name: str
    display_name: str
    parent: str
    shape: Shape


class FacilityRecord(NamedTuple):
    """A facility of a file; its area is empty where the file names none."""

    line: int
    facility: Facility


class Reading(NamedTuple, Generic[T]):
    """All of a file."""

    records: list[T]
    faults: list[Fault]
    # Of a facility, the columns of the model that the file has, be they empty.
    carried: frozenset[str] = frozenset()
    # How much the file has beside entries of the directory.
    passed_over: int = 0


class Flaw(Exception):
    """Something in an entry is wrong; the text says what."""


class UnreadableFile(Exception):
    """Nothing can be read from a line on."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, text)


def walk_text(file: bytes | bytearray, report: Callable[[int], None]) -> Iterator[str]:
    """The text in pieces, so that a large file does not lie in memory twice; reports how many bytes were taken.

    Raises UnreadableFile.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    for start in range(0, len(file), _PIECE_BYTES):
        report(start)
        end = min(start + _PIECE_BYTES, len(file))
        try:
            yield decoder.decode(file[start:end], final=end == len(file))
        except UnicodeDecodeError as error:
            # What the decoder had kept of the piece before stands in front.
            place = end - len(error.object) + error.start
            raise UnreadableFile(1 + file.count(b"\n", 0, place), "is not UTF-8") from None
    report(len(file))


def join_lines(lines: Iterable[str]) -> Iterator[bytes]:
    """The bytes of a file in pieces that fit into a message of the contract."""
    waiting = bytearray()
    for line in lines:
        waiting += line.encode()
        while len(waiting) >= _MESSAGE_BYTES:
            yield bytes(waiting[:_MESSAGE_BYTES])
            del waiting[:_MESSAGE_BYTES]
    if waiting:
        yield bytes(waiting)
