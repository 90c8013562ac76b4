"""What can be set from outside: environment variables of the launcher, and what it hands on to its processes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.local.errors import LauncherError
from services.key_vault.environment.platform_keys import VARIABLES

PREFIX = "GATEHOUSE_"

PortNumber = Annotated[int, Field(ge=1, le=65_535)]


class LauncherSettings(BaseSettings):
    """Settings of the launcher. Every field `x` is the environment variable `GATEHOUSE_X`.

    Ports are on 127.0.0.1. `start_timeout_s` bounds the whole start, in seconds. `sandbox_pace_ms` is the pause of the
    sandbox provider before each piece of an answer, so that a stream can be watched. `openai_api_key` is read from
    `OPENAI_API_KEY`, `openai_base_url` from `OPENAI_BASE_URL`, as OpenAI's own client does: the first call uses them,
    so they are entered through the API, where a mistake is told at once.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True, extra="ignore")

    state_dir: Path = Path(".gatehouse")
    router_port: PortNumber = 7100
    router_internal_port: PortNumber = 7200
    key_vault_port: PortNumber = 7101
    key_vault_internal_port: PortNumber = 7201
    provider_config_port: PortNumber = 7102
    provider_config_internal_port: PortNumber = 7202
    usage_accounting_port: PortNumber = 7103
    usage_accounting_internal_port: PortNumber = 7203
    openbao_port: PortNumber = 7110
    openbao_cluster_port: PortNumber = 7111
    sandbox_port: PortNumber = 7120
    sandbox_pace_ms: float = Field(default=15.0, ge=0, le=60_000)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    start_timeout_s: float = Field(default=60.0, gt=0)
    openai_api_key: SecretStr | None = Field(default=None, validation_alias="OPENAI_API_KEY")
    openai_base_url: str = Field(default="https://api.openai.com/v1", validation_alias="OPENAI_BASE_URL")


def load_settings() -> LauncherSettings:
    """Read the environment. Raises LauncherError naming every variable that is wrong, never its value."""
    try:
        return LauncherSettings()
    except ValidationError as error:
        problems = (f"  {variable(str(item['loc'][0]))}: {item['msg']}" for item in error.errors())
        raise LauncherError("\n".join(["The environment has settings that do not work:", *problems])) from None


def variable(field: str) -> str:
    """The environment variable of a settings field."""
    return field if field.isupper() else f"{PREFIX}{field}".upper()


# What programs need of the environment they run in; everything else, provider keys above all, stays out.
_INHERITED = re.compile(
    r"PATH|HOME|USER|LANG|LC_\w+|TZ|TMPDIR|VIRTUAL_ENV|LD_LIBRARY_PATH|PYTHON\w*|SSL_CERT_(FILE|DIR)|OTEL_\w+|GRPC_\w+"
)


# Entered through the API, see LauncherSettings.
_ENTERED = frozenset({"OPENAI_API_KEY", "OPENAI_BASE_URL"})


def provider_keys() -> dict[str, str]:
    """The variables from which key_vault takes the platform's keys by itself. No other process gets them."""
    return {name: os.environ[name] for name in sorted(VARIABLES - _ENTERED) if name in os.environ}


def inherited_environment(prefix: str | None = None) -> dict[str, str]:
    """What a child process gets of the launcher's own environment: the basics, and variables with its `prefix`."""
    return {
        name: value
        for name, value in os.environ.items()
        if _INHERITED.fullmatch(name) or (prefix is not None and name.startswith(prefix))
    }
