"""The front door: every name of ``dspy_fusion``, what importing it costs, and what a missing extra says."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dspy_fusion
from dspy_fusion import experiments, optimizers, programs, serving
from dspy_fusion.optimizers import finetuning
from dspy_fusion.programs.extras import needs
from dspy_fusion.serving import embedded, endpoint

ROOT = Path(__file__).parent.parent
LAZY = (dspy_fusion, optimizers, finetuning, serving, embedded, endpoint, experiments)
FIRST_HOUR = (
    "AggregationFineTuning", "BestOfN", "Candidate", "CandidateBank", "Fusion", "FusionError", "Hyperparameter",
    "LMJudge", "OptunaTuner", "PlainAdapter", "Pool", "ProposeAggregate", "Usage", "Vote", "embedded_lm", "limited",
    "load_models", "load_program", "save_program",
)  # fmt: skip
EXTRA_PACKAGES = {
    "accelerate", "alembic", "datasets", "datasketch", "fastapi", "janome", "langdetect", "math_verify", "matplotlib",
    "mlflow", "numpy", "optuna", "peft", "punkt", "py3langid", "pyarrow", "ray", "rich", "sacrebleu", "safetensors",
    "scipy", "sklearn", "threadpoolctl", "torch", "transformers", "trl", "uvicorn",
}  # fmt: skip
BLOCKED = f"""
import contextlib, io, json, sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, path=None, target=None):
        blocked = name.partition(".")[0] in {sorted(EXTRA_PACKAGES)}
        return None if blocked else self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""
MISSING = [
    ("from dspy_fusion import OptunaTuner", "OptunaTuner needs optuna", "optimizers"),
    ("from dspy_fusion.optimizers import SearchSpace", "", ""),
    ("from dspy_fusion import AggregationFineTuning", "AggregationFineTuning needs numpy", "finetune"),
    ("from dspy_fusion.optimizers.finetuning import SampledProposals", "", ""),
    ("from dspy_fusion import embedded_lm", "embedded_lm needs numpy", "serving"),
    ("from dspy_fusion.serving.embedded import huggingface_lm", "huggingface_lm needs numpy", "serving"),
    ("from dspy_fusion.serving.endpoint import create_app", "create_app needs fastapi", "serve"),
    ("from dspy_fusion.serving.endpoint import endpoint_server", "endpoint_server needs ", "serve"),
    ("import dspy_fusion; dspy_fusion.load_models().lm('embedded/plus')", "embedded_lm needs numpy", "serving"),
    ("from dspy_fusion.experiments import Comparison", "Comparison needs numpy", "experiments"),
    ("from dspy_fusion import Fusion, BestOfN, Vote, LMJudge, CandidateBank, load_models, save_program", "", ""),
    ("import dspy_fusion.optimizers, dspy_fusion.optimizers.finetuning, dspy_fusion.experiments", "", ""),
    ("import dspy_fusion.serving, dspy_fusion.serving.embedded, dspy_fusion.serving.endpoint", "", ""),
]
COMMANDS = {
    "compare": "experiments",
    "demo": "experiments",
    "finetune": "experiments,finetune",
    "models": "experiments",
    "serve": "serve",
    "synthesize": "experiments,synthesize",
    "tune": "experiments",
}


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", env=dict(os.environ))


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_every_name_is_there(package: object) -> None:
    names = package.__all__
    assert all(getattr(package, name) is not None for name in names)
    assert set(names) <= set(dir(package))


def test_what_is_needed_in_the_first_hour_is_at_the_front_door() -> None:
    assert set(FIRST_HOUR) <= set(dspy_fusion.__all__)
    assert dspy_fusion.Fusion is programs.Fusion


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_type_checkers_are_told_the_names_that_are_loaded(package: object) -> None:
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (told,) = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    names = [alias.asname for node in told.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(names) == package.__all__


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'dspy_fusion' has no attribute 'Fuson'$"):
        dspy_fusion.Fuson  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Fuson' from 'dspy_fusion'"):
        from dspy_fusion import Fuson  # noqa: F401


def test_the_version_is_that_of_the_project() -> None:
    assert dspy_fusion.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_source_that_is_on_the_path_and_not_installed_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert getattr(dspy_fusion, "__version__", None) is None  # as what names a package's version asks for it


def test_the_front_door_loads_nothing_until_it_is_asked() -> None:
    run = python(
        "import sys, dspy_fusion, dspy_fusion.optimizers, dspy_fusion.serving\n"
        "assert 'dspy' not in sys.modules\n"
        "from dspy_fusion import Fusion\n"
        "print(*{'sqlalchemy', 'litellm', 'optuna', 'mlflow', 'numpy', 'numpy.random', 'torch'} & set(sys.modules))"
    )
    assert (run.returncode, run.stdout.strip(), run.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def errors() -> dict[str, str]:
    """What each piece of code raises where no extra is installed."""
    run = python(
        f"""{BLOCKED}
errors = {{}}
for code in {[code for code, _, _ in MISSING]}:
    try:
        exec(code)
        errors[code] = ""
    except Exception as error:
        errors[code] = f"{{type(error).__name__}}: {{error}}"
print(json.dumps(errors))
"""
    )
    return json.loads(run.stdout)


@pytest.mark.parametrize(("code", "needed", "extra"), MISSING, ids=lambda text: text)
def test_a_missing_extra_is_one_line_that_names_it(errors: dict[str, str], code: str, needed: str, extra: str) -> None:
    if not needed:
        assert errors[code] == ""
        return
    assert errors[code].startswith(f"MissingExtra: {needed}")
    assert errors[code].endswith(f": pip install 'dspy-fusion[{extra}]'")
    assert "\n" not in errors[code]


def test_a_command_without_its_extra_says_so_in_one_line() -> None:
    run = python(
        f"{BLOCKED}\nfrom dspy_fusion.experiments.__main__ import main\n"
        f"print(*[main([command, '--help']) for command in {list(COMMANDS)}])"
    )
    assert run.stdout.split() == ["2"] * len(COMMANDS)
    lines = run.stderr.splitlines()
    for line, (command, extra) in zip(lines, COMMANDS.items(), strict=True):
        assert line.startswith(f"dspy-fusion: the command {command} needs ")
        assert line.endswith(f": pip install 'dspy-fusion[{extra}]'")


def test_a_missing_extra_is_an_import_error_and_one_of_this_library() -> None:
    for kind in (ImportError, programs.ConfigurationError, programs.MissingExtra):
        with pytest.raises(
            kind, match=r"^It needs no_such: pip install 'dspy-fusion\[all\]', or go without$"
        ) as caught:
            with needs("It", "all", otherwise="go without"):
                __import__("no_such.module")
        assert caught.value.name == "no_such"


def test_a_module_of_our_own_that_is_missing_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'dspy_fusion.nothing'$"):
        with needs("It", "all"):
            __import__("dspy_fusion.nothing")


def test_every_extra_that_is_named_exists() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    from dspy_fusion import lazy_face
    from dspy_fusion.experiments.commands import EXTRAS

    named = {*lazy_face._EXTRAS.values(), *(extra for text in EXTRAS.values() for extra in text.split(","))}
    for layer in ("programs", "optimizers", "serving", "experiments"):
        for path in (ROOT / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("needs", "require"):
                    named |= {node.args[1].value} if isinstance(node.args[1], ast.Constant) else set()
    assert named <= extras
