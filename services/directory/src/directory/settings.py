"""What the directory is told from its environment."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, Platform
from directory.hours import knows_country

_DAY_SECONDS = 86_400


def _in_data(name: str) -> Callable[[dict[str, Any]], Path]:
    return lambda settings: settings["platform"].data / name


def _default_url(settings: dict[str, Any]) -> SecretStr:
    return SecretStr(f"sqlite:///{settings['platform'].data}/directory.db")


def _check_country(country: str) -> str:
    if not knows_country(country):
        raise PydanticCustomError("country", "must be a country's code of two letters, such as ID")
    return country


class Settings(BaseSettings):
    """Of the service and of its commands."""

    model_config = SettingsConfigDict(env_prefix="DIRECTORY_", frozen=True, hide_input_in_errors=True)

    platform: Platform = Field(default_factory=Platform)
    listen: Address = "127.0.0.1:9102"
    # SQLAlchemy's: `sqlite:///path` or `postgresql+asyncpg://…`.
    database_url: DatabaseUrl = Field(default_factory=_default_url)
    # 32 random bytes, the same for every replica; made at the first change where there are none.
    secret_file: Path = Field(default_factory=_in_data("directory.secret"))
    # Where it stands (ISO 3166-1 alpha-2): how numbers are dialled there, and which holidays places keep.
    country: Annotated[str, AfterValidator(_check_country)] = "ID"
    # How many days an assurance of an entry holds; an older one shows as none.
    assured_days: int = Field(default=365, gt=0, le=36_500)

    def find_assured_since(self, now: datetime) -> float:
        """What was assured before it counts as not assured; seconds of the Unix epoch."""
        return now.timestamp() - self.assured_days * _DAY_SECONDS
