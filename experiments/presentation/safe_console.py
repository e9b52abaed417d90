"""A terminal that obeys nothing but this program: what others wrote moves no cursor and reorders no line."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from .page_text import visible


class SafeConsole(Console):
    """Rich's console, in whose texts every unseen character is named, those of tables included.

    Colors are markup here and become what a terminal understands only after this; an ESC in a text is somebody else's.
    """

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich's."""
        return super().render_str(visible(text), **options)
