"""A hook of mkdocs: the page of the command line is made from the commands' own help."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts every command's help where the page has the mark."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


def commands() -> str:
    """The help of all commands, each under its name."""
    from dspy_fusion.experiments.commands import COMMANDS

    os.environ["COLUMNS"] = "110"
    return "\n\n".join(f"## {name}\n\n```\n{_help(name)}\n```" for name in COMMANDS)


def _help(name: str) -> str:
    from dspy_fusion.experiments.__main__ import main

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        main([name, "--help"])
    return said.getvalue().strip()
