"""The examples of protos/README.md, run in their order against the stack: what API users copy must work."""

import re
from pathlib import Path
from typing import Any

import pytest
from gatehouse.tokens import mint_token

from tests.local_stack import REPOSITORY, LocalStack

GUIDE = Path("protos/README.md")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_of_the_api_guide_work(stack: LocalStack, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = list(_BLOCK.finditer(text := (REPOSITORY / GUIDE).read_text()))
    assert len(blocks) > 8
    tenant = "guide"
    stack.tenants.add(tenant)
    profile = stack.profile
    names: dict[str, Any] = {
        **{service.upper(): endpoint for service, endpoint in profile.endpoints.items()},
        "CA_FILE": str(stack.layout.ca_certificate),
        "TOKEN": mint_token(stack.issuer, tenant=tenant, user="ann"),
        "ORIGIN": stack.sandbox_url,
        "BASE_URL": f"{stack.sandbox_url}/v1",
        "API_KEY": b"sk-sandbox-guide",
    }
    for block in blocks:
        line = text.count("\n", 0, block.start(1))
        # A tenant of its own: the other tests of this stack have theirs.
        code = block[1].replace("tenants/acme", f"tenants/{tenant}")
        exec(compile("\n" * line + code, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out
    assert "routes/extraction" in printed
