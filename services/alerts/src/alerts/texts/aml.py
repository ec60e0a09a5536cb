"""Advanced Mobile Location, by which a handset tells where it is when it calls an emergency number (ETSI TS 103 625)."""

import base64
import binascii
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import parse_qsl

from alerts.texts.fixes import Fix, make_fix, read_accuracy, read_degrees
from alerts.texts.words import decode

_HEADER = 'A"ML'
# Of the form for HTTPS, in which every field is optional; no other text has such names.
_KEYS = re.compile(r"emergency_number|thunderbird_version|(?:location|device|cell)_\w+")
_FIELDS = 100
# In front of a data message: six octets that name its port, and their number.
_PORT_HEADER = b"\x06\x05\x04"
_PORT_OCTETS = 7
_OCTETS = 1120
_TIME = re.compile(r"[0-9]{14}")
_SECONDS = re.compile(r"-?[0-9]{1,11}")
_MILLISECONDS = re.compile(r"[0-9]{1,14}")


class Reading(NamedTuple):
    """`fix` is None where the handset had no position, `number` empty where the message does not say whose it is.

    `told_length` is the length of the message as it says itself, None where it does not; `length` is what it is.
    """

    fix: Fix | None
    number: str = ""
    told_length: int | None = None
    length: int = 0


def read_text_message(text: str) -> Reading | None:
    """None where it is no AML message in the form for text messages."""
    text = text.strip()
    if not text.startswith(f"{_HEADER}="):
        return None
    fields = _split(text)
    told = fields.get("ml", "")
    told_length = int(told) if re.fullmatch(r"[0-9]{1,4}", told) else None
    return Reading(_read_second_version(fields) if "lo" in fields else _read_first_version(fields), "", told_length, len(text))


def read_message(content: bytes) -> Reading | None:
    """As read_text_message, in any of the forms."""
    text = decode(content)
    return read_text_message(text) or read_text_message(_unpack(content, text)) or _read_form(text)


def _split(text: str) -> Mapping[str, str]:
    """Of an attribute that stands there twice, the first counts."""
    fields: dict[str, str] = {}
    for each in text.split(";", _FIELDS):
        name, _, value = each.partition("=")
        fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _read_first_version(fields: Mapping[str, str]) -> Fix | None:
    if fields.get("pm", "").upper() == "N":
        return None
    time = _read_time(fields.get("top", ""))
    return make_fix(read_degrees(fields.get("lt", "")), read_degrees(fields.get("lg", "")), read_accuracy(fields.get("rd", "")), time)


def _read_second_version(fields: Mapping[str, str]) -> Fix | None:
    """Where the place is one attribute, and its time counts from the call's."""
    latitude, longitude, accuracy, *_ = (*fields["lo"].split(",", 3), "", "", "")
    time = None
    called, later = fields.get("et", ""), fields.get("lt", "0")
    if _SECONDS.fullmatch(called) and _SECONDS.fullmatch(later):
        time = _add_seconds(int(called) + int(later))
    return make_fix(read_degrees(latitude), read_degrees(longitude), read_accuracy(accuracy), time)


def _read_form(text: str) -> Reading | None:
    """The form for HTTPS: form-encoded, times in milliseconds."""
    fields = dict(parse_qsl("&".join(text.strip().split("&", _FIELDS)[:_FIELDS])))
    if not any(map(_KEYS.fullmatch, fields)):
        return None
    told = fields.get("location_time", "")
    time = _add_seconds(int(told) / 1000) if _MILLISECONDS.fullmatch(told) else None
    place = read_degrees(fields.get("location_latitude", "")), read_degrees(fields.get("location_longitude", ""))
    return Reading(make_fix(*place, read_accuracy(fields.get("location_accuracy", "")), time), fields.get("device_number", ""))


def _unpack(content: bytes, text: str) -> str:
    """A data message's text: seven bits to a character (3GPP TS 23.038), as octets, hexadecimal digits or base64."""
    octets = content[:_OCTETS]
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text.strip()):
        octets = bytes.fromhex(text.strip())[:_OCTETS]
    elif re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", text.strip()):
        try:
            octets = base64.b64decode(text.strip(), validate=True)[:_OCTETS]
        except binascii.Error:
            return ""
    if octets.startswith(_PORT_HEADER):
        octets = octets[_PORT_OCTETS:]
    bits = int.from_bytes(octets, "little")
    # The standards' characters of these messages have the codes of ASCII. What fills the last octet is none of them.
    unpacked = "".join(chr(bits >> 7 * place & 0x7F) for place in range(len(octets) * 8 // 7)).rstrip("\0")
    return unpacked if unpacked.startswith(_HEADER) else octets.decode("ascii", "replace")


def _read_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=UTC) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _add_seconds(seconds: float) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds) if math.isfinite(seconds) else None
    except OverflowError:
        return None
