"""Planted secrets, and the search for them in every spelling that a careless writer would leave."""

import base64
import json
import secrets
import struct
import urllib.parse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Canary:
    """A secret that stands nowhere else. `core` is its part that no encoding of text would change."""

    name: str
    text: str
    core: str

    def spellings(self) -> dict[str, bytes]:
        raw, core = self.text.encode(), self.core.encode()
        return {
            "plain": core,
            "utf-16": self.core.encode("utf-16-le"),
            "hex": core.hex().encode(),
            "HEX": core.hex().upper().encode(),
            "url": urllib.parse.quote(self.text, safe="").encode(),
            "url-plus": urllib.parse.quote_plus(self.text).encode(),
            "json": json.dumps(self.text)[1:-1].encode(),
            **{f"base64-{shift}": each for shift, each in enumerate(base64_of(core))},
            "base64-url": base64.urlsafe_b64encode(raw).rstrip(b"="),
        }


def base64_of(content: bytes) -> Iterator[bytes]:
    """What base64 makes of it at each of the three places where it may begin, without the characters that it shares."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + content).rstrip(b"=")
        yield encoded[(0, 2, 3)[shift] : len(encoded) - 1]


def plant(name: str, shape: str = 'kenari {} "ö" & +') -> Canary:
    core = secrets.token_hex(8)
    return Canary(name, shape.format(core), core)


def plant_number(name: str) -> Canary:
    """A telephone number or anything else that is of digits alone."""
    core = str(secrets.randbelow(9 * 10**11) + 10**11)
    return Canary(name, f"+62{core}", core)


class Position(Canary):
    """A degree with digits enough to be found again; also as the eight bytes of a double."""

    @property
    def degrees(self) -> float:
        return float(self.text)

    def spellings(self) -> dict[str, bytes]:
        bits = [struct.pack(order + "d", self.degrees) for order in "<>"]
        return {"plain": self.core.encode(), "double": bits[0], "elbuod": bits[1], "hex": bits[0].hex().encode()}


def plant_position(name: str, whole: int) -> Position:
    digits = str(secrets.randbelow(9 * 10**8) + 10**8)
    return Position(name, f"{whole}.{digits}", digits)


def search(canaries: Iterable[Canary], places: dict[str, bytes]) -> list[str]:
    """Where each one was found, as `canary in place (spelling)`."""
    return [
        f"{canary.name} in {place} ({spelling})"
        for place, content in places.items()
        for canary in canaries
        for spelling, sought in canary.spellings().items()
        if sought in content
    ]


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
