"""What must be kept to be used, and is of no use to whoever has the database alone."""

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from alerts.model.tables import keys

_NONCE_BYTES = 12


def seal(content: bytes, place: str) -> bytes:
    """AES-256-GCM by a key of the service's secret file. `place` names the row and its column: elsewhere it cannot be opened."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + _cipher().encrypt(nonce, content, place.encode())


def unseal(sealed: bytes, place: str) -> bytes:
    """Raises ValueError where it was sealed for another place, or with another secret file, or was changed."""
    try:
        return _cipher().decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
    except InvalidTag:
        raise ValueError("not sealed for this place") from None


def _cipher() -> AESGCM:
    return AESGCM(keys.digest("sealing"))
