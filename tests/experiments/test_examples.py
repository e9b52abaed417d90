"""The examples do what their pages say: the own program, the task of another package, the notebooks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
END = "-- end of a cell --"
COMMAND = [sys.executable, "-m", "dspy_fusion.experiments"]


def ran(*command: str, folder: Path, **environment: str) -> str:
    run = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env={**os.environ, "COLUMNS": "110", **environment}
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def lines(text: str) -> list[str]:
    """The lines with words in them, whatever the widths of columns."""
    return [" ".join(line.split()) for line in text.splitlines() if any(sign.isalnum() for sign in line)]


def test_the_own_program_prints_what_its_page_shows(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLES / "own_program", tmp_path / "own_program"))
    said = ran(*COMMAND, "compare", "compare.toml", "--no-tracking", "--out", "run", folder=folder)
    shown = re.findall(r"^```\n(.*?)^```", (folder / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(shown) == 2
    assert set(lines("".join(shown))) <= set(lines(said))
    again = ran(*COMMAND, "report", "run", folder=folder)
    assert "fusion of 3" in again


def test_the_own_program_needs_no_file(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(EXAMPLES / "own_program", tmp_path / "own_program"))
    block = next(
        block for block in re.findall(r"(?:^    .*\n)+", (folder / "README.md").read_text(), re.M) if "--data" in block
    )
    command = block.replace("\\\n", " ").replace("dspy-fusion", f"{sys.executable} -m dspy_fusion.experiments")
    said = ran("bash", "-c", f"{command.strip()} --no-tracking --examples 3 --out run", folder=folder)
    assert "two steps" in said
    assert "fused" in said


def test_a_task_of_an_installed_package_is_found_by_its_name(tmp_path: Path) -> None:
    """Really built and installed, into a folder of its own, so that its entry point is on disk as pip writes it."""
    source = Path(shutil.copytree(EXAMPLES / "own_task", tmp_path / "own_task"))
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    ran(sys.executable, "-m", "pip", "install", *offline, "--target", "site", str(source), folder=tmp_path)
    assert list((tmp_path / "site").glob("capitals_task-*.dist-info/entry_points.txt"))
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    assert "capitals" in ran(*COMMAND, "tasks", folder=tmp_path, PYTHONPATH=path)
    options = ["--models", "plus", "--adapter", "plain", "--examples", "2", "--n", "2", "--no-tracking", "--out", "run"]
    said = ran(*COMMAND, "compare", "--task", "capitals", *options, folder=tmp_path, PYTHONPATH=path)
    assert "single plus" in said
    missing = subprocess.run([*COMMAND, "tasks", "capitals"], capture_output=True, text=True, cwd=tmp_path)
    assert "there is no task 'capitals'" in missing.stderr


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_is_kept_in_it(path: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES / "own_program", tmp_path / "own_program")
    (tmp_path / "notebooks").mkdir()
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    code = f"\nprint({END!r})\n".join("".join(cell["source"]) for cell in cells)
    said = ran(sys.executable, "-c", code, folder=tmp_path / "notebooks").split(f"{END}\n")
    assert said == ["".join(text for output in cell["outputs"] for text in output["text"]) for cell in cells]


def test_there_are_three_notebooks() -> None:
    assert len(NOTEBOOKS) == 3
    assert all(path.stat().st_size < 20_000 for path in NOTEBOOKS)
