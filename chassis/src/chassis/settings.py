"""What every process of one deployment is told alike, from its environment."""

import os
import secrets
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECRET_BYTES = 32


class Platform(BaseSettings):
    """Held as the field `platform` of each process's own settings."""

    model_config = SettingsConfigDict(env_prefix="SIAGA_", frozen=True, populate_by_name=True)

    # Where databases, keys and last good copies of what came from elsewhere lie.
    data: Path = Path(".data")
    # The issuer of tokens, their audience, and where the issuer's keys are published.
    issuer: str = "http://localhost:8080/dev"
    audience: str = "siaga"
    jwks_url: str = "http://127.0.0.1:9103/dev/jwks"
    # The number to dial when the platform cannot help.
    dial: str = "112"
    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:9105"), validation_alias="REDIS_URL")
    # Where traces, metrics and logs go over OTLP (gRPC), such as `http://127.0.0.1:4317`. Empty: nowhere.
    otlp_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    # The share of new traces that is kept, 0 to 1. A caller's own decision, in `traceparent`, goes before it.
    trace_ratio: float = Field(default=0.05, ge=0, le=1)


def read_secret(path: Path) -> bytes:
    """The 32 bytes in `path`, made at the first start; a deployment of several replicas gives each the same file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        # It is there with all its bytes or not at all, whoever else starts and whenever the power fails.
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    secret = path.read_bytes()
    if len(secret) != _SECRET_BYTES:
        message = f"{path} must hold {_SECRET_BYTES} random bytes, not {len(secret)}"
        raise SystemExit(message)
    return secret
