"""What a wrong setting tells the operator: which one it is and what it should be, and never what it was."""

import re

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from chassis.settings import Address, DatabaseUrl, Platform, read_settings


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TINY_", hide_input_in_errors=True)

    platform: Platform = Field(default_factory=Platform)
    database_url: DatabaseUrl
    limit: int = Field(default=1, ge=1)
    listen: Address = "127.0.0.1:9101"
    parts: list[str] = []


@pytest.mark.parametrize("url", ["sqlite:////var/lib/tiny.db", "postgresql+asyncpg://user:secret@host:5432/name"])
def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TINY_DATABASE_URL", url)
    monkeypatch.setenv("TINY_LIMIT", "7")
    settings = read_settings(Settings)
    assert (settings.database_url.get_secret_value(), settings.limit) == (url, 7)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("TINY_DATABASE_URL", "postgresql+asyncpg://user:canary@host:port/name", "must be sqlite:///PATH or postgresql"),
        ("TINY_DATABASE_URL", "mysql://user:canary@host/name", "must be sqlite:///PATH or postgresql"),
        ("TINY_DATABASE_URL", "canary", "must be sqlite:///PATH or postgresql"),
        ("TINY_LIMIT", "canary", "valid integer"),
        ("TINY_LISTEN", "canary", "must be HOST:PORT"),
        ("TINY_LISTEN", ":9101", "must be HOST:PORT"),
        ("REDIS_URL", "canary://user:canary@host", "must be redis://HOST:PORT"),
        ("TINY_LIMIT", "0", "greater than or equal to 1"),
        ("SIAGA_TRACE_RATIO", "7", "less than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str) -> None:
    monkeypatch.setenv("TINY_DATABASE_URL", "sqlite:///tiny.db")
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit, match=f"^{variable}: .*{re.escape(told)}") as ended:
        read_settings(Settings)
    assert "canary" not in str(ended.value)
    assert "\n" not in str(ended.value)


def test_what_is_no_json_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_DATABASE_URL", "sqlite:///tiny.db")
    monkeypatch.setenv("TINY_PARTS", "canary")
    with pytest.raises(SystemExit, match='field "parts"') as ended:
        read_settings(Settings)
    assert "canary" not in str(ended.value)


@pytest.mark.parametrize("listen", ["localhost:1", "0.0.0.0:65535", "[::1]:9101", "alerts.siaga.svc:9101"])
def test_an_address_is_a_host_and_a_port(monkeypatch: pytest.MonkeyPatch, listen: str) -> None:
    monkeypatch.setenv("TINY_DATABASE_URL", "sqlite:///tiny.db")
    monkeypatch.setenv("TINY_LISTEN", listen)
    assert read_settings(Settings).listen == listen


def test_a_setting_that_is_missing_is_named() -> None:
    with pytest.raises(SystemExit, match=r"^TINY_DATABASE_URL: Field required"):
        read_settings(Settings)
