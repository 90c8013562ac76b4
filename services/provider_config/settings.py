"""What this service is told from outside."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from libs.rpc.settings import ServerSettings


class Settings(ServerSettings):
    """Settings of provider_config: environment variables `PROVIDER_CONFIG_…`."""

    # A database URL may hold a password: what is wrong is told without the values.
    model_config = SettingsConfigDict(env_prefix="PROVIDER_CONFIG_", hide_input_in_errors=True)

    database_url: str
    """`sqlite:////absolute/path.db` or `postgresql://user@host/database`."""
    allow_loopback_endpoints: bool = False
    """Whether providers may live on this machine (localhost, 127.0.0.0/8, ::1), also by plain http. For local use."""
