"""What other tools write is imported as it is: rows in the layouts of their versions, made for the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspy_fusion.experiments.recordings.importing import ImportOptions, ImportReport, import_file
from dspy_fusion.experiments.recordings.recording import RecordedQuestion
from dspy_fusion.experiments.recordings.shapes import Columns
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs.errors import ConfigurationError

Imported = Callable[..., tuple[ImportReport, tuple[RecordedQuestion, ...]]]


@pytest.fixture
def imported(store: RecordedStore, tmp_path: Path) -> Imported:
    def make(text: str, file: str, **options: Any) -> tuple[ImportReport, tuple[RecordedQuestion, ...]]:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        report = import_file(str(path), store, ImportOptions(**options))
        return report, store.questions(report.into.name)

    return make


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_outputs_of_alpaca_eval_of_several_models_are_one_set(imported: Imported) -> None:
    rows = [
        {"instruction": f"q{n}", "output": f"{model} on {n}", "generator": model, "dataset": "koala"}
        for model in ("a", "b")
        for n in range(3)
    ]
    report, questions = imported(json.dumps(rows, indent=2), "outputs.json")
    assert (report.into.shape, report.set_aside, len(questions)) == ("alpaca_eval", (), 3)
    assert [(c.source, c.text) for c in questions[0].candidates] == [("a", "a on 0"), ("b", "b on 0")]
    assert questions[0].group == "koala"


def harness(number: int, *, filter_name: str = "strict", old: bool = False, **more: Any) -> dict[str, Any]:
    new_arguments = {"gen_args_0": {"arg_0": f"Question: {number}", "arg_1": {"until": ["\n"]}}}
    return {
        "doc_id": number,
        "doc": {"question": str(number), "answer": "0"},
        "target": "0",
        "arguments": [[f"Question: {number}", {"until": ["\n"]}]] if old else new_arguments,
        "resps": [[f"I say {number % 2}"]],
        "filtered_resps": [str(number % 2)],
        "filter": filter_name,
        "metrics": ["exact_match"],
        "exact_match": float(number % 2 == 0),
        **more,
    }


@pytest.mark.parametrize("old", [False, True])
def test_samples_of_the_harness_have_prompts_answers_and_grades(imported: Imported, old: bool) -> None:
    rows = [harness(n, old=old, filter_name=name) for n in range(4) for name in ("strict", "flexible")]
    report, questions = imported(lines(*rows), "Qwen__Qwen3-8B/samples_gsm8k_2026.jsonl", name="g")
    assert (report.into.shape, report.rows, report.set_aside, len(questions)) == ("lm_eval", 8, (), 4)
    first, second = questions[0], questions[1]
    assert (first.text, first.gold, first.id) == ("Question: 0", "0", "0")
    (candidate,) = first.candidates
    assert (candidate.source, candidate.text, candidate.answer, candidate.quality) == (
        "Qwen/Qwen3-8B",
        "I say 0",
        "0",
        1.0,
    )
    assert second.candidates[0].quality == 0.0
    again, questions = imported(lines(*rows), "other__model/samples_gsm8k_2026.jsonl", name="g")
    assert again.added.candidates == 4
    assert [c.source for c in questions[0].candidates] == ["Qwen/Qwen3-8B", "other/model"]


def test_repeats_are_draws_and_likelihoods_are_set_aside(imported: Imported) -> None:
    repeated = harness(0, resps=[["one", "two", None]], filtered_resps=["one"])
    scored = harness(1, resps=[[[-1.0, False]], [[-2.0, True]]])
    report, (question,) = imported(lines(repeated, scored), "m__x/samples_t.jsonl")
    assert [c.text for c in question.candidates] == ["one", "two"]
    assert [c.draw for c in question.candidates] == [0, 1]
    assert "log-likelihoods" in report.set_aside[0].why
    assert len(report.lost) == 1


def batch(number: int, content: Any = "42", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    body = {"id": "x", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [choice], "usage": usage}
    answered = {"status_code": 200, "request_id": "r", "body": {**body, **more}}
    return {"id": f"batch_req_{number}", "custom_id": f"q-{number}", "response": answered, "error": None}


def test_a_batch_is_read_with_and_without_its_requests(imported: Imported, tmp_path: Path) -> None:
    failed = {"id": "b", "custom_id": "q-1", "response": None, "error": {"code": "batch_expired", "message": "late"}}
    text = lines(batch(0), failed, batch(2, content=None), batch(3, choices=None, output=[]))
    report, (question,) = imported(text, "batch_out.jsonl")
    assert (question.id, question.text) == ("q-0", "q-0")
    assert (question.candidates[0].tokens_in, question.candidates[0].tokens_out) == (7, 2)
    assert len(report.set_aside) == 3
    assert "batch_expired" in report.set_aside[0].why
    requests = tmp_path / "batch_in.jsonl"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 x 7?"}]
    body = {"model": "gpt-4o-mini", "messages": messages}
    requests.write_text(lines({"custom_id": "q-0", "method": "POST", "url": "/v1/chat/completions", "body": body}))
    _, (question,) = imported(text, "batch_out.jsonl", name="asked", columns=Columns(requests=str(requests)))
    assert question.text == "system: Be brief.\n\nuser: 6 x 7?"
    with pytest.raises(ConfigurationError, match="--requests goes with the output of a batch"):
        imported(lines({"question": "?", "text": "x"}), "rows.jsonl", columns=Columns(requests=str(requests)))


def test_responses_of_a_batch_are_read_too(imported: Imported) -> None:
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "forty-two"}]},
    ]
    row = batch(0)
    row["response"]["body"] = {"model": "gpt-5", "output": output, "usage": {"input_tokens": 3, "output_tokens": 1}}
    _, (question,) = imported(lines(row), "out.jsonl")
    assert (question.candidates[0].text, question.candidates[0].tokens_in) == ("forty-two", 3)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_semicolons_and_tabs_are_told_by_the_head(imported: Imported, sign: str) -> None:
    rows = [["question", "gold", "m1", "m2"], ["6 x 7, or 42?", "42", "It is 42", "48; or so"]]
    text = "\n".join(sign.join(f'"{cell}"' for cell in row) for row in rows)
    columns = Columns(names={"gold": "gold"}, candidates=("m1", "m2"))
    _, (question,) = imported(text, "answers.csv", columns=columns)
    assert (question.text, [c.text for c in question.candidates]) == ("6 x 7, or 42?", ["It is 42", "48; or so"])


def test_zero_and_false_are_answers_and_a_null_candidate_loses_itself_alone(imported: Imported) -> None:
    candidates = [{"source": "a", "text": 0, "pred": 0}, None, {"source": "c", "text": None}, "0", 0, False]
    report, (question,) = imported(lines({"question": "5 - 5?", "gold": 0, "candidates": candidates}), "r.jsonl")
    assert [(c.source, c.text, c.quality) for c in question.candidates][:2] == [
        ("a", "0", 1.0),
        ("candidate 4", "0", None),
    ]
    assert [c.text for c in question.candidates] == ["0", "0", "0", "false"]
    assert "2 candidates could not be used: " in " ".join(report.notes)
    assert "candidate 2: it is null" in " ".join(report.notes)
    columns = Columns(candidates=("m1", "m2"))
    _, (question,) = imported(lines({"question": "5 - 5?", "m1": 0, "m2": None}), "wide.jsonl", columns=columns)
    assert [(c.source, c.text) for c in question.candidates] == [("m1", "0")]


def test_a_null_candidate_of_a_published_shape_loses_itself_alone(imported: Imported) -> None:
    good = {"src": "a", "text": "0", "pred": 0, "correct": True}
    row = {"qid": 0, "question": "?", "gold": 0, "candidates": [good, None, {"src": "b", "correct": None}]}
    report, (question,) = imported(lines(row), "pool.jsonl")
    assert [(c.source, c.answer) for c in question.candidates] == [("a", "0")]
    assert len(report.lost) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}', "must be a JSON array of objects, or an object that holds one, but is a dict"),
        ('[{"question": "?"', "is no JSON"),
        ("[1, 2]", "item 0 is no JSON object, but a int"),
        ("[]", "is empty; there is nothing to import"),
    ],
)
def test_a_broken_array_is_one_line(imported: Imported, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        imported(text, "answers.json")
    assert "\n" not in str(raised.value)
