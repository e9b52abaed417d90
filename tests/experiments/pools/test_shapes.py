"""The published shapes, on rows made for the test; the real files are in ``test_real_pools``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.pools.overview import made_facts
from dspy_fusion.experiments.recordings.importing import ImportOptions, ImportReport, import_file
from dspy_fusion.experiments.recordings.recording import RecordedQuestion
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs.errors import ConfigurationError

Imported = Callable[..., tuple[ImportReport, tuple[RecordedQuestion, ...]]]
TEACHERS = ("gemma", "kimi", "qwen", "deepseek", "command")


@pytest.fixture
def imported(store: RecordedStore, write: Callable[..., str]) -> Imported:
    def make(rows: list[Any], name: str = "file.jsonl") -> tuple[ImportReport, tuple[RecordedQuestion, ...]]:
        report = import_file(write(rows, name), store)
        return report, store.questions(report.into.name)

    return make


def synth(number: int, *, named: bool = True, nested: bool = False, **more: Any) -> dict[str, Any]:
    """A row as the data sets' cards describe it."""
    texts = {name: f"{name} on {number}" for name in TEACHERS}
    teachers = {name: {"completion": text} if nested else text for name, text in texts.items()}
    listed = list(TEACHERS) if named else "all five"
    chosen = {"completion": texts["qwen"], "score": 0.5 + number, "selection_method": "RM", "teachers": listed}
    fused = {**chosen, "completion": f"fused {number}", "score": 1.0 + number, "selection_method": "fusion"}
    return {
        "prompt": f"p{number}",
        "language_code": "de",
        "input_hash": f"h{number}",
        **teachers,
        "BoN": chosen,
        "Fusion": fused,
        **more,
    }


def test_flags_against_the_text_are_counted_and_kept(imported: Imported) -> None:
    candidates = [
        {"src": "a", "family": "f", "text": "18", "pred": "18.00", "correct": False, "flag_conflict": True},
        {"src": "b", "family": "f", "text": "18", "pred": "18", "correct": True},
    ]
    report, (question,) = imported([{"qid": 0, "question": "?", "gold": "18", "candidates": candidates}])
    assert (report.into.name, report.into.task, report.conflicts, report.uneven) == ("gsm8k_pool", "gsm8k", 1, 1)
    assert [(c.quality, c.family, c.conflict) for c in question.candidates] == [(0.0, "f", True), (1.0, "f", False)]


def test_every_instruction_must_be_followed(imported: Imported) -> None:
    row = {"id": "en-1", "lang": "en", "prompt": "?", "instruction_id_list": ["x", "y"], "kwargs": [{}, {}]}
    answers = [
        {"model": "a", "response": "1", "strict": [True, True]},
        {"model": "b", "response": None, "strict": [True, False]},
    ]
    _, (question,) = imported([{**row, "candidates": answers}])
    assert [(c.quality, c.text) for c in question.candidates] == [(1.0, "1"), (0.0, None)]
    assert question.group == "en"


def test_a_judges_grades_are_brought_to_one(imported: Imported) -> None:
    answers = [{"model": m, "answer": "..", "score": s} for m, s in (("a", 1), ("b", 5.5), ("c", 10))]
    _, (question,) = imported([{"question_id": "1", "prompt": "?", "reference_gpt4": "r", "candidates": answers}])
    assert [c.quality for c in question.candidates] == [0.0, 0.5, 1.0]


def test_both_turns_of_a_dialogue_are_one_answer(imported: Imported, write: Callable[..., str]) -> None:
    write([{"question_id": 81, "category": "writing", "turns": ["first?", "second?"]}], "question.jsonl.gz")
    _, (question,) = imported([{"question_id": 81, "answers": {"m": ["one", "two"]}}])
    assert (question.text, question.group, question.candidates[0].text) == ("first?", "writing", "one\n\ntwo")
    assert question.candidates[0].outputs == {"answer_1": "one", "answer_2": "two"}


def test_answers_without_their_questions_are_refused(imported: Imported) -> None:
    with pytest.raises(
        ConfigurationError, match=r"lacks question\.jsonl\.gz, which holds the questions to the answers in file\.jsonl"
    ):
        imported([{"question_id": 81, "answers": {"m": ["one", "two"]}}])


def test_methods_that_build_on_others_are_no_proposals(imported: Imported) -> None:
    row = {
        "id": "et-1",
        "lang": "et",
        "src": "Hi",
        "ref": "Tere",
        "default": "Tere",
        "bon5": "Tere!",
        "usi5_fusion": None,
    }
    _, (question,) = imported([row])
    assert [(c.source, c.derived) for c in question.candidates] == [("default", False), ("bon5", True)]


def test_correctness_alone_is_enough(imported: Imported) -> None:
    row = {
        "subject": "law",
        "i": 3,
        "question": "?",
        "choices": ["a"],
        "answer": "A",
        "x_correct": True,
        "y_correct": False,
    }
    _, (question,) = imported([row])
    assert (question.id, question.group) == ("law/3", "law")
    assert [(c.source, c.quality, c.text) for c in question.candidates] == [("x", 1.0, None), ("y", 0.0, None)]


def test_letters_are_read_from_chains(imported: Imported) -> None:
    chain = ["I think A.\nAnswer: B", "**Answer: A**", "no idea"]
    report, (question,) = imported([{"prompt": "A or B?", "predictions": chain, "answer": "A"}], "physics.jsonl")
    assert [(c.source, c.answer, c.quality) for c in question.candidates] == [
        ("step 1", "B", 0.0),
        ("step 2", "A", 1.0),
        ("step 3", None, 0.0),
    ]
    assert (report.into.name, question.group) == ("refine_chains", "physics")


@pytest.mark.parametrize("form", [{"named": True}, {"named": False}, {"nested": True}])
def test_the_fusion_sets_keep_teachers_apart_from_what_was_made(form: dict[str, bool], imported: Imported) -> None:
    report, questions = imported([synth(number, **form) for number in range(4)], "fusion-synth-data-ufb.jsonl")
    assert report.into.name == "fusion-synth-data-ufb"
    assert [c.source for c in questions[0].candidates if not c.derived] == list(TEACHERS)
    assert [(c.source, c.score) for c in questions[0].candidates if c.score is not None] == [
        ("qwen", 0.5),
        ("BoN", 0.5),
        ("Fusion", 1.0),
    ]
    best, fused = made_facts(questions, resamples=50)
    assert (best.column, fused.column, fused.against) == ("BoN", "Fusion", "BoN")
    assert fused.difference is not None
    assert (fused.difference.mean, fused.difference.n) == (0.5, 4)


@pytest.mark.parametrize(
    ("lost", "why"),
    [({"BoN": None}, "'BoN' is 'None'"), ({"BoN": {}}, "'score' is None"), ({"prompt": ""}, "'prompt' is ''")],
)
def test_a_torn_fusion_row_is_set_aside(lost: dict[str, Any], why: str, imported: Imported) -> None:
    report, questions = imported([synth(0), synth(1, **lost)])
    assert len(questions) == 1
    assert why in report.set_aside[0].why


def test_a_renamed_column_names_the_ones_there_are(imported: Imported) -> None:
    with pytest.raises(
        ConfigurationError, match=r"the columns prompt, language_code, .*, Fusion, bon fit no known shape"
    ):
        imported([{**{k: v for k, v in synth(0).items() if k != "BoN"}, "bon": {}, "Fusion": {}}])


def test_a_data_set_is_imported_by_its_name(
    store: RecordedStore, write: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    write([synth(number) for number in range(3)], "CohereLabs/fusion-synth-data-s1kx/train.jsonl")
    monkeypatch.chdir(tmp_path)  # where the hub's library finds a copy of the data set under its name
    report = import_file("CohereLabs/fusion-synth-data-s1kx", store)
    assert (report.into.name, report.rows, report.added.candidates) == ("fusion-synth-data-s1kx", 3, 21)
    with pytest.raises(ConfigurationError, match=r"cannot be read as a data set of the hub .*validation"):
        import_file("CohereLabs/fusion-synth-data-s1kx", store, ImportOptions(split="validation"))


def test_the_folder_of_a_file_does_not_matter(imported: Imported, tmp_path: Path) -> None:
    report, _ = imported([synth(0)], "deep/er/ufb.jsonl.gz")
    assert report.into.name == "ufb"
    assert (tmp_path / "deep" / "er").is_dir()
