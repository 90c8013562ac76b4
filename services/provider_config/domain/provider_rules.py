"""What a provider has to be, beyond what each of its fields may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from libs.core.errors import FieldViolation
from libs.core.provider_types import ProviderType
from libs.core.validation import FieldChecks
from services.provider_config.domain.provider import ProviderSettings
from services.provider_config.domain.provider_types import PROVIDER_TYPES, ProviderTypes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderRules:
    """The rules of this deployment.

    `endpoint_problem`: why a URL cannot be a provider's address, to follow the field's name; None when it can.
    `option_problems`: what is wrong with options, by the schema of their type; fields are those of the options.
    `types`: the kinds of providers there are here, those of plugins among them.
    """

    endpoint_problem: Callable[[str], str | None]
    option_problems: Callable[[ProviderType, Mapping[str, Any]], Iterable[FieldViolation]]
    types: ProviderTypes = field(default_factory=lambda: PROVIDER_TYPES)

    def completed(
        self, settings: ProviderSettings, provider_type: ProviderType, check: FieldChecks
    ) -> ProviderSettings:
        """With the type's default address where none is set; `check` learns what its type requires or refuses."""
        base_url = settings.base_url or provider_type.default_base_url
        check.that(bool(base_url), "provider.base_url", f"is required: {provider_type.id} has no default")
        if base_url and not settings.base_url and (problem := self.endpoint_problem(base_url)):
            check.fail("provider.base_url", f"is required: the default, {base_url}, {problem}")
        needs_key = provider_type.requires_key and settings.key is None
        check.that(not needs_key, "provider.key", f"is required: {provider_type.id} needs a key")
        for violation in self.option_problems(provider_type, settings.options):
            check.fail(f"provider.options{violation.field}", violation.description)
        return replace(settings, base_url=base_url)

    def check_address(self, base_url: str, check: FieldChecks) -> None:
        """Let `check` learn why `base_url` cannot be a provider's address, if so."""
        problem = self.endpoint_problem(base_url)
        if problem is not None:
            check.fail("provider.base_url", problem)
