from __future__ import annotations

from typing import Any

import dspy
import optuna
import pytest
from tuning_problem import CAREFUL, program

from dspy_fusion.optimizers import SearchSpace
from dspy_fusion.programs import FUSOR_INSTRUCTIONS, BestOfN, ConfigurationError, Fusion, LMJudge, ProposeAggregate


class Pipeline(dspy.Module):
    """A program of the library inside another module."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = dspy.Predict("question -> plan")
        self.fused = Fusion(dspy.Predict("plan -> answer"), n=3)

    def forward(self, question: str) -> Any:
        return self.fused(plan=self.plan(question=question).plan)


def names(space: SearchSpace) -> set[str]:
    return {dimension.name for dimension in space.dimensions}


def test_nested_programs_are_found() -> None:
    found = names(SearchSpace.of(Pipeline()))
    assert {"fused.n", "fused.temperature", "instruction:fused.fusor"} <= found
    assert not any("plan" in name for name in found)


def test_layers_and_judges_are_found() -> None:
    assert {"width", "depth", "aggregation_temperature"} <= names(
        SearchSpace.of(ProposeAggregate(dspy.Predict("q -> a")))
    )
    judged = BestOfN(dspy.Predict("q -> a"), n=3, scorer=LMJudge())
    assert "n" in names(SearchSpace.of(judged))


def test_the_task_is_tuned_only_on_request() -> None:
    texts = {"program": ["Answer well."], "fusor": [CAREFUL]}
    space = SearchSpace.of(program(), instructions=texts, tune_task=True)
    assert space.instructions["program"][1] == "Answer well."
    assert "instruction:program" not in names(SearchSpace.of(program()))


def test_the_programs_own_instruction_comes_first_and_the_librarys_follow() -> None:
    fusion = Fusion(dspy.Predict("q -> a"), instructions="Mine.")
    assert SearchSpace.of(fusion).instructions["fusor"] == ("Mine.", *FUSOR_INSTRUCTIONS)


def test_given_instructions_replace_the_librarys() -> None:
    assert len(SearchSpace.of(program(), instructions=[CAREFUL]).instructions["fusor"]) == 2


@pytest.mark.parametrize("path", ["n", "fusor"])
def test_an_excluded_path_stays_as_it_is(path: str) -> None:
    assert not any(
        path in name.partition(":")[2] or name == path for name in names(SearchSpace.of(program(), exclude=[path]))
    )


def test_excluding_a_module_excludes_what_is_below_it() -> None:
    with pytest.raises(ConfigurationError, match="nothing to tune"):
        SearchSpace.of(Pipeline(), exclude=["fused"])


def test_unknown_paths_are_refused_with_what_there_is() -> None:
    with pytest.raises(
        ConfigurationError, match=r"exclude names 'm', which is no parameter of the program; it has .*'n'"
    ):
        SearchSpace.of(program(), exclude=["m"])
    with pytest.raises(ConfigurationError, match=r"instructions names 'fuser', which is no predictor .*'fusor'"):
        SearchSpace.of(program(), instructions={"fuser": ["x"]})


def test_a_program_without_anything_to_tune_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"Predict has nothing to tune.*wrap your module in Fusion"):
        SearchSpace.of(dspy.Predict("q -> a"))


def test_texts_grow_at_the_end_and_never_twice() -> None:
    space = SearchSpace.of(program(), instructions=[CAREFUL]).with_texts("fusor", ["New.", CAREFUL, "New."])
    assert space.instructions["fusor"][1:] == (CAREFUL, "New.")


def test_a_point_is_applied_to_a_copy() -> None:
    student = program(n=2)
    space = SearchSpace.of(student, instructions=[CAREFUL])
    tuned: Any = space.apply(student, {"n": 5, "temperature": 1.3, "instruction:fusor": 1})
    assert (tuned.n.value, tuned.temperature.value, tuned.fusor.signature.instructions) == (5, 1.3, CAREFUL)
    assert (student.n.value, student.fusor.signature.instructions) == (2, space.instructions["fusor"][0])


def test_a_program_is_read_as_the_point_that_makes_it() -> None:
    student = Pipeline()
    space = SearchSpace.of(student)
    assert space.apply(student, space.read(student)).dump_state() == student.dump_state()


def test_demo_sets_are_chosen_by_place() -> None:
    demos = [dspy.Example(question="q", candidates=["a"], answer="a")]
    space = SearchSpace.of(program()).with_demos("fusor", [demos])
    with_demos: Any = space.apply(program(), {"demos:fusor": 1})
    without: Any = space.apply(program(), {"demos:fusor": 0})
    assert (with_demos.fusor.demos, without.fusor.demos) == (demos, [])


def test_suggestions_lie_on_the_grid_within_the_bounds() -> None:
    space = SearchSpace.of(program())
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        point = space.suggest(study.ask())
        assert 1 <= point["n"] <= 16
        assert point["temperature"] in (0.1, 0.4, 0.7, 1.0, 1.3)
        assert 0 <= point["instruction:fusor"] < len(space.instructions["fusor"])
