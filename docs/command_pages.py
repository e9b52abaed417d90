"""A hook of mkdocs: the page of the command line is made from the commands' own help."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

MARK = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts every command's help where the page has the mark."""
    return markdown.replace(MARK, commands()) if MARK in markdown else markdown


def commands() -> str:
    """The help of all commands, each under its name."""
    from dspy_fusion.experiments.commands import COMMANDS

    return "\n\n".join(f"## {name}\n\n```\n{_help(name)}\n```" for name in COMMANDS)


def _help(name: str) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "dspy_fusion.experiments", name, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "110"},
    )
    return run.stdout.strip()
