"""Walks the features of a GeoJSON FeatureCollection (RFC 7946), one after the other, each with the line where it begins."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from directory.files.reading import Flaw, UnreadableFile, join_lines

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_LONGEST_WORD = len("-Infinity")


def walk_features(pieces: Iterator[str]) -> Iterator[tuple[int, Any]]:
    """Each member of `features`, whatever it is. Raises UnreadableFile where the text ends to be a FeatureCollection."""
    scanner, kind, count = _Scanner(pieces), None, 0
    for _ in scanner.walk("{}"):
        key = scanner.take_value()
        scanner.take_mark(":")
        if key == "features":
            for line in scanner.walk("[]"):
                count += 1
                yield line, scanner.take_value()
        else:
            value = scanner.take_value()
            kind = value if key == "type" else kind
    scanner.take_end()
    if kind != "FeatureCollection":
        scanner.refuse("its type is another")
    if not count:
        # Taken for an import, it would remove everything in the scope.
        scanner.refuse("it has no features")


def take_object(content: Any, flaw: str) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """Raises Flaw where it is none."""
    if not isinstance(content, dict):
        raise Flaw(flaw)
    return content


def write_features(features: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A FeatureCollection with each feature in a line of its own."""

    def write_lines() -> Iterator[str]:
        yield '{"type": "FeatureCollection", "features": ['
        mark = "\n"
        for feature in features:
            yield f"{mark}{json.dumps(feature, ensure_ascii=False)}"
            mark = ",\n"
        yield "\n]}\n"

    return join_lines(write_lines())


class _Scanner:
    """A place in a JSON text, of which no more is held than the value that is read next."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces, self._text, self._place = pieces, "", 0
        # The line at the place up to which ends of lines were counted.
        self._line, self._counted = 1, 0

    def walk(self, marks: str) -> Iterator[int]:
        """The line of each entry of a list (`[]`) or an object (`{}`); its reader takes the entry before it asks for the next."""
        opening, closing = marks
        self.take_mark(opening)
        self._skip_space()
        if self._text.startswith(closing, self._place):
            self.take_mark(closing)
            return
        while True:
            self._skip_space()
            yield self._count_lines(self._place)
            if self.take_mark(f",{closing}") == closing:
                return

    def take_mark(self, marks: str) -> str:
        """The next character, which is one of `marks`."""
        self._skip_space()
        mark = self._text[self._place : self._place + 1]
        if not mark or mark not in marks:
            self.refuse(f"Expecting {' or '.join(marks)}")
        self._place += 1
        return mark

    def take_value(self) -> Any:  # noqa: ANN401  # JSON
        self._skip_space()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                # Only at the end of what is held, or in text that began before it, more of the file can put it right.
                cut = error.pos > len(self._text) - _LONGEST_WORD or error.msg.startswith("Unterminated string")
                if not cut or not self._take_more():
                    self._place = error.pos
                    self.refuse(error.msg)
            except (ValueError, RecursionError):
                self.refuse("a number is too long, or lists are too deep")
            else:
                # A number that ends with the text may go on in the next piece.
                if end < len(self._text) or not self._take_more():
                    self._place = end
                    return value

    def take_end(self) -> None:
        self._skip_space()
        if self._place < len(self._text):
            self.refuse("Extra data")

    def refuse(self, text: str) -> NoReturn:
        raise UnreadableFile(self._count_lines(self._place), f"is not a FeatureCollection in JSON: {text}")

    def _skip_space(self) -> None:
        while True:
            space = _SPACE.match(self._text, self._place)
            self._place = space.end() if space else self._place
            if self._place < len(self._text) or not self._take_more():
                return

    def _count_lines(self, place: int) -> int:
        self._line, self._counted = self._line + self._text.count("\n", self._counted, place), place
        return self._line

    def _take_more(self) -> bool:
        """Forget what was read, and hold twice as much of the rest; tell whether there was more."""
        self._count_lines(self._place)
        held = [self._text[self._place :]]
        wanted = size = len(held[0])
        for piece in self._pieces:
            held.append(piece)
            size += len(piece)
            if size >= 2 * wanted:
                break
        self._text, self._place, self._counted = "".join(held), 0, 0
        return len(held) > 1
