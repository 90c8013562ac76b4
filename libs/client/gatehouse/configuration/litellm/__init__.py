"""Configuration of LiteLLM's proxy (`config.yaml`) as configuration of Gatehouse.

`settings` reads YAML whose fields are known only in part, and remembers which were used; `vendors` knows where
LiteLLM's providers live; `deployments` reads the model list, `translation` makes providers, models, routes and keys of
it. Whatever cannot be taken over is told, never dropped silently. Nothing here asks or changes anything.
"""
