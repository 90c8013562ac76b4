"""The services and systems that provider_config asks."""
