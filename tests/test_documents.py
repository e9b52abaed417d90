"""README and the site say what is: examples print what stands below them, and what they name exists."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.serving.catalogue.entry_tables import read_entry

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
TEXT = "\n".join(PAGES.values())
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```)?", re.DOTALL | re.MULTILINE)
EXAMPLES = [(name, code, output) for name, text in PAGES.items() for code, output in BLOCK.findall(text)]


@pytest.mark.parametrize(("code", "output"), [(code, output) for _, code, output in EXAMPLES if output])
def test_an_example_prints_what_stands_below_it(code: str, output: str, tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert run.stdout == output, run.stderr


def test_there_are_examples_that_print_something() -> None:
    assert {"README.md"} <= {name for name, _, output in EXAMPLES if output}


@pytest.mark.parametrize("code", [code for _, code, _ in EXAMPLES])
def test_an_example_imports_what_there_is(code: str) -> None:
    lines = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    exec("\n".join(ast.unparse(node) for node in lines), {})


def test_the_example_models_are_models() -> None:
    tables = [tomllib.loads(block) for block in re.findall(r"^```toml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)]
    entries = {name: read_entry(name, table) for tables_ in tables for name, table in tables_.items()}
    assert {"qwen", "llama", "mini", "coder"} <= set(entries)


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^dspy-fusion ([\w-]+)", TEXT, re.MULTILINE))))
def test_every_command_exists(command: str) -> None:
    assert main([command, "--help"]) == 0


def test_the_tree_is_the_tree() -> None:
    tree = next(block for block in PAGES["architecture.md"].split("```")[1::2] if block.startswith("\ndspy_fusion/"))
    folder, missing = "", []
    for line in tree.strip().splitlines():
        name = line.split()[0]
        folder = folder if line.startswith("  ") else name
        path = ROOT / folder / name if line.startswith("  ") else ROOT / name
        missing += [] if path.exists() else [str(path)]
    assert missing == []


def test_modules_that_are_run_exist() -> None:
    for module in set(re.findall(r"python -m (benchmarks[\w.]*\w|dspy_fusion[\w.]*\w)", TEXT)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_links_lead_somewhere() -> None:
    for name, text in PAGES.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([\w./-]+\.md)[)#]", text):
            assert (folder / target).is_file(), f"{name} links to {target}"


def test_every_page_is_on_the_site() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert {name for name in PAGES if name != "README.md" and name not in site} == set()


def test_the_reference_names_what_there_is() -> None:
    import importlib

    for path in re.findall(r"^::: (dspy_fusion[\w.]+)", PAGES["api.md"], re.MULTILINE):
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(module), name), path
