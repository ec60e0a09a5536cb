"""What alerts is told by its environment."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, Platform


def _in_data(name: str) -> Callable[[dict[str, Any]], Path]:
    return lambda settings: settings["platform"].data / name


def _default_url(settings: dict[str, Any]) -> SecretStr:
    return SecretStr(f"sqlite:///{settings['platform'].data / 'alerts.db'}")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ALERTS_", frozen=True, hide_input_in_errors=True)

    platform: Platform = Field(default_factory=Platform)
    listen: Address = "127.0.0.1:9101"
    # SQLAlchemy's: `sqlite:///path` or `postgresql+asyncpg://…`.
    database_url: DatabaseUrl = Field(default_factory=_default_url)
    # 32 random bytes, the same for every replica; made at the first start where there are none.
    secret_file: Path = Field(default_factory=_in_data("alerts.secret"))
    # The directory that SOS are routed by, and where its last snapshot is kept.
    directory: Address = "127.0.0.1:9102"
    snapshot_file: Path = Field(default_factory=_in_data("alerts.directory"))
    # The city's own room, which answers what cannot be routed.
    default_agency: str = "agencies/jakarta-112"
    # Where telephone numbers without a country code are of, ISO 3166-1 alpha-2.
    country: str = Field(default="ID", pattern="^[A-Z]{2}$")
    # How many watches run at a time.
    max_watches: int = Field(default=5000, ge=1)
    # Whether webhooks may be called over `http` and at addresses of private networks: for receivers on the premises.
    webhooks_allow_private: bool = False
    # What public warnings are sent from: a name of the deployment's in the DNS, `siaga.example` for `jakarta-112@siaga.example`.
    sender_domain: str = Field(default="siaga.localhost", pattern=r"^([a-zA-Z0-9-]+\.)+[a-zA-Z0-9]+$")
