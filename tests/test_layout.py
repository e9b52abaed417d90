"""The promises of the layout: imports point down, every file is packaged, exports are what they say, and nothing heavy loads early."""

from __future__ import annotations

import ast
import fnmatch
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("programs", "optimizers", "serving", "experiments")  # each may import those before it
HEAVY = {
    "mlflow": {"experiments/finetune_tracking.py", "experiments/study_tracking.py", "experiments/tracking.py"},
    "matplotlib": {
        "experiments/analyses/figures.py",
        "experiments/evidence_plots.py",
        "experiments/plots.py",
        "experiments/recorded/curve_plot.py",
        "experiments/tuning_plots.py",
    },
    "fastapi": {"serving/endpoint/app.py"},
    "uvicorn": {"serving/endpoint/server.py"},
    "sklearn": {"experiments/judging/length_controlled.py"},
    "langdetect": {"experiments/ifeval/language_id.py"},
    "punkt": {"experiments/ifeval/segments.py"},
    "janome": {"experiments/ifeval/japanese_words.py"},
    "math_verify": {"experiments/tasks/numbers.py"},
}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def sources() -> Iterator[Path]:
    for layer in LAYERS:
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / layer).rglob("*.py")))


# Parsed when tests are collected, before any of them leaves a thread behind: where two threads parse at once, CPython 3.11 can fail.
PARSED = {path: ast.parse((ROOT / path).read_text()) for path in sources()}


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute module names that a file imports, with the level of relative ones."""
    for node in ast.walk(PARSED[path]):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


@pytest.mark.parametrize("path", list(sources()), ids=str)
def test_imports_point_down(path: Path) -> None:
    allowed = LAYERS[: LAYERS.index(path.parts[0]) + 1]
    for name, level in imported(path):
        parts = name.split(".")
        assert level or parts[0] not in LAYERS, f"{path} imports {name} by its bare name"
        assert level < len(path.parts), f"{path} climbs out of its folder"
        assert level or parts[0] != "dspy_fusion" or parts[1] in allowed, f"{path} imports {name}, which lies above it"


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_libraries_have_few_doors(name: str) -> None:
    doors = {str(path) for path in sources() for module, level in imported(path) if not level and module.split(".")[0] == name}
    assert doors == HEAVY[name]


def test_every_file_is_packaged() -> None:
    setuptools = PYPROJECT["tool"]["setuptools"]
    folders = {package: package.replace("dspy_fusion.", "").replace(".", "/") for package in setuptools["packages"]}
    for path in subprocess.run(["git", "ls-files", *LAYERS], cwd=ROOT, capture_output=True, text=True).stdout.split():
        if path.endswith(".py"):
            assert str(Path(path).parent) in folders.values(), f"{path} is in no listed package"
            continue
        globs = [
            f"{folders[package]}/{glob}" for package, patterns in setuptools["package-data"].items() for glob in patterns
        ]
        assert any(fnmatch.fnmatch(path, glob) for glob in globs), f"{path} is in no package-data glob"


def test_exports_are_what_they_say() -> None:
    import dspy_fusion.programs as programs

    assert all(getattr(programs, name) is not None for name in programs.__all__)


def test_nothing_heavy_loads_with_the_programs() -> None:
    code = "import sys, dspy; before = set(sys.modules); import dspy_fusion.programs; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/").stdout.split()
    heavy = {"sqlalchemy", "litellm", "optuna", "mlflow", "matplotlib", "numpy.random", "torch"}
    assert not heavy & set(loaded)
    assert not {name for name in loaded if name.split(".")[0] in LAYERS}


def test_no_file_is_too_long_to_be_one_idea() -> None:
    lengths = {str(path): len((ROOT / path).read_text().splitlines()) for path in sources()}
    assert {path: n for path, n in lengths.items() if n > 260} == {}
