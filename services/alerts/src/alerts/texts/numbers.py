"""Telephone numbers as networks tell them, in the one form by which two of them are compared."""

import re
import unicodedata
from collections.abc import Iterator

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

# The library would take the letters of a sender's name for the digits of their keys.
_WRITTEN = re.compile(r"\+?[0-9 ().\-/]{3,40}")
_DIALLED = re.compile(r"\+?[0-9]{3,25}")
# Around the number of a URI (RFC 3966), which some SMS gateways tell instead.
_URI = re.compile(r"tel:|;.*", re.IGNORECASE | re.DOTALL)


def read_number(text: str, country: str) -> str:
    """The number in E.164, a national one as of the country (ISO 3166-1 alpha-2); empty where it is none that the world knows."""
    written = _strip(text)
    if not _WRITTEN.fullmatch(written):
        return ""
    for candidate in _list_candidates(re.sub(r"[^+0-9]", "", written), country):
        try:
            number = phonenumbers.parse(candidate, country)
        except NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return ""


def find_dialled(text: str, country: str) -> str:
    """What to dial to call back: in E.164, else as it came; empty where it cannot be dialled."""
    written = _strip(text)
    return read_number(written, country) or (written if _DIALLED.fullmatch(written) else "")


def _strip(text: str) -> str:
    """As it would be typed: telephones put marks around a number that nobody sees, and write its digits in other forms."""
    plain = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    return _URI.sub("", plain).strip()


def _list_candidates(digits: str, country: str) -> Iterator[str]:
    """An international number may come without its plus, or with two zeros for it."""
    code = str(phonenumbers.country_code_for_region(country))
    if digits.startswith("+"):
        yield digits
    elif digits.startswith("00"):
        yield f"+{digits[2:]}"
    elif digits.startswith(code):
        yield f"+{digits}"
        yield digits
    else:
        yield digits
        yield f"+{digits}"
