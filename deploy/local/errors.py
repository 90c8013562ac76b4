"""What goes wrong while launching, told to the person at the keyboard."""

from __future__ import annotations


class LauncherError(Exception):
    """A launch that cannot go on. The text says what is wrong and what to do about it; it is shown as it is."""
