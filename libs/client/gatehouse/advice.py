"""What a person can do about an error, by its reason; by its code where the reason has nothing of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

CONNECTION_FAILED = "CONNECTION_FAILED"
"""This client's own reason: nothing answers at the endpoint."""
CERTIFICATE_REJECTED = "CERTIFICATE_REJECTED"
"""This client's own reason: the server's certificate does not verify against the CA."""


def advice_for(code: str, reason: str, retry_after: float | None, causes: Collection[str] = ()) -> str:
    """One or two sentences; empty when there is nothing to add. `causes` are why targets were rejected, if any were."""
    advice = _BY_REASON.get(reason) or _BY_CODE.get(code, "")
    if reason == "NO_USABLE_TARGET" and len(set(causes)) == 1:
        advice = _BY_CAUSE.get(next(iter(causes)), advice)
    if retry_after is None:
        return advice
    return f"{advice} Try again in {_duration(retry_after)}.".lstrip()


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    whole = round(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= size:
            count, rest = divmod(whole, size)
            smaller = {"d": ("h", 3_600), "h": ("min", 60), "min": ("s", 1)}[unit]
            return f"{count} {unit}" + (f" {rest // smaller[1]} {smaller[0]}" if rest // smaller[1] else "")
    return f"{whole} s"


_NEW_TOKEN = "Get a new token from your issuer; on a development machine `gatehouse token` makes one."  # noqa: S105
_WRONG_ISSUER = "Check that the token and the endpoints belong to the same Gatehouse."
_PROVIDER_TROUBLE = "Try again, or allow another provider to answer (leave out --provider and --model)."

_BY_REASON: Mapping[str, str] = MappingProxyType(
    {
        CONNECTION_FAILED: "Is Gatehouse running? `make run` starts it on this machine.",
        CERTIFICATE_REJECTED: "Use the CA file of this Gatehouse (`ca` in client.json) and the host name of its "
        "certificate.",
        "REQUEST_ID_REUSED": "Use a new request id for a new request.",
        "ETAG_MISMATCH": "Somebody else changed it in between, and nothing was done: look at it again and repeat the "
        "change.",
        "TOKEN_MISSING": "Pass a token: `token=…` in Python, GATEHOUSE_TOKEN or --token on the command line.",
        "TOKEN_MALFORMED": _NEW_TOKEN,
        "TOKEN_EXPIRED": _NEW_TOKEN,
        "TOKEN_CLAIMS": _NEW_TOKEN,
        "TOKEN_ALGORITHM": _NEW_TOKEN,
        "TOKEN_ISSUER": _WRONG_ISSUER,
        "TOKEN_AUDIENCE": _WRONG_ISSUER,
        "TOKEN_SIGNATURE": _WRONG_ISSUER,
        "FRESH_AUTHENTICATION_REQUIRED": "Sign in again at your issuer with a second factor and use the new token; on "
        "a development machine `gatehouse token --mfa` makes one.",
        "NO_USABLE_TARGET": "`gatehouse explain` shows the plan; `gatehouse models available` what can be used, and "
        "why not the rest.",
        "ORIGIN_MISMATCH": "Enter the key again for the new origin: `gatehouse keys create`.",
        "KEY_UNREADABLE": "Enter the key again: `gatehouse keys rotate`.",
        "KEY_DISABLED": "Put it back in use (`gatehouse keys enable`), or use another key.",
        "KEY_UNCHANGED": "Nothing is left to do; to replace the key, make a new one at the provider and enter that.",
        "KEY_VERSION_NOT_FOUND": "`gatehouse keys get` lists the versions there are.",
        "KEY_VERSION_IN_USE": "To destroy it, put another version in its place first (`gatehouse keys rotate`), or "
        "delete the key.",
        "KEY_VERSION_DESTROYED": "Nothing brings it back: enter the key again with `gatehouse keys rotate`.",
        "KEY_VERSION_RETIRED": "Use the version in use, or put this one back: `gatehouse keys rollback`.",
        "VAULT_SECRET_NOT_ALLOWED": "Check the id of the Vault secret and the key's origin; whoever runs Gatehouse "
        "must allow both to the owner of the key.",
        "VAULT_SECRET_MISSING": "Whoever runs Gatehouse must see to it that this secret, version and field exist in "
        "Vault and hold a provider key.",
        "VAULT_SECRET_DENIED": "Whoever runs Gatehouse must let key_vault read this secret in Vault's policy.",
        "AUDIT_ANCHORS_UNREADABLE": "Whoever runs Gatehouse must make the anchor file readable to key_vault.",
        "AUDIT_LOG_DAMAGED": "`gatehouse audit verify` says where (`--of config`: in the other log); keys can "
        "still be disabled and deleted. Whoever runs Gatehouse must look into it.",
        "VAULT_SEALED": "Whoever runs Gatehouse must unseal Vault.",
        "VAULT_UNREACHABLE": "Whoever runs Gatehouse must bring Vault back.",
        "VAULT_DENIED": "Whoever runs Gatehouse must mend the Vault login of key_vault.",
        "PROVIDER_NOT_FOUND": "`gatehouse providers list` shows what exists; --owner says whose.",
        "PROVIDER_EXISTS": "Choose another id, or change it: `gatehouse providers update`.",
        "PROVIDER_IN_USE": "Change what names it, or add --force: calls then pass those places over.",
        "MODEL_NOT_FOUND": "`gatehouse models list --provider …` shows what exists; `gatehouse models sync` adds what "
        "the provider has.",
        "MODEL_EXISTS": "Choose another id, or change it: `gatehouse models update`.",
        "MODEL_IN_USE": "Change what names it, or add --force: calls then pass those places over.",
        "ROUTE_NOT_FOUND": "`gatehouse routes list` shows what exists.",
        "ROUTE_EXISTS": "The task has a route: change it with `gatehouse routes update`.",
        "ROUTE_IN_USE": "Take it out of the other route first: `gatehouse routes update OTHER --fallback-route ''`.",
        "PROFILE_NOT_FOUND": "`gatehouse profiles list` shows what exists.",
        "PROFILE_EXISTS": "Choose another id, or change it: `gatehouse profiles update`.",
        "TOO_MANY_PROVIDERS": "Delete one that is not needed: `gatehouse providers delete`.",
        "TOO_MANY_PROFILES": "Delete one that is not needed: `gatehouse profiles delete`.",
        "VERSION_NOT_FOUND": "The `versions` command lists what can be brought back.",
        "SCOPE_FULL": "Delete providers, models, routes or profiles that are not needed.",
        "TEST_UNDER_WAY": "Wait for its result: `gatehouse providers get` shows it.",
        "TEST_TOO_SOON": "`gatehouse providers get` shows the last result.",
        "PROVIDER_LIST_FAILED": "`gatehouse providers test` says more.",
        "CONFIG_UNAVAILABLE": "provider_config may be starting or down: try again in a moment.",
        "REVISION_NOT_REACHED": "Allow more time (`timeout`); `gatehouse health` says how current the router is.",
        "PROVIDER_KEY_REJECTED": "The provider refuses the key: `gatehouse keys rotate` with a valid one.",
        "PROVIDER_PERMISSION_DENIED": "Use another model, or a key that may use this one.",
        "PROVIDER_BILLING": "Add credit to the provider's account, or use another key.",
        "PROVIDER_MODEL_NOT_FOUND": "Check the model's `provider_model_id`: `gatehouse models list`.",
        "PROVIDER_OVERLOADED": _PROVIDER_TROUBLE,
        "PROVIDER_ERROR": _PROVIDER_TROUBLE,
        "PROVIDER_UNREACHABLE": _PROVIDER_TROUBLE,
        "PROVIDER_BAD_RESPONSE": _PROVIDER_TROUBLE,
        "PROVIDER_TIMEOUT": _PROVIDER_TROUBLE,
        "PROVIDER_ADDRESS_REFUSED": "Correct the provider's `base_url`. Whoever runs Gatehouse can allow a place "
        "inside the network (ROUTER_ALLOWED_ENDPOINTS).",
        "MEDIA_NOT_FETCHED": "Check the URL in a browser that is not signed in anywhere, or send the file itself.",
        "STREAM_INTERRUPTED": "What came before is yours and is charged; ask again for the rest.",
        "PROVIDER_INVALID_REQUEST": "Change what it names. What a model cannot do is refused beforehand once its "
        "`capabilities` say so: `gatehouse models update --can`.",
        "CONTEXT_TOO_LONG": "Shorten the conversation or choose a model with a longer context.",
        "QUOTA_EXCEEDED": "`gatehouse quotas state` shows what is left; an administrator can raise the limit.",
        "PRICE_UNKNOWN": "Give the model a price: `gatehouse models update --input-price … --output-price …`.",
    }
)

# Where all targets were rejected for the same cause.
_BY_CAUSE: Mapping[str, str] = MappingProxyType(
    {
        "CAPABILITY_MISSING": "Leave it out of the call, by hand or with `--compatibility drop` (`compatibility` in "
        "Python), or name another model: `gatehouse models available`. If the model can do it after all: `gatehouse "
        "models update --can`.",
        "MODEL_DISABLED": "Enable it: `gatehouse models update --enabled`.",
        "NO_MODEL": "Give the provider one: `gatehouse models sync --enable` or `gatehouse models create`.",
        "UNKNOWN_MODEL": "`gatehouse models available` shows which there are; `gatehouse models sync` adds what the "
        "provider has.",
        "PROVIDER_INACTIVE": "Switch it on: `gatehouse providers update --active`.",
        "NOT_IN_PROFILE": "Switch the profile off or change it: `gatehouse profiles deactivate`, `gatehouse profiles "
        "update`.",
        "PRICE_UNKNOWN": "Give the model a price: `gatehouse models update --input-price … --output-price …`.",
    }
)

_BY_CODE: Mapping[str, str] = MappingProxyType(
    {
        "UNAUTHENTICATED": _NEW_TOKEN,
        "PERMISSION_DENIED": "Check the name and the tenant and role of your token; the platform's own resources need "
        "super_admin.",
        "NOT_FOUND": "Check the name: the `list` command shows what exists.",
        "ALREADY_EXISTS": "Choose another id, or change the one that exists.",
        "ABORTED": "Read it again and repeat the change.",
        "UNAVAILABLE": "Try again in a moment.",
        "DEADLINE_EXCEEDED": "Allow more time (`timeout`), or try again.",
        "UNIMPLEMENTED": "The server is older than this client: update it.",
        "INTERNAL": "This is a defect of Gatehouse: its log has the details under the request id.",
        "UNKNOWN": "The server's log has the details.",
    }
)
