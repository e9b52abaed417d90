"""DSPy's own ``save`` writes what a new process serves: the same answers, from a file or a folder, tuned or not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.signatures.signature import make_signature

from dspy_fusion.optimizers import OptunaTuner
from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, Likelihood, PlainAdapter, ProposeAggregate, Vote
from dspy_fusion.serving import ModelCatalogue, ModelEntry, embedded_lm, load_program
from dspy_fusion.serving.embedded.arithmetic import TASK_INSTRUCTIONS

SHEET = "(a) 12 + 30\n(b) 745 - 98"
BUILTIN = ModelCatalogue.builtin()
OWN: dict[str, Any] = {"lms": [embedded_lm("plus"), embedded_lm("minus", temperature=0.4)], "temperature": 0.9}
FUSING: dict[str, Any] = {**OWN, "fusor_lm": BUILTIN.lm("aft", max_tokens=200)}


def sheets() -> dspy.Predict:
    return dspy.Predict(make_signature("worksheet -> answers", TASK_INSTRUCTIONS))


PROGRAMS: dict[str, Callable[[], Any]] = {
    "Fusion": lambda: Fusion(sheets(), n=3, **FUSING),
    "ProposeAggregate": lambda: ProposeAggregate(sheets(), width=2, depth=2, **FUSING),
    "Vote": lambda: Vote(sheets(), n=3, fields=["answers"], **OWN),
    "BestOfN": lambda: BestOfN(sheets(), n=2, scorer=Likelihood(), **OWN),
    "one in another": lambda: Fusion(Vote(sheets(), n=2, lms=[embedded_lm("times")]), n=2, **FUSING),
}
ANSWER = """
import sys
import dspy
from dspy_fusion.serving import ModelCatalogue, load_program
loaded = load_program(sys.argv[1], ModelCatalogue.builtin())
with dspy.context(adapter=loaded.adapter):
    sys.stdout.write(loaded.program(worksheet=sys.argv[2]).answers)
"""


def answer_of_a_new_process(path: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-c", ANSWER, str(path), SHEET], capture_output=True, text=True, timeout=400, cwd=path.parent
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_save_wrote_is_built_again(kind: str, tmp_path: Path) -> None:
    program = PROGRAMS[kind]()
    with dspy.context(adapter=PlainAdapter()):
        program.save(tmp_path / "p.json")
        loaded = load_program(tmp_path / "p.json", BUILTIN)
        assert (loaded.name, type(loaded.adapter)) == ("p", PlainAdapter)
        assert loaded.program.dump_state() == program.dump_state()
        assert loaded.program(worksheet=SHEET).toDict() == program(worksheet=SHEET).toDict()
        fresh = PROGRAMS[kind]()
        fresh.load(tmp_path / "p.json")  # as DSPy has it
        assert fresh.dump_state() == program.dump_state()


def test_a_tuned_program_answers_the_same_in_a_new_process(tmp_path: Path) -> None:
    trainset = [dspy.Example(worksheet=f"(a) {i} + 3", answers=f"(a) {i} + 3 = {i + 3}") for i in range(4)]
    trainset = [example.with_inputs("worksheet") for example in trainset]
    metric = lambda gold, pred, trace=None: gold.answers == pred.answers  # noqa: E731
    tuner = OptunaTuner(metric=metric, trials=3, storage=tmp_path / "tuning.db")
    with dspy.context(adapter=PlainAdapter()):
        tuned = tuner.compile(PROGRAMS["Fusion"](), trainset=trainset)
        tuned.save(tmp_path / "tuned.json")
        tuned.save(tmp_path / "whole", save_program=True)
        expected = tuned(worksheet=SHEET).answers
    assert answer_of_a_new_process(tmp_path / "tuned.json") == expected
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"program.pkl", "metadata.json", "program.json"}
    assert answer_of_a_new_process(tmp_path / "whole" / "program.json") == expected


def test_the_sampling_of_models_and_predictors_comes_back(tmp_path: Path) -> None:
    program = PROGRAMS["Fusion"]()
    program.program.config = {"max_tokens": 50}
    program.save(tmp_path / "p.json")
    loaded = load_program(tmp_path / "p.json", BUILTIN).program
    assert isinstance(loaded, Fusion)
    assert [lm.kwargs.get("temperature") for lm in loaded.lms or ()] == [None, 0.4]
    assert loaded.fusor_lm
    assert loaded.fusor_lm.kwargs["max_tokens"] == 200
    assert loaded.program.config == {"max_tokens": 50}


def test_models_of_a_catalogue_go_by_their_names(tmp_path: Path) -> None:
    catalogue = ModelCatalogue({"mine": ModelEntry("hosted_vllm/m", address="http://127.0.0.1:9/v1")})
    Fusion(sheets(), lms=[catalogue.lm("mine")], fusor_lm=catalogue.lm("mine")).save(tmp_path / "p.json")
    assert "127.0.0.1" not in (tmp_path / "p.json").read_text()
    loaded = load_program(tmp_path / "p.json", catalogue).program
    assert loaded.lms
    assert loaded.lms[0].kwargs["api_base"] == "http://127.0.0.1:9/v1"


def test_a_model_at_an_address_is_named_by_whoever_loads_the_file(tmp_path: Path) -> None:
    lm = dspy.LM("hosted_vllm/m", api_base="http://me:secret-word-9@127.0.0.1:9/v1", api_key="sk-secret-9999999999")
    Fusion(sheets(), n=2, lms=[lm], fusor_lm=lm).save(tmp_path / "p.json")
    text = (tmp_path / "p.json").read_text()
    assert not any(word in text for word in ("secret", "127.0.0.1"))
    with pytest.raises(ConfigurationError, match=r"saved with 'hosted_vllm/m' as lms.*name one with --lm"):
        load_program(tmp_path / "p.json", BUILTIN)
    loaded = load_program(tmp_path / "p.json", BUILTIN, lm="plus", fusor_lm="aft").program
    assert isinstance(loaded, Fusion)
    assert [vars(lm)["known_as"] for lm in (*(loaded.lms or ()), loaded.fusor_lm)] == ["plus", "aft"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BestOfN(sheets(), scorer=lambda args, pred: 1.0), "a scorer of the kind 'RewardFunction'"),
        (lambda: Vote(sheets(), normalize=str.lower), "the function normalize="),
        (lambda: Vote(sheets(), signature="worksheet -> answers, more"), "was given signature="),
        (lambda: Vote(dspy.ReAct(dspy.Signature("a -> b"), tools=[])), "a task program of the kind 'ReAct'"),
    ],
)
def test_what_no_file_can_describe_is_saved_as_by_dspy(make: Callable[[], Any], message: str, tmp_path: Path) -> None:
    program = make()
    program.save(tmp_path / "p.json")
    with pytest.raises(ConfigurationError, match=f"holds a program's state but not how to build it: .*{message}"):
        load_program(tmp_path / "p.json", BUILTIN)
    program.load(tmp_path / "p.json")


def test_a_file_of_its_own_kind_is_written_as_before(tmp_path: Path) -> None:
    PROGRAMS["Vote"]().save(tmp_path / "p.pkl")
    assert (tmp_path / "p.pkl").read_bytes()[:1] == b"\x80"
    with pytest.raises(ValueError, match=r"must end with `\.json` or `\.pkl`"):
        PROGRAMS["Vote"]().save(tmp_path / "p.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["p.pkl"]


def test_programs_within_programs_have_an_end(tmp_path: Path) -> None:
    Vote(sheets(), n=1).save(tmp_path / "p.json")
    state = json.loads((tmp_path / "p.json").read_text())
    for _ in range(20):
        state["dspy_fusion"] = {**state["dspy_fusion"], "task": {"module": dict(state["dspy_fusion"])}}
    (tmp_path / "p.json").write_text(json.dumps(state))
    with pytest.raises(ConfigurationError, match="programs within programs, more than 8 deep"):
        load_program(tmp_path / "p.json", BUILTIN)
