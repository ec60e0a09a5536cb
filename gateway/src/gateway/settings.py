"""What the gateway is told from its environment."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Platform


class Settings(BaseSettings):
    """Of both processes: Envoy's configuration is rendered from it, and the adapters run by it."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    platform: Platform = Field(default_factory=Platform)
    # Where Envoy listens for everybody.
    address: str = "127.0.0.1"
    port: int = 8080
    # The adapters and Envoy's admin interface are on the loopback alone: the only way to them is on this host.
    adapters_port: int = 9103
    admin_port: int = 9104
    # Each service's endpoints, `host:port`, by the word after `siaga.` in its package. A name stands for all its addresses.
    upstreams: dict[str, list[str]] = {"alerts": ["127.0.0.1:9101"], "directory": ["127.0.0.1:9102"]}
    # The web pages of other origins that may call, such as `https://siaga.example`.
    cors_origins: list[str] = ["http://localhost:8080", "http://127.0.0.1:8080"]
    # Requests a second, for each signed-in subject and for each address. Many phones share the address of their carrier.
    subject_limit: int = 50
    address_limit: int = 500
    # Hands out tokens for demo persons to whoever asks. For development alone.
    dev_issuer: bool = False
    # The secrets by which SMS gateways sign what they hand over, one a line. Without the file nobody hands anything over.
    sms_secret_file: Path | None = None
    # What the LoST server and the feed of warnings call themselves: a name of the deployment's in the DNS.
    lost_source: str = Field(default="siaga.localhost", pattern=r"^([a-zA-Z0-9-]+\.)+[a-zA-Z0-9]+$")
    # A PEM file with a private key and the certificate for it: CAP documents are signed where it is given.
    cap_key_file: Path | None = None
