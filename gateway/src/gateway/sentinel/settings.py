"""What the sentinel is told from its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SENTINEL_", frozen=True, hide_input_in_errors=True)

    # The gateway as clients reach it, such as `https://siaga.example`. Empty: the sentinel is off.
    url: str = ""
    # Where the issuer hands out tokens for client credentials (RFC 6749, 4.4), and the client's own.
    token_url: str = ""
    client_id: str = "sentinel"
    # Holds the client's secret and nothing else. Absent: the token is the development issuer's, for the demo person `client_id`.
    secret_file: Path | None = None
    # From the beginning of one drill to that of the next.
    period_seconds: float = Field(default=10.0, gt=0)
    # What each hop may take, and the whole of a drill.
    hop_seconds: float = Field(default=2.0, gt=0)
    run_seconds: float = Field(default=10.0, gt=0)
