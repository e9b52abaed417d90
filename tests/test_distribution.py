"""What is installed: the wheel's files, and a clean environment with a wheel and with an editable installation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
FOLDERS = ("programs", "optimizers", "serving", "experiments")
DATA = (".html", ".json", ".safetensors", ".toml")
USER = """
from dspy_fusion import (
    AggregationFineTuning, BestOfN, CandidateBank, Fusion, LMJudge, OptunaTuner, PlainAdapter, ProposeAggregate, Vote,
    __version__, embedded_lm, limited, load_models, load_program, save_program,
)
from dspy_fusion.experiments import Comparison, load_task
from dspy_fusion.optimizers import tokens
from dspy_fusion.optimizers.finetuning import Training
from dspy_fusion.programs import Pool
from dspy_fusion.programs.errors import FusionError
from dspy_fusion.serving import ModelEntry

reveal_type(Fusion)
reveal_type(OptunaTuner)
reveal_type(AggregationFineTuning)
reveal_type(Comparison)
reveal_type(embedded_lm)
"""
REVEALED = ("type[Fusion]", "type[OptunaTuner]", "type[AggregationFineTuning]", "type[Comparison]", "(name: str, ")
MISSING = {
    "OptunaTuner": "optimizers",
    "AggregationFineTuning": "finetune",
    "embedded_lm": "serving",
}


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def install(python: Path, *what: str) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).resolve().parent))
    pip = [uv, "pip", "install", "-q", "--python", python] if uv else [python, "-m", "pip", "install", "-q"]
    run(*pip, *what, cwd=python.parent)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, ROOT, cwd=folder)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which nothing is installed."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder, cwd=folder)
    return folder / "bin" / "python"


def check_types(python: Path, folder: Path) -> None:
    (folder / "mine.py").write_text(USER)
    (folder / "pyrightconfig.json").write_text('{"venvPath": ".", "reportMissingImports": "error"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", str(python), "-p", str(folder)]
    report = json.loads(subprocess.run(command, capture_output=True, text=True, timeout=600).stdout)
    texts = [row["message"] for row in report["generalDiagnostics"]]
    assert report["summary"]["errorCount"] == 0, texts
    assert all(any(f'is "{start}' in text for text in texts) for start in REVEALED), texts


def test_the_wheel_holds_the_four_folders_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", *FOLDERS, cwd=ROOT).splitlines()
    sources = {f"dspy_fusion/{name}" for name in tracked if name.endswith((".py", *DATA))}
    assert names == {*sources, "dspy_fusion/__init__.py", "dspy_fusion/lazy_face.py", "dspy_fusion/py.typed"}


def test_a_wheel_alone_works_anywhere_and_names_the_extras_it_lacks(wheel: Path, clean: Path, tmp_path: Path) -> None:
    install(clean, str(wheel))
    code = (
        "from dspy_fusion import Fusion, CandidateBank, load_models, __version__; print(Fusion.__module__, __version__)"
    )
    assert run(clean, "-c", code, cwd=tmp_path) == f"dspy_fusion.programs.fusion {wheel.name.split('-')[1]}\n"
    for name, extra in MISSING.items():
        last = run(clean, "-c", f"from dspy_fusion import {name}", cwd=tmp_path, code=1).splitlines()[-1]
        assert f"MissingExtra: {name} needs " in last
        assert last.endswith(f": pip install 'dspy-fusion[{extra}]'")
    told = run(clean.parent / "dspy-fusion", "compare", cwd=tmp_path, code=2)
    assert told == "dspy-fusion: the command compare needs rich: pip install 'dspy-fusion[experiments]'\n"
    check_types(clean, tmp_path)


def test_an_editable_installation_is_followed_by_type_checkers(clean: Path, tmp_path: Path) -> None:
    install(clean, "-e", str(ROOT))
    (link,) = clean.parent.parent.glob("lib/python*/site-packages/*dspy_fusion*.pth")
    assert Path(link.read_text().strip()) == ROOT
    where = run(clean, "-c", "import dspy_fusion.programs as p; print(p.__file__)", cwd=tmp_path)
    assert Path(where.strip()).resolve() == ROOT / "programs" / "__init__.py"
    check_types(clean, tmp_path)
