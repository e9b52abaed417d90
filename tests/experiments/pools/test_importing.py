from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.recordings.importing import ImportOptions, import_file
from dspy_fusion.experiments.recordings.shapes import Columns
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs import CandidateBank
from dspy_fusion.programs.errors import ConfigurationError

Write = Callable[..., str]


def row(number: int, **more: Any) -> dict[str, Any]:
    candidates = [
        {"source": "m1", "text": "It is 4.", "pred": "4", "correct": True},
        {"source": "m2", "text": "5", "pred": "5", "correct": 0},
    ]
    return {"id": number, "question": f"2 + 2, the {number}th time?", "gold": "4", "candidates": candidates, **more}


def test_importing_twice_adds_nothing(store: RecordedStore, write: Write) -> None:
    file = write([row(1), row(2)])
    first, second = import_file(file, store), import_file(file, store)
    assert (first.added.questions, first.added.candidates) == (2, 4)
    assert (second.added.questions, second.added.candidates, second.added.known, second.added.differing) == (0, 0, 4, 0)
    assert [found.candidates for found in store.sets] == [4]


def test_what_was_imported_is_what_stood_there(store: RecordedStore, write: Write) -> None:
    import_file(write([row(1)]), store)
    (question,) = store.questions("answers")
    assert (question.id, question.text, question.gold) == ("1", "2 + 2, the 1th time?", "4")
    assert [(c.source, c.text, c.answer, c.quality) for c in question.candidates] == [
        ("m1", "It is 4.", "4", 1.0),
        ("m2", "5", "5", 0.0),
    ]


def test_another_content_under_a_known_name_is_counted_and_not_taken(store: RecordedStore, write: Write) -> None:
    import_file(write([row(1)]), store)
    changed = row(1)
    changed["candidates"][0]["text"] = "four"
    report = import_file(write([changed]), store)
    assert report.added.differing == 1
    assert "1 candidates were there with another content, which was kept" in report.notes
    assert store.questions("answers")[0].candidates[0].text == "It is 4."


def test_a_second_file_adds_its_sources_to_the_same_questions(store: RecordedStore, write: Write) -> None:
    import_file(write([row(1)]), store)
    more = write([{"id": 1, "question": "2 + 2, the 1th time?", "candidates": {"m3": "4"}}], "more.jsonl")
    import_file(more, store, ImportOptions("answers"))
    assert [c.source for c in store.questions("answers")[0].candidates] == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (row(1), "the id '1' was there before: .*line 1"),
        (row(3, candidates=[]), "it has no candidates"),
        (row(3, candidates=7), "its candidates are a int, neither a list nor an object"),
        (row(3, candidates=[[3]]), "candidate 1: it is a list, and no object"),
        (row(3, candidates=[{"source": "m1"}]), "neither a text nor an answer nor a correctness"),
        (row(3, candidates=[{"text": "4", "correct": "yes"}]), "'correct' is 'yes', which is neither true nor false"),
        (row(3, candidates=[{"text": "4", "score": "high"}]), "'score' is 'high', which is no finite number"),
        (row(3, candidates=[{"text": ["4"]}]), "'text' is a list, which is no text"),
        (row(3, question=" "), "'question' is ' ', which is no text"),
        ({"id": 3, "candidates": ["4"]}, "it lacks 'question'"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside_and_named(
    bad: dict[str, Any], why: str, store: RecordedStore, write: Write
) -> None:
    report = import_file(write([row(1), bad, row(2)]), store)
    assert report.added.questions == 2
    assert len(report.set_aside) == 1
    with pytest.raises(AssertionError, match=why):
        raise AssertionError(report.set_aside[0].why)
    assert report.set_aside[0].where.endswith("answers.jsonl, line 2")
    assert report.notes[0].startswith("1 of 3 rows were set aside: ")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], r"answers\.jsonl is empty; there is nothing to import"),
        ([row(1), '{"question": '], r"answers\.jsonl, line 2 is no JSON"),
        ([row(1), "[" * 100_000], r"answers\.jsonl, line 2 is no JSON"),
        (["[1, 2]"], r"answers\.jsonl, line 1 is no JSON object, but a list"),
        ([{"id": 1, "prompt": "?"}], r"line 1: the columns id, prompt fit no known shape .*--map question=COLUMN"),
        (
            [row(1, candidates=[]), row(2, candidates=[])],
            r"none of the 2 rows of .*answers\.jsonl can be used; .*line 1: it has no",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_with_its_line(
    rows: list[Any], message: str, store: RecordedStore, write: Write
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        import_file(write(rows), store)


def test_a_broken_gzip_file_is_named_and_what_came_before_is_kept(
    store: RecordedStore, tmp_path: Path, write: Write
) -> None:
    whole = Path(write([row(number) for number in range(2000)], "answers.jsonl.gz"))
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    with pytest.raises(ConfigurationError, match=r"answers\.jsonl\.gz is a broken gzip file after line \d+"):
        import_file(str(whole), store)
    kept = store.sets[0].questions
    whole.write_bytes(content)
    assert 0 < kept < 2000
    assert import_file(str(whole), store).added.questions == 2000 - kept


def test_columns_are_named_by_the_user(store: RecordedStore, write: Write) -> None:
    outs = [{"model": "m1", "out": "42", "ok": True}, {"model": "m1", "out": "41", "ok": False}]
    rows = [{"key": 7, "prompt": "6 x 7?", "target": "42", "outs": outs}]
    names = {
        "id": "key",
        "question": "prompt",
        "gold": "target",
        "candidates": "outs",
        "source": "model",
        "text": "out",
        "correct": "ok",
    }
    import_file(write(rows), store, ImportOptions(columns=Columns(names)))
    (question,) = store.questions("answers")
    assert (question.id, [c.column for c in question.candidates]) == ("7", ["m1", "m1#2"])


def test_each_column_may_be_a_source(store: RecordedStore, write: Write) -> None:
    import_file(
        write([{"question": "?", "a": "x", "b": "y", "c": ""}]),
        store,
        ImportOptions(columns=Columns(candidates=("a", "b", "c"))),
    )
    assert [(c.source, c.text) for c in store.questions("answers")[0].candidates] == [("a", "x"), ("b", "y")]


def test_each_row_may_be_an_answer(store: RecordedStore, write: Write) -> None:
    rows = [{"question": f"q{i % 2}", "gold": "4", "source": "m1", "text": "..", "pred": str(i)} for i in range(6)]
    file = write(rows)
    assert import_file(file, store).added.candidates == 6
    assert import_file(file, store).added.candidates == 0
    first = store.questions("answers")[0]
    assert [(c.column, c.answer, c.quality) for c in first.candidates] == [
        ("m1", "0", 0.0),
        ("m1#2", "2", 0.0),
        ("m1#3", "4", 1.0),
    ]


def test_scores_may_be_the_measure(store: RecordedStore, write: Write) -> None:
    right = {"question": "a", "candidates": [{"text": "x", "score": 1}, {"text": "y", "score": 10}]}
    rows = [right, {"question": "b", "candidates": [{"text": "x", "score": 11}]}]
    report = import_file(write(rows), store, ImportOptions(columns=Columns(score_range=(1, 10))))
    assert [c.quality for c in store.questions("answers")[0].candidates] == [0.0, 1.0]
    assert report.set_aside[0].why == "candidate 1: the score 11 is not in the range 1 to 10"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ImportOptions(columns=Columns({"answer": "text"})), "--map names 'answer'; there are: id, question"),
        (
            ImportOptions(columns=Columns({"question": "prompt"})),
            r"line 1 lacks a column 'prompt'; its columns are: id, question",
        ),
        (ImportOptions(columns=Columns(candidates=("m9",))), "line 1 lacks a column 'm9'"),
        (
            ImportOptions(columns=Columns(score_range=(10, 1))),
            "a score range goes from a lower to a higher number, but got 10 to 1",
        ),
        (ImportOptions(shape="gsm8k_pool"), r"line 1 lacks a column 'qid'"),
        (ImportOptions(shape="sheet"), "there is no shape 'sheet'; there are: gsm8k_pool"),
        (
            ImportOptions(shape="gsm8k_pool", columns=Columns({"id": "qid"})),
            "the shape 'gsm8k_pool' has its own columns",
        ),
        (ImportOptions(task="gsm9k"), "there is no task 'gsm9k'; there are: worksheets"),
    ],
)
def test_wrong_options_are_refused(options: ImportOptions, message: str, store: RecordedStore, write: Write) -> None:
    with pytest.raises(ConfigurationError, match=message):
        import_file(write([row(1)]), store, options)
    assert store.sets == ()


def test_a_set_has_one_task(store: RecordedStore, write: Write) -> None:
    import_file(write([row(1)]), store, ImportOptions(task="gsm8k"))
    with pytest.raises(
        ConfigurationError,
        match="the set 'answers' has the task 'gsm8k', not 'mmlu'; import into another one with --name",
    ):
        import_file(write([row(2)]), store, ImportOptions(task="mmlu"))


def test_answers_that_are_graded_unevenly_are_counted(store: RecordedStore, write: Write) -> None:
    given = (("a", "4", True), ("b", "4.0", True), ("c", "$4.00", False))
    graded = [{"source": source, "text": text, "pred": text, "correct": correct} for source, text, correct in given]
    report = import_file(write([row(1, candidates=graded)]), store)
    assert report.uneven == 1
    assert (
        "1 candidates are graded otherwise than most others that give the same answer; kept as recorded" in report.notes
    )


def test_recorded_text_is_never_interpreted(store: RecordedStore, write: Write) -> None:
    evil = (
        "__import__('os').system('touch x'); '); DROP TABLE dspy_fusion_recorded_sets; -- \x00 \ud800 [bold]{{ 7 * 7"
        " }}[/]"
    )
    import_file(write([row(1, candidates={"m1": evil})]), store)
    assert store.questions("answers")[0].candidates[0].text == evil


def test_parquet_is_read_row_by_row(store: RecordedStore, tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"question": f"q{i}", "source": "m", "text": str(i), "correct": i % 2 == 0} for i in range(600)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "answers.parquet", row_group_size=100)
    assert import_file(str(tmp_path / "answers.parquet"), store).added.questions == 600
    assert store.questions("answers")[-1].candidates[0].text == "599"


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("absent.jsonl", r"cannot read absent\.jsonl"),
        (
            "CohereLabs/fusion-synth-data-ufb",
            "CohereLabs/fusion-synth-data-ufb is no file, and cannot be read as a data set of the hub",
        ),
        ("notes.txt", r"cannot tell the format of notes\.txt"),
    ],
)
def test_a_file_that_is_not_there_is_told_apart_from_a_data_set(file: str, message: str, store: RecordedStore) -> None:
    with pytest.raises(ConfigurationError, match=message):
        import_file(file, store)


def test_a_bank_with_recorded_answers_is_still_a_bank(store: RecordedStore, url: str, write: Write) -> None:
    import_file(write([row(1)]), store)
    assert len(CandidateBank(url)) == 0
