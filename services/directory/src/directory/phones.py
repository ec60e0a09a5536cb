"""Telephone numbers, as files write them and as devices dial them."""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

_DIALLED = re.compile(r"[0-9]{2,15}")
# Services of a country that cannot be reached from another one, such as 112.
_SHORT = 6


def read_number(text: str, country: str) -> str:
    """The number as it is dialled within the country (ISO 3166-1 alpha-2), digits alone. Raises ValueError."""
    digits = re.sub(r"[\s().\-/]", "", text)
    if _DIALLED.fullmatch(digits) and len(digits) <= _SHORT:
        return digits
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException:
        raise ValueError(text) from None
    if number.country_code != phonenumbers.country_code_for_region(country):
        message = f"{text}: of another country"
        raise ValueError(message)
    # Nobody can dial an extension from a button.
    number.extension = None
    dialled = re.sub(r"\D", "", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL))
    if not _DIALLED.fullmatch(dialled) or not phonenumbers.is_possible_number(number):
        raise ValueError(text)
    return dialled


@lru_cache(65536)
def write_uri(number: str, country: str, *, whatsapp: bool) -> str:
    """The `tel:` URI (RFC 3966) of a number as it is dialled within the country; for WhatsApp the link that opens a chat."""
    code = phonenumbers.country_code_for_region(country)
    try:
        parsed = phonenumbers.parse(number, country)
    except NumberParseException:
        return f"tel:{number};phone-context=+{code}"
    if whatsapp:
        return f"https://wa.me/{phonenumbers.format_number(parsed, PhoneNumberFormat.E164).removeprefix('+')}"
    if len(number) <= _SHORT or not phonenumbers.is_possible_number(parsed):
        return f"tel:{number};phone-context=+{code}"
    return phonenumbers.format_number(parsed, PhoneNumberFormat.RFC3966)
