"""Keys that are exchanged for access tokens, through the whole stack: Gemini on Vertex AI, Azure OpenAI with Entra."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import urlopen

import pytest
from gatehouse import AsyncClient, FailedPrecondition
from gatehouse.providerconfig.v1.provider_pb2 import Capabilities
from gatehouse.usage.v1.usage_record_pb2 import ATTEMPT_OUTCOME_SUCCEEDED, TOKEN_SOURCE_REPORTED

from tests.local_stack import LocalStack

APPLICATION = {"tenant_id": "8a1d-tenant", "client_id": "3f0c-client", "client_secret": "sk-sandbox-entra-5b7e"}


@dataclass(frozen=True)
class Exchanged:
    """A type of provider whose key is no key of the API's."""

    type: str
    path: str
    options: Mapping[str, object]

    def key(self, stack: LocalStack) -> str:
        """A key that the sandbox's token endpoint knows."""
        if self.type == "azure_openai":
            return json.dumps(APPLICATION)
        with urlopen(f"{stack.sandbox_url}/_sandbox/google_service_account") as answer:
            return str(answer.read().decode())

    def spoilt(self, stack: LocalStack) -> str:
        """One of the same form that it does not know."""
        known = json.loads(self.key(stack))
        if self.type == "azure_openai":
            return json.dumps({**known, "client_secret": "not-one-of-ours"})
        return json.dumps({**known, "client_email": "stranger@elsewhere.iam.gserviceaccount.com"})


TYPES = {
    "vertex": Exchanged(
        "gemini",
        "/gemini/v1/projects/sandbox-project/locations/europe-west4/publishers/google",
        {"auth": "service_account"},
    ),
    "entra": Exchanged("azure_openai", "/azure", {"auth": "entra"}),
}


async def give(stack: LocalStack, admin: AsyncClient, tenant: str, name: str, material: str) -> int:
    """A provider of the tenant with a model that talks and one that makes vectors; the revision."""
    kind = TYPES[name]
    key, provider = f"tenants/{tenant}/keys/{name}", f"tenants/{tenant}/providers/{name}"
    await admin.keys.create(key, provider_type=kind.type, origin=stack.sandbox_url, api_key=material)
    await admin.providers.create(
        provider, type=kind.type, base_url=f"{stack.sandbox_url}{kind.path}", key=key, options=kind.options
    )
    await admin.models.create(f"{provider}/models/sandbox-small")
    embeds = Capabilities(embeddings=True)
    return (await admin.models.create(f"{provider}/models/sandbox-embed", capabilities=embeds)).revision


@pytest.mark.parametrize("name", TYPES)
async def test_a_key_is_exchanged_and_the_call_is_charged(stack: LocalStack, name: str) -> None:
    tenant = f"exchanged-{name}"
    material = TYPES[name].key(stack)
    async with stack.client(tenant=tenant) as client:
        revision = await give(stack, client, tenant, name, material)
        answer = await client.generate("Say hello. [[sandbox tokens=7]]", provider=name, revision=revision)
        assert answer.text
        streamed = "".join(
            [event.text async for event in client.stream("Say hello. [[sandbox tokens=7]]", provider=name)]
        )
        assert streamed == answer.text
        vectors = await client.embed("Bread", provider=name, model="sandbox-embed")
        assert len(vectors.vectors) == 1
        (record,) = await stack.records_when(tenant, answer.outcome.operation_id, patience_s=20)
    assert (record.outcome, record.token_source) == (ATTEMPT_OUTCOME_SUCCEEDED, TOKEN_SOURCE_REPORTED)
    (line,) = [
        each
        for each in stack.bill()
        if each.call == f"{record.operation_id}/{record.attempt}" and each.event == "finished"
    ]
    assert (record.tokens.input_tokens, record.tokens.output_tokens) == (line.prompt_tokens, 7)
    secret = APPLICATION["client_secret"] if name == "entra" else json.loads(material)["private_key"].splitlines()[1]
    assert secret not in stack.output


@pytest.mark.parametrize("name", TYPES)
async def test_a_key_that_the_token_endpoint_does_not_know_is_a_rejected_key(stack: LocalStack, name: str) -> None:
    tenant = f"unknown-{name}"
    async with stack.client(tenant=tenant) as client:
        revision = await give(stack, client, tenant, name, TYPES[name].spoilt(stack))
        with pytest.raises(FailedPrecondition) as refused:
            await client.generate("Hello", provider=name, revision=revision)
    assert refused.value.reason == "PROVIDER_KEY_REJECTED"
