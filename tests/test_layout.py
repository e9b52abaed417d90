"""The promises of the layout: imports point down, rooms are small and well named, and nothing loads early."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("programs", "optimizers", "serving", "experiments")  # each may import those before it
# Floor by floor, the lowest first: a room imports only rooms of lower floors, its own files, and rooms inside itself.
FLOORS = (
    ("experiments/records", "experiments/statistics", "experiments/rows", "experiments/readers"),
    ("experiments/tasks", "experiments/presentation"),
    ("experiments/own_tasks",),
    ("experiments/plans",),
    ("experiments/recordings",),
    ("experiments/pools",),
    ("experiments/evidence",),
    ("experiments/runs",),
    (
        "experiments/reports",
        "experiments/judging",
        "experiments/analyses",
        "experiments/synthesis",
        "experiments/diagnoses",
    ),
    ("experiments/workflows",),
    ("experiments/commands",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {
    "mlflow": {
        "experiments/own_tasks/genai_scorers.py",
        "experiments/runs/logged_models.py",
        "experiments/records/prompt_versions.py",
        "experiments/runs/run_traces.py",
        "experiments/runs/run_writer.py",
        "experiments/runs/tracking.py",
    },
    "matplotlib": {
        "experiments/analyses/figures.py",
        "experiments/pools/curve_plot.py",
        "experiments/presentation/figure.py",
        "experiments/presentation/point_labels.py",
        "experiments/reports/evidence_plots.py",
        "experiments/reports/plots.py",
        "experiments/reports/sureness_plots.py",
        "experiments/reports/tuning_plots.py",
    },
    "fastapi": {"serving/endpoint/app.py"},
    "uvicorn": {"serving/endpoint/connections.py", "serving/endpoint/server.py"},
    "sklearn": {"experiments/judging/length_controlled.py", "programs/calibration.py"},
    "langdetect": {"experiments/tasks/ifeval_rules/arguments.py"},
    "punkt": {"experiments/tasks/ifeval_rules/lengths.py"},
    "janome": {"experiments/tasks/ifeval_rules/japanese.py"},
    "scipy.stats": {"experiments/judging/judge_check.py"},  # half a second; scipy.special has the distributions
    "math_verify": {"experiments/readers/notation.py"},
}


def sources() -> Iterator[Path]:
    for layer in LAYERS:
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / layer).rglob("*.py")))


# Parsed when tests are collected, before any of them leaves a thread behind: where two threads parse at once,
# CPython 3.11 can fail.
PARSED = {path: ast.parse((ROOT / path).read_text(encoding="utf-8")) for path in sources()}
LENGTHS = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in PARSED}
ROOMS = sorted({path.parent for path in PARSED})


@cache
def _import_nodes(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(node for node in ast.walk(PARSED[path]) if isinstance(node, ast.Import | ast.ImportFrom))


def imported(path: Path) -> Iterator[tuple[str, int]]:
    """Absolute module names that a file imports, with the level of relative ones."""
    for node in _import_nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        else:
            yield node.module or "", node.level


def _files_imported(path: Path) -> Iterator[Path]:
    """Files of ours that a file imports."""
    for node in _import_nodes(path):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = path.parents[node.level - 1] if node.level else Path()
        parts = [part for part in (node.module or "").split(".") if part and part != "dspy_fusion"]
        for alias in node.names:
            options = (base.joinpath(*parts, alias.name), base.joinpath(*parts))
            files = [file for option in options for file in (option.with_suffix(".py"), option / "__init__.py")]
            yield from (file for file in files[:1] + files[1:] if file in PARSED)


@cache
def imports() -> dict[Path, set[Path]]:
    """The files of ours that each file imports."""
    return {path: set(_files_imported(path)) for path in PARSED}


@cache
def arrows() -> set[tuple[Path, Path]]:
    """Which room imports which."""
    return {(path.parent, file.parent) for path, files in imports().items() for file in files} - {
        (room, room) for room in ROOMS
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    allowed = ("lazy_face", *LAYERS[: LAYERS.index(layer) + 1])
    wrong = []
    for path in (path for path in PARSED if path.parts[0] == layer):
        for name, level in imported(path):
            parts = name.split(".")
            if not level and parts[0] in LAYERS:
                wrong.append(f"{path} imports {name} by its bare name")
            if level >= len(path.parts):
                wrong.append(f"{path} climbs out of its folder")
            if not level and parts[0] == "dspy_fusion" and parts[1:] and parts[1] not in allowed:
                wrong.append(f"{path} imports {name}, which lies above it")
    assert wrong == []


def test_rooms_import_only_rooms_below_them() -> None:
    wrong = [
        f"{room} imports {other}"
        for room, other in ((str(a), str(b)) for a, b in arrows())
        if room in FLOOR and other in FLOOR and FLOOR[other] >= FLOOR[room]
    ]
    assert wrong == []


def test_no_two_rooms_import_each_other() -> None:
    """A layer's own folder is no room here: its face imports every room, and every room its errors."""
    assert {(a, b) for a, b in arrows() if (b, a) in arrows() and len(a.parts) > 1 and len(b.parts) > 1} == set()


def test_nothing_lies_flat_in_experiments() -> None:
    assert {path.name for path in PARSED if path.parent == Path("experiments")} == {"__init__.py", "__main__.py"}
    assert {str(room) for room in ROOMS if len(room.parts) == 2 and room.parts[0] == "experiments"} == set(FLOOR)


def test_no_file_name_stands_twice() -> None:
    """Commands are apart: they are named after what a user types."""
    names = Counter(path.name for path in PARSED if path.stem[:2] != "__" and path.parent.name != "commands")
    assert {name for name, count in names.items() if count > 1} == set()


def _stem(name: str) -> str:
    return re.sub(r"(ations?|ings?|ions?|ers?|ors?|ed|es|s|e)$", "", name)


def test_no_siblings_share_a_stem() -> None:
    twins = []
    for room in ROOMS:
        names = [path.stem for path in PARSED if path.parent == room and path.stem[:2] != "__"]
        twins += [f"{room}: {a}, {b}" for a, b in itertools.combinations(names, 2) if _stem(a) == _stem(b)]
    assert twins == []


def test_no_small_file_serves_one_neighbour_alone() -> None:
    importers = defaultdict(set)
    for path, files in imports().items():
        for file in files:
            importers[file].add(path)
    lonely = []
    for path, users in importers.items():
        (user, *others) = users
        neighbour = not others and user.parent == path.parent and user.name != "__init__.py"
        if neighbour and path.name != "__init__.py" and LENGTHS[path] < 60:
            lonely.append(f"{path} ({LENGTHS[path]} lines) belongs to {user}")
    assert lonely == []


def test_rooms_hold_three_to_twenty_five_files() -> None:
    """A layer's own folder holds what has no room."""
    sizes = Counter(path.parent for path in PARSED)
    assert {str(room): n for room, n in sizes.items() if len(room.parts) > 1 and not 3 <= n <= 25} == {}


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_libraries_have_few_doors(name: str) -> None:
    doors = {
        str(path)
        for path in PARSED
        for module, level in imported(path)
        if not level and f"{module}.".startswith(f"{name}.")
    }
    assert doors == HEAVY[name]


def test_every_folder_is_a_package() -> None:
    assert [room for room in ROOMS if not (ROOT / room / "__init__.py").exists()] == []


def test_the_package_is_made_of_the_four_folders() -> None:
    for layer in LAYERS:
        assert (ROOT / "dspy_fusion" / layer).resolve() == ROOT / layer


def test_exports_are_what_they_say() -> None:
    import dspy_fusion.programs as programs

    assert all(getattr(programs, name) is not None for name in programs.__all__)


def test_nothing_heavy_loads_with_the_programs() -> None:
    code = (
        "import sys, dspy; before = set(sys.modules); import dspy_fusion.programs; print(*(set(sys.modules) - before));"
        "import dspy_fusion.experiments.commands.compare, dspy_fusion.experiments.commands.tune; print(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    names, commands = (line.split() for line in run.stdout.splitlines())
    assert not {"sqlalchemy", "litellm", "optuna", "mlflow", "matplotlib", "numpy.random", "torch"} & set(names)
    assert not {name for name in names if name.split(".")[0] in LAYERS}
    assert not {"matplotlib", "scipy.stats", "mlflow", "litellm", "torch"} & set(commands), "slow to start"


def test_no_file_is_too_long_to_be_one_idea() -> None:
    assert {str(path): n for path, n in LENGTHS.items() if n > 260} == {}
