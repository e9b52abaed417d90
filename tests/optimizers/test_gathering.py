"""What rows of a fine-tuning are made of; nothing here needs torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from conftest import ScriptedLM, prompt_of, system_of

from dspy_fusion.optimizers.finetuning import (
    OBJECTIVES,
    AggregationFineTuning,
    FineTuningProgress,
    FusorReferences,
    GivenProposals,
    SampledProposals,
)
from dspy_fusion.optimizers.finetuning.aggregation_rows import RowWriter
from dspy_fusion.optimizers.finetuning.fitting import Fitter
from dspy_fusion.optimizers.finetuning.gathering import Gathering
from dspy_fusion.optimizers.finetuning.settings import check_installed
from dspy_fusion.programs import ConfigurationError, Fusion, FusorFailed, PlainAdapter, QuorumNotMet, RecordError

pytestmark = pytest.mark.usefixtures("plain_adapter")

EXAMPLES = [
    dspy.Example(question=f"q{i}", answer=f"gold {i}", proposals=[f"a{i}", f"b{i}"], scores=[0.2, 0.9]).with_inputs(
        "question"
    )
    for i in range(4)
]


def gathering(folder: Path, objective: str = "aft", **changes: Any) -> Gathering:
    fusing = Fusion(
        dspy.Predict(dspy.Signature("question -> answer", "Answer.")), n=2, instructions="Fuse.", shuffle=False
    )
    options = {
        "proposals": GivenProposals(scores="scores"),
        "references": FusorReferences(ScriptedLM(strong)),
        **changes,
    }
    seen: list[FineTuningProgress] = []
    return Gathering(
        fusing,
        objective=OBJECTIVES[objective],
        folder=folder,
        threads=2,
        tolerated=0.0,
        on_progress=seen.append,
        **options,
    )


def strong(request: Any) -> str:
    """The stronger model: says what it was shown, or that it was shown nothing."""
    shown = system_of(request)
    return f"strong on {prompt_of(request)}" + (" with responses" if "Response 2:" in shown else "")


def refusing(question: str) -> Callable[[Any], str]:
    return lambda request: "I'm sorry, but I can't help with that." if prompt_of(request) == question else "fine"


@pytest.mark.parametrize(
    ("objective", "shown", "learned"),
    [
        ("aft", 2, "strong on q0 with responses"),
        ("sft", 0, "b0"),
        ("no_proposals", 0, "strong on q0 with responses"),
        ("pseudo_aggregation", 2, "strong on q0"),
    ],
)
def test_each_objective_learns_its_target(tmp_path: Path, objective: str, shown: int, learned: str) -> None:
    first = next(iter(gathering(tmp_path, objective).collect(EXAMPLES)))
    assert (len(first.shown), first.outputs["answer"]) == (shown, learned)


@pytest.mark.parametrize("adapter", [PlainAdapter(), dspy.ChatAdapter()], ids=["plain", "chat"])
def test_rows_are_what_the_program_itself_sends(tmp_path: Path, adapter: dspy.Adapter) -> None:
    made = gathering(tmp_path)
    material = next(iter(made.collect(EXAMPLES)))
    proposals = [candidate.prediction.answer for candidate in material.shown if candidate.prediction]
    plain = isinstance(adapter, PlainAdapter)
    texts = [text if plain else {"answer": text} for text in (*proposals, "fused")]
    lm = ScriptedLM(
        lambda request: texts[2 if proposals[0] in prompt_of(request) + system_of(request) else request.config.seed]
    )
    with dspy.context(lm=lm, adapter=adapter):
        row = RowWriter(made.fusing).aggregating({"question": "q0"}, material.shown, material.outputs)
        assert made.fusing(question="q0").answer == "fused"
    assert [system_of(lm.requests[-1]), prompt_of(lm.requests[-1])] == [message["content"] for message in row.prompt]


def test_rows_can_be_written_for_the_chat_adapter(tmp_path: Path) -> None:
    with dspy.context(adapter=dspy.ChatAdapter()):
        row = RowWriter(gathering(tmp_path).fusing).solving({"question": "q"}, {"answer": "yes"})
    assert row.completion.startswith("[[ ## answer ## ]]\nyes")


def test_sampled_proposals_are_the_best_of_the_draws(tmp_path: Path) -> None:
    lm = ScriptedLM(lambda request: f"{request.config.seed}")
    proposals = SampledProposals(lm, draws=6, keep=2, scorer=lambda args, prediction: int(prediction.answer) % 4 / 4)
    first = next(iter(gathering(tmp_path, proposals=proposals).collect(EXAMPLES[:1])))
    assert [candidate.prediction.answer for candidate in first.shown if candidate.prediction] == ["3", "2"]
    sent = lm.requests[0].config
    assert (sent.temperature, sent.top_p, sent.top_k) == (1.0, 0.95, 50)


def test_what_is_collected_is_not_asked_for_again(tmp_path: Path) -> None:
    lm = ScriptedLM(strong)
    for _ in range(2):
        assert len(list(gathering(tmp_path, references=FusorReferences(lm)).collect(EXAMPLES))) == 4
    assert len(lm.requests) == 4


def test_a_torn_last_line_is_made_again(tmp_path: Path) -> None:
    lm = ScriptedLM(strong)
    list(gathering(tmp_path, references=FusorReferences(lm)).collect(EXAMPLES))
    path = tmp_path / "references.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert len(list(gathering(tmp_path, references=FusorReferences(lm)).collect(EXAMPLES))) == 4
    assert len(lm.requests) == 5


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    list(gathering(tmp_path).collect(EXAMPLES))
    path = tmp_path / "references.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"key"', b"key", 1))
    with pytest.raises(RecordError, match=r"references.jsonl is damaged"):
        list(gathering(tmp_path).collect(EXAMPLES))


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    list(gathering(tmp_path).collect(EXAMPLES))
    with pytest.raises(ConfigurationError, match="made with another references"):
        list(gathering(tmp_path, references=FusorReferences(ScriptedLM(strong), temperature=0.5)).collect(EXAMPLES))


def test_a_refusing_fusor_fails_and_nothing_finished_is_lost(tmp_path: Path) -> None:
    failing = FusorReferences(ScriptedLM(refusing("q2")))
    with pytest.raises(FusorFailed, match=r"1 references failed, 0 are tolerated.*refused: \"I'm sorry, but"):
        list(gathering(tmp_path, references=failing).collect(EXAMPLES))
    lm = ScriptedLM(strong)
    assert len(list(gathering(tmp_path, references=FusorReferences(lm)).collect(EXAMPLES))) == 4
    assert "q2" in {prompt_of(request) for request in lm.requests}
    assert len(lm.requests) < 4


def test_tolerated_failures_are_left_out_and_counted(tmp_path: Path) -> None:
    made = replace(gathering(tmp_path, references=FusorReferences(ScriptedLM(refusing("q2")))), tolerated=0.25)
    assert len(list(made.collect(EXAMPLES))) == 3
    assert made.failed == 1


def test_a_failing_sampler_names_the_cause(tmp_path: Path) -> None:
    proposals = SampledProposals(ScriptedLM(lambda request: ""), draws=2, keep=2)
    with pytest.raises(QuorumNotMet, match=r"1 proposals failed, 0 are tolerated.*0 of 2 candidates succeeded"):
        list(gathering(tmp_path, proposals=proposals).collect(EXAMPLES))


def fine_tuning(tmp_path: Path, **options: Any) -> AggregationFineTuning:
    return AggregationFineTuning("base", output=tmp_path, serve=lambda folder: ScriptedLM(strong), **options)


def test_empty_answers_are_refused_before_anything_else(tmp_path: Path) -> None:
    examples = [*EXAMPLES, dspy.Example(question="q", answer=" ", proposals=["a"]).with_inputs("question")]
    with pytest.raises(
        ConfigurationError, match=r"1 of 5 training examples have no answer in answer, the first is example 4"
    ):
        fine_tuning(tmp_path).compile(gathering(tmp_path).fusing, trainset=examples)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"proposals": None}, "example 4 of the training set: its field 'proposals' must be a list"),
        ({"proposals": ["a", ""], "scores": [1, 0]}, "example 4 of the training set: a proposal has an empty 'answer'"),
        ({"proposals": ["a"], "scores": [1, 2]}, "must hold a number for each of 1 proposals"),
    ],
)
def test_examples_without_usable_proposals_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    examples = [*EXAMPLES, dspy.Example(question="q", answer="a", **changes).with_inputs("question")]
    with pytest.raises(ConfigurationError, match=message):
        fine_tuning(tmp_path, proposals=GivenProposals(scores="scores")).compile(
            gathering(tmp_path).fusing, trainset=examples
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "rlhf"}, "objective must be one of aft, sft, no_proposals, pseudo_aggregation"),
        ({"too_long": "cut"}, "too_long must be one of"),
        ({"plain_share": 1.5}, r"plain_share must be in \[0, 1\)"),
        ({"num_threads": 0}, "num_threads must be a whole number of at least 1"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fine_tuning(tmp_path, **options)


def test_a_program_must_have_one_fusor(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has 0 programs that fuse"):
        fine_tuning(tmp_path).compile(dspy.Predict("question -> answer"), trainset=EXAMPLES)


def test_sft_needs_scores_and_pseudo_aggregation_a_stronger_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the proposals have no scores"):
        fine_tuning(tmp_path, objective="sft").compile(gathering(tmp_path).fusing, trainset=EXAMPLES)
    with pytest.raises(ConfigurationError, match="give it: references=FusorReferences"):
        fine_tuning(tmp_path, objective="pseudo_aggregation").compile(gathering(tmp_path).fusing, trainset=EXAMPLES)


def test_as_few_proposals_are_dropped_as_fit(tmp_path: Path) -> None:
    made = gathering(tmp_path)
    writer, shown = RowWriter(made.fusing), next(iter(made.collect(EXAMPLES))).shown * 3
    fitter = Fitter(lambda row: 10 * row.proposals, limit=40, drops=True)
    row = fitter.fit(0, shown, lambda kept: writer.aggregating({"question": "q"}, kept, {"answer": "a"}))
    assert row is not None
    assert (row.proposals, fitter.dropped, fitter.longest) == (4, 2, 40)


def test_a_row_that_is_too_long_says_by_how_much(tmp_path: Path) -> None:
    made = gathering(tmp_path)
    writer, shown = RowWriter(made.fusing), next(iter(made.collect(EXAMPLES))).shown
    fitter = Fitter(lambda row: 25 * row.proposals, limit=40)
    fitter.fit(7, shown, lambda kept: writer.aggregating({"question": "q"}, kept, {"answer": "a"}))
    with pytest.raises(
        ConfigurationError,
        match=r"1 row\(s\) are too long.*example 7 has 50 with its 2 proposals, 10 too many; too_long=",
    ):
        fitter.check("tiny")


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(ConfigurationError, match=r"^fine-tuning needs no_such_library: pip .*\[finetune\]'$"):
        check_installed(("json", "no_such_library"))
