"""Whether an SMS gateway has signed what it hands over: by the scheme of Standard Webhooks, and within the last 5 minutes."""

import base64
import binascii
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from standardwebhooks.webhooks import Webhook, WebhookVerificationError, hmac_data

from gateway.errors import InvalidSignature

PREFIX = "whsec_"
# What the scheme asks of a secret.
LEAST_BYTES = 24
log = logging.getLogger("gateway.adapters")


class Secret(Webhook):
    """Of bytes, whatever they are, as the scheme has it: the library alone knows those that are UTF-8."""

    def sign(self, msg_id: str, timestamp: datetime, data: str) -> str:
        signed = f"{msg_id}.{int(timestamp.timestamp())}.".encode() + data.encode(errors="surrogateescape")
        return f"v1,{base64.b64encode(hmac_data(self._whsecret, signed)).decode()}"


class Signatures:
    """The file holds a secret a line, `whsec_…`, and any one of them will do: a new one is added before the old one is removed.

    It is read for each message, so that nobody restarts anything for a new secret.
    """

    def __init__(self, path: Path) -> None:
        """Take the file's secrets. Ends the process where there are none."""
        self._path = path
        try:
            self._secrets = read_secrets(path)
        except (OSError, ValueError) as error:
            raise SystemExit(f"GATEWAY_SMS_SECRET_FILE: {describe(path, error)}") from None

    def verify(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Raise InvalidSignature."""
        try:
            self._secrets = read_secrets(self._path)
        except (OSError, ValueError) as error:
            log.warning("%s: the secrets that are known stay in use", describe(self._path, error))
        if not any(has_signed(secret, body, headers) for secret in self._secrets):
            raise InvalidSignature


def read_secrets(path: Path) -> list[Secret]:
    """Read them. Raises OSError, and ValueError where one is none or there is none."""
    secrets = [Secret(secret) for secret in decode_secrets(path.read_text())]
    if not secrets:
        raise ValueError("it holds no secret")
    return secrets


def decode_secrets(text: str) -> Iterator[bytes]:
    for number, line in enumerate(text.splitlines(), 1):
        if secret := line.strip():
            try:
                decoded = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
            except binascii.Error:
                decoded = b""
            if len(decoded) < LEAST_BYTES:
                raise ValueError(f"line {number} is not {PREFIX} and {LEAST_BYTES} random bytes or more in base64")
            yield decoded


def has_signed(secret: Secret, body: bytes, headers: Mapping[str, str]) -> bool:
    try:
        secret.verify(body.decode(errors="surrogateescape"), dict(headers), json_parse=False)
    # The second is what a malformed header ends in.
    except (WebhookVerificationError, ValueError):
        return False
    return True


def describe(path: Path, error: OSError | ValueError) -> str:
    return f"{path} cannot be used: {error.strerror if isinstance(error, OSError) else error}"
