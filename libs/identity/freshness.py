"""Fresh authentication with a second factor: what a deployment may demand before sensitive actions."""

from __future__ import annotations

from dataclasses import dataclass, field

from libs.core.clock import Clock, SystemClock
from libs.core.errors import Unauthenticated
from libs.identity.caller import Caller
from libs.identity.tokens import DEFAULT_LEEWAY_S

SECOND_FACTORS = frozenset({"mfa", "otp", "hwk", "swk", "sc", "face", "fpt", "iris", "retina"})
"""The values of `amr` (RFC 8176) that say: more than a stolen password.

`mfa` says so outright; a one-time password, a key in hardware or software (passkeys among them) and a smart card are
things one has; face, fingerprint, iris and retina are what one is. Left out are things one knows (`pwd`, `pin`, `kba`);
what needs nobody to do anything (`geo`, `rba`, `wia`, `pop`) or proves only that somebody did (`user`); what comes
over the telephone network (`sms`, `tel`, `mca`), which NIST SP 800-63B restricts; and voice (`vbm`), which can be
imitated. A deployment that trusts one of them names it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How recently and how a bearer must have authenticated: at most `max_age_s` seconds ago, and either by one of
    `methods` (values of `amr`) or to one of the levels `acr_values`.

    Raises ValueError for less than a second and for a demand nobody can meet.
    """

    max_age_s: float
    methods: frozenset[str] = SECOND_FACTORS
    acr_values: frozenset[str] = frozenset()
    clock: Clock = field(default_factory=SystemClock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_age_s < 1 or not (self.methods or self.acr_values):
            raise ValueError("freshness is at least a second, and some method or level meets it")

    def is_met_by(self, caller: Caller) -> bool:
        """Whether `caller` may be taken for the person at the keyboard.

        A time in the future counts as far as clocks may differ; nothing is added to `max_age_s`.
        """
        if caller.auth_time is None:
            return False
        age_s = self.clock.now().timestamp() - caller.auth_time
        if not -DEFAULT_LEEWAY_S <= age_s <= self.max_age_s:
            return False
        return not self.methods.isdisjoint(caller.amr) or caller.acr in self.acr_values

    def challenge(self) -> Unauthenticated:
        """What a bearer is told that has to authenticate again.

        The metadata holds the parameters of the step-up challenge of RFC 9470, in its form: whole seconds, and
        `acr_values` separated by spaces; likewise `amr`, for which the RFC has none.
        """
        age = str(int(self.max_age_s))
        metadata = {"max_age_s": age}
        if self.methods:
            metadata["amr"] = " ".join(sorted(self.methods))
        if self.acr_values:
            metadata["acr_values"] = " ".join(sorted(self.acr_values))
        return Unauthenticated(
            "FRESH_AUTHENTICATION_REQUIRED",
            f"this needs a sign-in with a second factor not more than {age} seconds ago; sign in again and repeat the "
            "call with the new token",
            metadata=metadata,
        )
