"""What a Gatehouse has configured now."""

from __future__ import annotations

from gatehouse.client import Client
from gatehouse.configuration.document import Configuration, owner_word


def read_configuration(client: Client, parent: str) -> Configuration:
    """All that `parent` (`platform`, `tenants/acme`, `tenants/acme/users/ann`) owns. Raises GatehouseError."""
    providers = {last(each.name): each for each in client.providers.list(parent, page_size=1000)}
    found = Configuration(parent=parent, providers=providers)
    for provider_id, provider in providers.items():
        models = client.models.list(provider.name, page_size=1000)
        found.models[provider_id] = {last(model.name): model for model in models}
    match owner_word(parent):
        case "tenant":
            found.routes = {last(route.name): route for route in client.routes.list(parent, page_size=1000)}
            found.policy = client.policy.get(parent)
            found.policy.name = found.policy.name or f"{parent}/policy"
        case "user":
            found.profiles = {last(each.name): each for each in client.profiles.list(parent, page_size=1000)}
            found.preferences = client.preferences.get(parent)
            found.preferences.name = found.preferences.name or f"{parent}/preferences"
        case "platform":
            pass
    return found


def last(name: str) -> str:
    """The last part of a resource name: its id."""
    return name.rpartition("/")[2]
