"""Errors as people see them: what happened, each violation, what to do, the request id."""

from __future__ import annotations

from gatehouse.cli.terminal import console, printable
from gatehouse.errors import GatehouseError
from gatehouse.profile import ProfileError


def show_failure(error: GatehouseError | ProfileError) -> None:
    """Write `error` to standard error."""
    from rich.text import Text

    text = Text()
    text.append("error: ", style="bold red")
    if isinstance(error, ProfileError):
        text.append(printable(str(error)))
    else:
        text.append(printable(error.message))
        text.append(f" ({printable(error.reason or error.code)})", style="red")
        for violation in error.untold:
            text.append(f"\n  • {printable(violation)}")
        if error.partial is not None:
            usage = error.partial.usage
            used = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
            made = usage.output_tokens + usage.reasoning_tokens
            about = "about " if error.partial.estimated else ""
            text.append(f"\n  used until then: {about}{used:,} tokens in, {made:,} out")
        if error.advice:
            text.append(f"\n{error.advice}")
        if error.request_id:
            text.append(f"\nrequest id {printable(error.request_id)}", style="dim")
    console(stderr=True).print(text, soft_wrap=True)
