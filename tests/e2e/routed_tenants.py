"""What the tests of routing share: tenants with providers at the sandbox, and who served a call."""

from gatehouse import AsyncClient
from gatehouse.answers import Answer
from gatehouse.providerconfig.v1.route_pb2 import RouteTarget
from gatehouse.tokens import mint_token

from tests.local_stack import LocalStack


def target(provider: str, model: str = "sandbox-small", **fields: object) -> RouteTarget:
    return RouteTarget(provider=provider, model=model, **fields)  # type: ignore[arg-type]


def caller(stack: LocalStack, tenant: str, user: str, *, plan: str = "") -> AsyncClient:
    """A client of a member whose token says `plan`."""
    token = mint_token(stack.issuer, tenant=tenant, user=user, roles=("member",), plan=plan)
    return stack.client(tenant=tenant, token=token)


async def give(stack: LocalStack, admin: AsyncClient, owner: str, *providers: str) -> int:
    """Providers of `owner`, each with a key of its own and two models, at the sandbox; the revision."""
    revision = 0
    for provider in providers:
        key, name = f"{owner}/keys/{provider}", f"{owner}/providers/{provider}"
        material = f"sk-sandbox-{owner.replace('/', '-')}-{provider}"
        await admin.keys.create(key, provider_type="openai_compatible", origin=stack.sandbox_url, api_key=material)
        await admin.providers.create(
            name,
            type="openai_compatible",
            base_url=f"{stack.sandbox_url}/v1",
            key=key,
            default_model="sandbox-small",
            # The first one comes first where no rule says otherwise.
            priority=providers.index(provider),
        )
        for model in ("sandbox-small", "sandbox-large"):
            revision = (await admin.models.create(f"{name}/models/{model}")).revision
    return revision


def served(answer: Answer) -> tuple[str, str, str]:
    """The provider's id, the model and the rule that served."""
    by = answer.outcome.served_by
    return by.provider.rpartition("/")[2], by.model, by.rule


def causes(answer: Answer) -> dict[str, str]:
    """Why targets were left out, by provider id."""
    return {each.target.provider.rpartition("/")[2]: each.cause for each in answer.trace.rejected}
