"""OpenAI's Chat Completions wire format, which half the world speaks; the dialects say where they differ."""
