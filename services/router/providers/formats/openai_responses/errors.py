"""What the failures of a Responses server mean."""

from __future__ import annotations

from services.router.providers.formats.openai_errors import OPENAI_CODES, OPENAI_TYPES, OPENAI_WORDS
from services.router.providers.reading.error_table import ErrorTable

ERRORS = ErrorTable(codes=OPENAI_CODES, words=OPENAI_WORDS, status_names=OPENAI_TYPES)
"""Also for errors inside a stream and for failed responses, which come with HTTP 200."""
