"""Requests as no client would make them: any value in any field, then a few bytes changed."""

import random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

STRINGS = [
    "",
    "\0",
    "a\0b",
    " ",
    "😀" * 40,
    "x" * 5000,
    "\u202e\u0000\uffff",
    "'; DROP TABLE alerts; --",
    "../../etc/passwd",
    "%s%n{0}",
    "-1",
    "now",
    "A" * 22,
]
DOUBLES = [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, -0.0, 90.0, -180.0, 106.8, -6.2, 1e6]
INTEGERS = [0, 1, -1, 50, 1000, 1001, 2**31 - 1, -(2**31)]
LONG = [0, 1, -1, 2**63 - 1, -(2**63), 253402300799, 253402300800, -62135596801, 1_700_000_000]
BYTES = [b"", b"\0", b"{}", b"\xff" * 300, b'{"type":"FeatureCollection","features":[]}']
_MAX_DEPTH = 6


class Mutants:
    """Makes them of one RPC's request type. `real` are values that stand for something, by field name."""

    def __init__(self, request: type[Message], real: dict[str, list[Any]], seed: str) -> None:
        self._request, self._real, self._random = request, real, random.Random(seed)
        self._sound = False

    def make(self) -> bytes:
        # Some have nothing but what stands for something, and so come as far as the rules of the service.
        self._sound = self._random.random() < 0.3
        content = bytearray(self._message(self._request.DESCRIPTOR, self._request, 0).SerializeToString())
        if self._random.random() < 0.3:
            self._spoil(content)
        return bytes(content)

    def _spoil(self, content: bytearray) -> None:
        for _ in range(self._random.randint(1, 4)):
            at = self._random.randint(0, len(content))
            match self._random.randint(0, 4):
                case 0:
                    content[at:at] = self._random.randbytes(self._random.randint(1, 8))
                case 1:
                    del content[at : at + self._random.randint(1, 8)]
                case 2 if content:
                    content[at % len(content)] ^= 1 << self._random.randint(0, 7)
                case 3:
                    content += content[at : at + 40]
                case _:
                    # A field that nobody knows, and a group that nothing ends.
                    content += self._random.choice([b"\xfa\xff\x07\x01x", b"\x0b", b"\x0c", b"\xff" * 11])

    def _message(self, descriptor: Descriptor, kind: Any, depth: int) -> Message:
        message = kind()
        for field in descriptor.fields:
            known = self._real.get(field.name)
            unknown = 0.0 if self._sound and not field.message_type else 0.5
            if self._random.random() < (0.95 if known else unknown):
                self._fill(message, field, depth)
        return message

    def _fill(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        name = field.name
        if field.is_repeated:
            target = getattr(message, name)
            if field.message_type and field.message_type.GetOptions().map_entry:
                for _ in range(self._random.choice([0, 1, 2, 12])):
                    target[self._random.choice(STRINGS)] = self._random.choice(STRINGS)
                return
            for _ in range(self._random.choice([1] if self._sound else [0, 1, 1, 2, 101])):
                if field.message_type:
                    target.append(self._message(field.message_type, field.message_type._concrete_class, depth + 1))
                else:
                    target.append(self._pick(field))
        elif field.message_type:
            if depth < _MAX_DEPTH:
                getattr(message, name).CopyFrom(self._message(field.message_type, field.message_type._concrete_class, depth + 1))
        else:
            setattr(message, name, self._pick(field))

    def _pick(self, field: FieldDescriptor) -> Any:
        known = self._real.get(field.name)
        return self._random.choice(known) if known and (self._sound or self._random.random() < 0.9) else self._value(field)

    def _value(self, field: FieldDescriptor) -> Any:
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                return self._random.choice(BYTES if field.type == FieldDescriptor.TYPE_BYTES else STRINGS)
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return self._random.choice(DOUBLES)
            case FieldDescriptor.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                return self._random.choice([*range(8), 99, -1, 2**31 - 1])
            case FieldDescriptor.CPPTYPE_INT64 | FieldDescriptor.CPPTYPE_UINT64:
                return self._random.choice(LONG)
            case _:
                return self._random.choice(INTEGERS)
