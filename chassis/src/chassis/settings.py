"""What every process of one deployment is told alike, from its environment."""

import os
import re
import secrets
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError
from redis.asyncio.connection import parse_url
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

S = TypeVar("S", bound=BaseSettings)

_SECRET_BYTES = 32


def _check_database_url(url: SecretStr) -> SecretStr:
    try:
        known = make_url(url.get_secret_value()).drivername in {"sqlite", "postgresql+asyncpg"}
    except (ArgumentError, ValueError):
        known = False
    if not known:
        raise PydanticCustomError("database_url", "must be sqlite:///PATH or postgresql+asyncpg://USER:PASSWORD@HOST:PORT/NAME")
    return url


def _check_redis_url(url: SecretStr) -> SecretStr:
    try:
        parse_url(url.get_secret_value())
    except ValueError:
        raise PydanticCustomError("redis_url", "must be redis://HOST:PORT, rediss://… or unix://PATH") from None
    return url


def _check_address(address: str) -> str:
    if not re.fullmatch(r"(\[.+\]|[^:]+):[0-9]{1,5}", address):
        raise PydanticCustomError("address", "must be HOST:PORT")
    return address


DatabaseUrl = Annotated[SecretStr, AfterValidator(_check_database_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_check_redis_url)]
Address = Annotated[str, AfterValidator(_check_address)]


class Platform(BaseSettings):
    """Held as the field `platform` of each process's own settings."""

    model_config = SettingsConfigDict(env_prefix="SIAGA_", frozen=True, hide_input_in_errors=True, populate_by_name=True)

    # Where databases, keys and last good copies of what came from elsewhere lie.
    data: Path = Path(".data")
    # The issuer of tokens, their audience, and where the issuer's keys are published.
    issuer: str = "http://localhost:8080/dev"
    audience: str = "siaga"
    jwks_url: str = "http://127.0.0.1:9103/dev/jwks"
    # The number to dial when the platform cannot help.
    dial: str = "112"
    redis_url: RedisUrl = Field(default=SecretStr("redis://127.0.0.1:9105"), validation_alias="REDIS_URL")
    # Where traces, metrics and logs go over OTLP (gRPC), such as `http://127.0.0.1:4317`. Empty: nowhere.
    otlp_endpoint: str = Field(default="", validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    # The share of new traces that is kept, 0 to 1. A caller's own decision, in `traceparent`, goes before it.
    trace_ratio: float = Field(default=0.05, ge=0, le=1)


def read_settings(kind: type[S]) -> S:
    """From the environment; ends the process with the name of each variable that is wrong, and without its value."""
    try:
        return kind()
    except SettingsError as error:
        # What is not even JSON where JSON is wanted; the text names the field and no value.
        raise SystemExit(str(error)) from None
    except ValidationError as error:
        prefix = "SIAGA_" if error.title == Platform.__name__ else kind.model_config.get("env_prefix", "")
        # A default that is made of a wrong setting is not wrong by itself.
        wrong = [(str(each["loc"][0]), each["msg"]) for each in error.errors() if each["type"] != "default_factory_not_called"]
        raise SystemExit("\n".join(f"{name if name.isupper() else prefix + name.upper()}: {why}" for name, why in wrong)) from None


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
