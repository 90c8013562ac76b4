"""OpenAI's Responses wire format; a dialect says where it lies and adds its headers."""
