"""Options are visible: to ``help``, to ``inspect``, to type checkers, and in the error about a misspelt one."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.optimizers.finetuning import AggregationFineTuning
from dspy_fusion.programs import (
    BestOfN,
    ConfigurationError,
    Fusion,
    GenSelect,
    JudgePanel,
    LMJudge,
    PairwiseJudge,
    PairwiseTournament,
    ProposeAggregate,
    RewardModel,
    Scorer,
    UniversalSelfConsistency,
    UnknownOption,
    Vote,
)
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.options import FusingOptions, SamplingOptions
from dspy_fusion.programs.sampling_program import SamplingProgram

ROOT = Path(__file__).parents[2]
PROGRAMS = (BestOfN, Fusion, ProposeAggregate, Vote)
TASK = dspy.Predict("question -> answer")


def reward(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return 1.0


def made(make: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Calls a class as a program without type checks does."""
    return make(*args, **options)


@pytest.mark.parametrize(
    ("make", "args", "wrong", "meant"),
    [
        (Fusion, (TASK,), "N", "n"),
        (Fusion, (TASK,), "temprature", "temperature"),
        (Fusion, (TASK,), "fusorLM", "fusor_lm"),
        (Fusion, (TASK,), "fusor_temp", "fusor_temperature"),
        (Fusion, (TASK,), "max_workers", "max_concurrency"),
        (Fusion, (TASK,), "module", "program"),
        (ProposeAggregate, (TASK,), "N", "width"),
        (ProposeAggregate, (TASK,), "num_layers", "depth"),
        (Vote, (TASK,), "num_samples", "n"),
        (Vote, (TASK,), "normalise", "normalize"),
        (LMJudge, (), "criteria", "rubric"),
        (JudgePanel, ([],), "combined", "combine"),
        (GenSelect, (), "model", "lm"),
        (UniversalSelfConsistency, (), "max_chars", "max_characters"),
        (PairwiseTournament, (), "instruction", "instructions"),
        (PairwiseJudge, ("question -> answer",), "both_order", "both_orders"),
        (RewardModel, ("http://127.0.0.1",), "timeout", "timeout_seconds"),
        (OptunaTuner, (reward,), "num_trials", "trials"),
        (OptunaTuner, (reward,), "reflection_lm", "proposer"),
        (AggregationFineTuning, ("base",), "output_dir", "output"),
    ],
)
def test_an_option_that_does_not_exist_is_answered_with_the_one_that_was_meant(
    make: Any, args: tuple[Any, ...], wrong: str, meant: str
) -> None:
    with pytest.raises(UnknownOption, match=f"^{make.__name__} has no option '{wrong}'; did you mean '{meant}'\\?$"):
        made(make, *args, **{wrong: 1})


def test_an_option_like_no_other_is_answered_with_those_that_exist() -> None:
    with pytest.raises(
        UnknownOption,
        match=r"Vote has no option 'zzz'; it has program, n, max_n, .*fields, .*, on_abstain, adapter, reasoning$",
    ):
        made(Vote, TASK, zzz=1)


def test_all_unknown_options_are_named_at_once() -> None:
    with pytest.raises(UnknownOption, match=r"has no options 'layers' and 'foo'; did you mean 'depth' for 'layers'\?"):
        made(ProposeAggregate, TASK, layers=2, foo=1)


def test_the_error_is_what_python_and_this_library_would_raise() -> None:
    for kind in (TypeError, ConfigurationError):
        with pytest.raises(kind, match="did you mean 'n'"):
            made(Fusion, TASK, N=3)


def test_compile_refuses_what_it_would_not_use() -> None:
    with pytest.raises(UnknownOption, match=r"^OptunaTuner.compile has no option 'trainst'; did you mean 'trainset'\?"):
        made(OptunaTuner(lambda *_: 1.0).compile, Fusion(TASK), trainst=[])


class Mine(Fusion):
    """A user's own, with untyped options."""

    def __init__(self, program: dspy.Module, mine: int = 2, **options: Any) -> None:
        super().__init__(program, **options)
        self.mine = mine


class Length(Scorer):
    """A user's own scorer."""

    def __init__(self, *, target: int) -> None:
        super().__init__()
        self.target = target


def test_users_classes_are_named_by_their_own_name() -> None:
    with pytest.raises(UnknownOption, match=r"^Mine has no option 'N'; did you mean 'n'"):
        made(Mine, TASK, N=3)
    with pytest.raises(UnknownOption, match=r"^Length has no option 'targets'; did you mean 'target'"):
        made(Length, targets=3)
    assert Mine(TASK, 3, n=4).mine == 3
    assert list(inspect.signature(Mine).parameters)[:3] == ["program", "mine", "n"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_every_option_with_its_default_and_meaning(program: type) -> None:
    options = FusingOptions if issubclass(program, FusingProgram) else SamplingOptions
    parameters = inspect.signature(program).parameters
    for name in options.__annotations__:
        assert parameters[name].default is not inspect.Parameter.empty
        assert f"\n    {name}: " in (inspect.getdoc(program) or "")
    assert all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters.values())


def test_an_instance_is_called_as_before() -> None:
    assert "n" not in inspect.signature(Fusion(TASK)).parameters


def test_shared_options_are_the_parameters_of_the_programs_that_read_them() -> None:
    """An option stands in two places, as a typed key and as a parameter with a default; they say the same."""
    fusing = FusingOptions.__annotations__.keys() - SamplingOptions.__annotations__.keys()
    for program, names in ((SamplingProgram, SamplingOptions.__annotations__.keys()), (FusingProgram, fusing)):
        own = inspect.signature(program.__init__).parameters
        keywords = {
            name: p.annotation
            for name, p in own.items()
            if p.kind is p.KEYWORD_ONLY and name not in ("instructions", "compare")
        }
        assert keywords.keys() == names
        for name, annotation in keywords.items():
            assert FusingOptions.__annotations__[name].__forward_arg__ == annotation


MISSPELT = """
import dspy
from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.programs import BestOfN, Fusion, LMJudge, ProposeAggregate, Vote
from dspy_fusion.serving import embedded_lm, local_lm

task = dspy.Predict("question -> answer")
Fusion(task, n=3, temperature=0.5, fusor_temperature=None, quorum=2, on_fusor_failure="raise")
ProposeAggregate(task, width=3, depth=1, seed=None)
Vote(task, n=3, max_concurrency=2)
Fusion(task, N=3)  # wrong
Fusion(task, temprature=0.5)  # wrong
Fusion(task, quorum="all")  # wrong
Fusion(task, on_fusor_failure="ignore")  # wrong
ProposeAggregate(task, layers=3)  # wrong
Vote(task, num_samples=3)  # wrong
LMJudge(rubrik="short")  # wrong
OptunaTuner(lambda *_: 1.0, num_trials=3)  # wrong
embedded_lm("plus", temprature=0.5)  # wrong
embedded_lm("plus", temperature="hot")  # wrong
local_lm("model.gguf", max_token=3)  # wrong
"""


def test_a_type_checker_sees_every_misspelt_option(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MISSPELT)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    errors = [row for row in json.loads(run.stdout)["generalDiagnostics"] if row["severity"] == "error"]
    lines = {number for number, line in enumerate(MISSPELT.splitlines()) if line.endswith("# wrong")}
    assert {row["range"]["start"]["line"] for row in errors} == lines, errors
