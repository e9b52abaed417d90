"""What a model answered is kept in a file, and replayed without the model."""

from __future__ import annotations

import asyncio
import gzip
import importlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_fusion.programs import BestOfN, ConfigurationError, Fusion, Likelihood, PlainAdapter, QuorumNotMet
from dspy_fusion.serving import embedded_lm
from dspy_fusion.serving.recorded_requests import NotRecorded, RequestRecording, recorded_lm

scripted = importlib.import_module("conftest")  # the one a folder up
SHEET = "(a) 4 + 3\n(b) 9 - 5"


@pytest.fixture
def solve() -> dspy.Module:
    return dspy.Predict(dspy.Signature("worksheet -> answers", "Work out every part of the worksheet."))


def fused(solve: dspy.Module, lm: dspy.LM) -> Any:
    with dspy.context(adapter=PlainAdapter(), lm=lm):
        return Fusion(solve, n=3, temperature=1.0)(worksheet=SHEET)


def test_a_program_is_replayed_from_what_was_recorded(tmp_path: Path, solve: dspy.Module) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    first = fused(solve, recorded_lm(recording, embedded_lm("aft", max_tokens=64), name="aft"))
    assert len(recording) >= 3
    assert recording.export(tmp_path / "answers.jsonl.gz") == len(recording)
    packed = RequestRecording(tmp_path / "answers.jsonl.gz")
    again = fused(solve, recorded_lm(packed, name="aft", max_tokens=64))
    assert again.answers == first.answers
    assert [c.usage for c in again.pool.candidates] == [c.usage for c in first.pool.candidates]
    packed.check_complete()


def test_a_request_that_was_not_recorded_is_an_error_that_programs_cannot_hide(
    tmp_path: Path, solve: dspy.Module
) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    lm = recorded_lm(recording, name="aft")
    with (
        dspy.context(adapter=PlainAdapter(), lm=lm),
        pytest.raises(dspy.LMUnexpectedError, match="has no answer of aft to a request that ends"),
    ):
        solve(worksheet=SHEET)
    with pytest.raises(QuorumNotMet):
        fused(solve, lm)
    with pytest.raises(NotRecorded, match=r"answers.jsonl lacks \d+ answers that were asked for"):
        recording.check_complete()


def test_another_temperature_or_seed_is_another_request_but_another_place_is_not(
    tmp_path: Path, solve: dspy.Module
) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    lm = recorded_lm(recording, embedded_lm("aft", max_tokens=64), name="aft")
    with dspy.context(adapter=PlainAdapter(), lm=lm):
        for config in ({"seed": 1}, {"seed": 2}, {"seed": 1}, {"temperature": 0.0, "seed": 7}, {"temperature": 0.0}):
            solve(worksheet=SHEET, config=config)
    assert len(recording) == 3
    assert len(RequestRecording(tmp_path / "answers.jsonl")) == 3


def test_log_probabilities_are_recorded_where_they_were_asked_for(tmp_path: Path, solve: dspy.Module) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")

    def likelihoods(lm: dspy.LM) -> list[float | None]:
        with dspy.context(adapter=PlainAdapter(), lm=lm):
            pool = BestOfN(solve, n=2, scorer=Likelihood(), temperature=1.0)(worksheet=SHEET).pool
        return [candidate.logprob for candidate in pool.candidates]

    first = likelihoods(recorded_lm(recording, embedded_lm("aft", max_tokens=64), name="aft"))
    assert all(value is not None and value < 0 for value in first)
    assert likelihoods(recorded_lm(RequestRecording(recording.path), name="aft", max_tokens=64)) == pytest.approx(first)


def test_awaited_calls_are_recorded_too(tmp_path: Path, solve: dspy.Module) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    with dspy.context(adapter=PlainAdapter(), lm=recorded_lm(recording, embedded_lm("aft", max_tokens=64), name="a")):
        awaited = asyncio.run(solve.acall(worksheet=SHEET)).answers
        assert solve(worksheet=SHEET).answers == awaited
    assert len(recording) == 1


def test_a_cut_answer_counts_as_it_stands_only_where_that_is_said(tmp_path: Path, solve: dspy.Module) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    short = embedded_lm("aft", max_tokens=3)
    with pytest.raises(QuorumNotMet, match="AnswerCutOff"):
        fused(solve, recorded_lm(recording, short, name="aft"))
    assert fused(solve, recorded_lm(recording, short, name="aft", takes_cut=True)).answers


def test_a_line_that_was_being_written_when_its_writer_died_is_dropped(tmp_path: Path, solve: dspy.Module) -> None:
    path = tmp_path / "answers.jsonl"
    fused(solve, recorded_lm(RequestRecording(path), embedded_lm("aft", max_tokens=64), name="aft"))
    whole = path.read_text()
    path = tmp_path / "torn.jsonl"
    path.write_bytes(torn := f'{whole}{{"key": "k", "text": "ä'.encode()[:-1])
    assert len(RequestRecording(path)) == len(whole.splitlines())
    assert path.read_bytes() == torn  # who reads cannot know whether its writer is still at it
    writer = RequestRecording(path)
    writer.hold()
    assert path.read_text() == whole
    assert len(writer) == len(whole.splitlines())
    path.write_text("no json\n" + whole)
    with pytest.raises(ConfigurationError, match=r"line 1 is no recorded answer"):
        RequestRecording(path)


def test_what_two_threads_ask_at_the_same_moment_is_asked_once(tmp_path: Path, solve: dspy.Module) -> None:
    second = threading.Event()

    def answer(request: Any) -> dict[str, str]:
        if len(lm.requests) > 1:
            second.set()
        second.wait(timeout=1)
        return {"answers": str(len(lm.requests))}

    lm, recording = scripted.ScriptedLM(answer), RequestRecording(tmp_path / "answers.jsonl")
    with dspy.context(lm=recorded_lm(recording, lm)), ThreadPoolExecutor(2) as threads:
        both = [threads.submit(copy_context().run, solve, worksheet=SHEET) for _ in range(2)]
        assert [future.result().answers for future in both] == ["1", "1"]
    assert len(lm.requests) == 1
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == 1


def test_only_line_feeds_end_lines(tmp_path: Path) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    recording.add("one", {"text": "a\u2028b\x85c"})
    recording.add("two", {"text": "d"})
    again = RequestRecording(tmp_path / "answers.jsonl")
    assert again.answer("one", logprobs=False) == {"text": "a\u2028b\x85c"}
    assert len(again) == 2


def test_what_cannot_be_recorded_is_said(tmp_path: Path) -> None:
    packed = tmp_path / "answers.jsonl.gz"
    packed.write_bytes(gzip.compress(b""))
    with pytest.raises(ConfigurationError, match=r"is a finished recording; record into a file without .gz"):
        recorded_lm(RequestRecording(packed), embedded_lm("aft"))
    packed.write_bytes(b"no gzip")
    with pytest.raises(ConfigurationError, match="cannot read the recording"):
        RequestRecording(packed)
    with pytest.raises(ConfigurationError, match="only models with an engine of their own"):
        recorded_lm(RequestRecording(tmp_path / "a"), dspy.LM("openai/x", engine="litellm"))
    with pytest.raises(ConfigurationError, match="needs a model, or the name"):
        recorded_lm(RequestRecording(tmp_path / "a"))


def test_two_processes_do_not_add_to_one_recording(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    code = (
        "import sys; from dspy_fusion.serving.recorded_requests import RequestRecording as R; r = R(sys.argv[1]);"
        " r.hold(); r.add('k', {'text': 'its own'}); print('held', flush=True); sys.stdin.read()"
    )
    recording, lm = RequestRecording(path), embedded_lm("aft")
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigurationError, match="another process is adding to the recording"):
            recorded_lm(recording, lm)
        recorded_lm(RequestRecording(path), name="aft")  # reading disturbs nobody
        other.communicate()
    recorded_lm(recording, lm)
    recorded_lm(RequestRecording(path), lm)
    assert len(recording) == 1  # what the other one added is known


def test_a_saved_program_replays_the_same_recording(tmp_path: Path, solve: dspy.Module) -> None:
    recording = RequestRecording(tmp_path / "answers.jsonl")
    solve.set_lm(recorded_lm(recording, embedded_lm("aft", max_tokens=64, temperature=0), name="aft"))
    with dspy.context(adapter=PlainAdapter()):
        answers = solve(worksheet=SHEET).answers
        solve.save(tmp_path / "solve.json")
        loaded = dspy.Predict("worksheet -> answers")
        loaded.load(tmp_path / "solve.json", allow_unsafe_lm_state=True)
        assert loaded(worksheet=SHEET).answers == answers
