"""What the directory is told from its environment."""

from typing import Any

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, Platform


def _default_url(settings: dict[str, Any]) -> SecretStr:
    return SecretStr(f"sqlite:///{settings['platform'].data}/directory.db")


class Settings(BaseSettings):
    """Of the service and of its commands."""

    model_config = SettingsConfigDict(env_prefix="DIRECTORY_", frozen=True, hide_input_in_errors=True)

    platform: Platform = Field(default_factory=Platform)
    listen: Address = "127.0.0.1:9102"
    # SQLAlchemy's: `sqlite:///path` or `postgresql+asyncpg://…`.
    database_url: DatabaseUrl = Field(default_factory=_default_url)
