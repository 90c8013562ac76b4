"""Whose calls a key serves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.core.resource_names import Owner
from services.key_vault.domain.permission import Bearer, manages_key, may_use_key

BOB = Bearer(tenant="acme", user="bob")


@pytest.mark.parametrize(
    ("owner", "allowed"),
    [
        (Owner(), True),
        (Owner("acme"), True),
        (Owner("acme", "bob"), True),
        (Owner("acme", "eve"), False),
        (Owner("globex"), False),
        (Owner("globex", "bob"), False),
    ],
)
def test_a_call_uses_keys_of_its_user_its_tenant_and_the_platform(owner: Owner, allowed: bool) -> None:
    assert may_use_key(BOB, owner) is allowed


@pytest.mark.parametrize("owner", [Owner(), Owner("acme"), Owner("acme", "root")])
def test_an_operator_outside_every_tenant_uses_no_key(owner: Owner) -> None:
    assert may_use_key(Bearer(tenant=None, user="root"), owner) is False


IDS = st.sampled_from(["a", "b", "c"])


@given(st.builds(Bearer, tenant=IDS, user=IDS), IDS, st.none() | IDS)
def test_no_key_of_another_tenant_or_user_is_ever_used(bearer: Bearer, tenant: str, user: str | None) -> None:
    if may_use_key(bearer, Owner(tenant, user)):
        assert tenant == bearer.tenant
        assert user in (None, bearer.user)


@pytest.mark.parametrize(
    ("bearer", "managed"),
    [
        (Bearer(tenant=None, user="root", roles=("super_admin",)), {"", "acme", "acme/bob", "globex", "globex/bob"}),
        (Bearer(tenant="acme", user="ann", roles=("member", "tenant_admin")), {"acme", "acme/bob"}),
        (Bearer(tenant=None, user="ann", roles=("tenant_admin",)), set()),
        (Bearer(tenant="acme", user="bob", roles=("member",)), set()),
        (Bearer(tenant="acme", user="bob"), set()),
    ],
)
def test_admins_manage_the_keys_in_their_reach(bearer: Bearer, managed: set[str]) -> None:
    owners = {
        "": Owner(),
        "acme": Owner("acme"),
        "acme/bob": Owner("acme", "bob"),
        "globex": Owner("globex"),
        "globex/bob": Owner("globex", "bob"),
    }
    assert {name for name, owner in owners.items() if manages_key(bearer, owner)} == managed
