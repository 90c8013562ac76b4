"""The dialects that the sandbox speaks, one file for each."""

from libs.sandbox.dialect import Dialect
from libs.sandbox.dialects.openai_chat import OpenAIChat

DIALECTS: tuple[Dialect, ...] = (OpenAIChat(),)
"""Asked in this order whether a request is theirs. They have no state."""
