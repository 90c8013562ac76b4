"""The dialects that the sandbox speaks, one file for each."""

from libs.sandbox.dialect import Dialect
from libs.sandbox.dialects.anthropic import AnthropicMessages
from libs.sandbox.dialects.azure_openai import AzureOpenAI
from libs.sandbox.dialects.entra import Entra
from libs.sandbox.dialects.gemini import Gemini
from libs.sandbox.dialects.google_tokens import GoogleTokens
from libs.sandbox.dialects.ollama import Ollama
from libs.sandbox.dialects.openai_chat import OpenAIChat
from libs.sandbox.dialects.openai_responses import OpenAIResponses

DIALECTS: tuple[Dialect, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    Ollama(),
    AnthropicMessages(),
    AzureOpenAI(),
    Entra(),
    Gemini(),
    GoogleTokens(),
)
"""Asked in this order whether a request is theirs. They have no state."""
