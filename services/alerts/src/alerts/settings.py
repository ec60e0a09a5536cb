"""What alerts is told by its environment."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Platform


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ALERTS_", frozen=True)

    platform: Platform = Field(default_factory=Platform)
    listen: str = "127.0.0.1:9101"
    database_url: SecretStr = Field(default_factory=lambda: SecretStr(f"sqlite:///{Platform().data / 'alerts.db'}"))
    # 32 random bytes, the same for every replica; made at the first start where there are none.
    secret_file: Path = Field(default_factory=lambda: Platform().data / "alerts.secret")
    # The directory that SOS are routed by, and where its last snapshot is kept.
    directory: str = "127.0.0.1:9102"
    snapshot_file: Path = Field(default_factory=lambda: Platform().data / "alerts.directory")
    # The city's own room, which answers what cannot be routed.
    default_agency: str = "agencies/jakarta-112"
    # How many watches run at a time.
    max_watches: int = Field(5000, ge=1)
