"""README says what is: its example prints what stands below it, and what it names exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_stands_below_it(tmp_path: Path) -> None:
    found = re.search(r"```python\n(import dspy\n.*?)```\n\n```\n(.*?)```", README, re.DOTALL)
    assert found is not None
    run = subprocess.run([sys.executable, "-c", found[1]], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout == found[2], run.stderr


def test_the_example_models_file_is_one() -> None:
    from dspy_fusion.serving.catalogue.entry_tables import read_entry

    blocks = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    entries = {name: read_entry(name, table) for block in blocks for name, table in tomllib.loads(block).items()}
    assert set(entries) == {"qwen", "llama", "mini"}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"dspy-fusion ([\w-]+)", README)) - {"programs"}))
def test_every_command_exists(command: str) -> None:
    assert main([command, "--help"]) == 0


def test_the_tree_is_the_tree() -> None:
    tree = next(block for block in README.split("```")[1::2] if block.startswith("\ndspy_fusion/"))
    folder, missing = "", []
    for line in tree.strip().splitlines():
        name = line.split()[0]
        folder = folder if line.startswith("  ") else name
        path = ROOT / folder / name if line.startswith("  ") else ROOT / name
        missing += [] if path.exists() else [str(path)]
    assert missing == []


def test_modules_that_are_run_exist() -> None:
    for module in set(re.findall(r"python -m (benchmarks[\w.]*|dspy_fusion[\w.]*)", README)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module
