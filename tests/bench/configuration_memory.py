"""How much memory a router needs for the configuration of many tenants.

    python -m tests.bench.configuration_memory --tenants 10000

A process with all that a router loads takes the snapshots of so many tenants, each with 20 providers (a quarter of them
users' own) of 3 models, a route, and the preferences and a profile of a user, from messages as they come over the wire.
Every fifth tenant has agreed prices and an endpoint of its own, so that its models are like nobody else's.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gatehouse.providerconfig.v1 import model_pb2, preference_pb2, provider_pb2, route_pb2
from gatehouse.providerconfig.v1 import snapshot_service_pb2 as pb

from services.router import app
from services.router.clients.held_scopes import PLATFORM, HeldScopes

PROVIDERS = 20
MODELS = ("gpt-4o", "gpt-4o-mini", "o4-mini")
_UNLIKE_OTHERS = 5


def measure(tenants: int) -> dict[str, float | str]:
    """Memory in MB before and with the snapshots of `tenants`, the bytes of one, and the seconds of taking it."""
    held = HeldScopes(0.0)
    held.take(pb.Snapshot(scope=PLATFORM, revision=1))
    names = [f"tenant-{number:05}" for number in range(tenants)]
    # What is made once, however many tenants there are, does not count for them.
    _take(held, "first", _encoded("first", 0))
    before_mb = _resident_mb()
    taking_s = 0.0
    for number, tenant in enumerate(names):
        encoded = _encoded(tenant, number)
        start = time.perf_counter()
        _take(held, tenant, encoded)
        taking_s += time.perf_counter() - start
    gc.collect()
    after_mb = _resident_mb()
    for tenant in names:
        configuration = held.configuration(tenant)
        assert configuration is not None
        assert len(configuration.tenant.providers) == PROVIDERS
    return {
        # Its import makes the process as large as a router without any tenant.
        "process": app.DOMAIN,
        "tenants": tenants,
        "before_mb": round(before_mb, 1),
        "with_tenants_mb": round(after_mb, 1),
        "bytes_per_tenant": round((after_mb - before_mb) * 1e6 / tenants),
        "encoded_bytes": len(_encoded(names[0], 1)),
        "taking_ms": round(taking_s * 1000 / tenants, 3),
    }


def _take(held: HeldScopes, tenant: str, encoded: bytes) -> None:
    held.want(tenant)
    held.take(pb.WatchSnapshotsResponse.FromString(encoded).snapshot)


def _encoded(tenant: str, number: int) -> bytes:
    scope = f"tenants/{tenant}"
    own = number % _UNLIKE_OTHERS == 1
    providers = list(_providers(scope, number, own=own))
    first, second = (providers[index].provider.name for index in (0, 1))
    user = f"{scope}/users/user-{number}"
    return pb.WatchSnapshotsResponse(
        snapshot=pb.Snapshot(
            scope=scope,
            revision=number + 1,
            providers=providers,
            routes=[
                route_pb2.Route(
                    name=f"{scope}/routes/default",
                    active=True,
                    strategy=route_pb2.ROUTING_STRATEGY_WEIGHTED,
                    targets=[
                        route_pb2.RouteTarget(provider=first, model=MODELS[0], weight=70),
                        route_pb2.RouteTarget(provider=second, model=MODELS[1], weight=30),
                    ],
                )
            ],
            preferences=[
                preference_pb2.Preferences(
                    name=f"{user}/preferences",
                    preferred=preference_pb2.Choice(provider=first),
                    active_profile=f"{user}/profiles/work",
                )
            ],
            profiles=[preference_pb2.Profile(name=f"{user}/profiles/work", providers=[first, second])],
        )
    ).SerializeToString()


def _providers(scope: str, number: int, *, own: bool) -> Iterator[pb.ProviderSnapshot]:
    for index in range(PROVIDERS):
        owner = f"{scope}/users/user-{number}" if index % 4 == 3 else scope
        name = f"{owner}/providers/openai-{index}"
        yield pb.ProviderSnapshot(
            provider=provider_pb2.Provider(
                name=name,
                type="openai",
                display_name=f"OpenAI {index}",
                base_url=f"https://{number}.example.com/v1" if own else "https://api.openai.com/v1",
                key=f"{owner}/keys/openai-{index}",
                default_model=MODELS[0],
                active=True,
                is_default=index == 0,
                priority=100 + index,
                timeouts=provider_pb2.ProviderTimeouts(),
            ),
            models=[_model(name, model, number if own else 0) for model in MODELS],
        )


def _model(provider: str, model: str, discount: int) -> model_pb2.Model:
    return model_pb2.Model(
        name=f"{provider}/models/{model}",
        display_name=model.upper(),
        provider_model_id=model,
        enabled=True,
        context_tokens=128_000,
        max_output_tokens=16_384,
        capabilities=provider_pb2.Capabilities(streaming=True, tools=True, json_schema=True, images=True),
        price=model_pb2.ModelPrice(
            input_micro_usd_per_million=2_500_000 - discount, output_micro_usd_per_million=10_000_000 - discount
        ),
    )


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError("/proc/self/status has no VmRSS")


def main() -> None:
    """Measure and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=10_000)
    sys.stdout.write(json.dumps(measure(parser.parse_args().tenants)) + "\n")


if __name__ == "__main__":
    main()
