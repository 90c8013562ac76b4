"""Ollama's own API: `/api/chat`, `/api/embed`, `/api/tags`."""
