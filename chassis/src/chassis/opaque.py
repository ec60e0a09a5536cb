"""Strings that a caller hands back unread, bound to the question for which they were given out.

They are no secret and prove no right: they hold a place in an order, and what stands there is checked anew.
"""

import base64
import hashlib

_CHECK_BYTES = 8


def wrap(question: str, place: str) -> str:
    content = place.encode()
    return base64.urlsafe_b64encode(_check(question, content) + content).decode().rstrip("=")


def unwrap(question: str, given: str) -> str | None:
    """The place, or None where `given` was not made for this question."""
    try:
        raw = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
        check, content = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
        return content.decode() if content and check == _check(question, content) else None
    except ValueError:
        return None


def _check(question: str, content: bytes) -> bytes:
    return hashlib.blake2b(question.encode() + b"\0" + content, digest_size=_CHECK_BYTES).digest()
