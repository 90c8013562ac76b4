"""What the failures of a Chat Completions server mean."""

from __future__ import annotations

from services.router.providers.formats.openai_errors import OPENAI_CODES, OPENAI_TYPES, OPENAI_WORDS
from services.router.providers.reading.error_table import ErrorTable

ERRORS = ErrorTable(codes=OPENAI_CODES, words=OPENAI_WORDS, status_names=OPENAI_TYPES)
"""OpenAI's own."""
