"""What this service is told from outside."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.rpc.settings import ServerSettings


class Settings(ServerSettings):
    """Settings of usage_accounting: environment variables `USAGE_ACCOUNTING_…`."""

    model_config = SettingsConfigDict(env_prefix="USAGE_ACCOUNTING_")

    database_url: str
    """`sqlite:////absolute/path.db` or `postgresql://user@host/database`."""
    lapse_check_interval_s: float = Field(default=2.0, gt=0, le=60)
    """How late a reservation may lapse after its lapse time, in seconds."""
