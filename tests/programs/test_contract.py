"""What every program promises, whatever it does with its candidates."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal

import dspy
import pytest
from conftest import ScriptedLM, answers, is_fusor, prompt_of, system_of
from pydantic import BaseModel
from waiting import with_time_enough

from dspy_fusion.programs import (
    BestOfN,
    CandidateBank,
    ConfigurationError,
    Fusion,
    Likelihood,
    LMJudge,
    PlainAdapter,
    ProposeAggregate,
    QuorumNotMet,
    Stopping,
    Vote,
)


def length(args: dict[str, Any], prediction: dspy.Prediction) -> float:
    return float(len(str(prediction.toDict())))


PROGRAMS: dict[str, Callable[..., dspy.Module]] = {
    "BestOfN": lambda program, n=3, **o: BestOfN(program, n=n, scorer=length, **o),
    "Vote": lambda program, n=3, **o: Vote(program, n=n, **o),
    "Fusion": lambda program, n=3, **o: Fusion(program, n=n, **o),
    "AutoVote": lambda program, n=3, **o: Vote(program, n="auto", max_n=n, stopping=Stopping(threshold=1.0), **o),
    "GatedFusion": lambda program, n=3, **o: Fusion(program, n=n, gate=1.0, **o),
    "AbstainingFusion": lambda program, n=3, **o: Fusion(program, n=n, abstain_below=1.0, on_abstain="mark", **o),
    "TrajectoryFusion": lambda program, n=3, **o: Fusion(program, n=n, trajectories=1000, look_ups=1, **o),
    "FieldFusion": lambda program, n=3, **o: Fusion(program, n=n, by_field=True, **o),
    "ProposeAggregate": lambda program, n=3, **o: ProposeAggregate(program, width=n, depth=2, **o),
}
CALLS = {
    **{"BestOfN": 3, "Vote": 3, "Fusion": 4, "AutoVote": 3, "GatedFusion": 4, "FieldFusion": 4, "ProposeAggregate": 7},
    **{"AbstainingFusion": 4, "TrajectoryFusion": 4},
}
FUSING = ("Fusion", "AbstainingFusion", "TrajectoryFusion", "GatedFusion", "FieldFusion", "ProposeAggregate")


@pytest.fixture(params=PROGRAMS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def build(kind: str, program: dspy.Module | None = None, **options: Any) -> dspy.Module:
    return PROGRAMS[kind](program or dspy.Predict("question -> answer"), **options)


def test_returns_the_tasks_fields_and_a_pool(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))):
        prediction = build(kind)(question="q")
    assert list(prediction.keys()) == ["answer"]
    assert "pool" not in prediction.toDict()
    assert [candidate.index for candidate in prediction.pool.candidates] == [0, 1, 2]


POLICY = "Refunds go to 'other', never 'billing'.\nAnswer in French."


def told(request: Any) -> str:
    """All that a request says, with line breaks and indentation as single spaces."""
    return " ".join(f"{system_of(request)} {prompt_of(request)}".split())


@pytest.mark.parametrize("adapter", [dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter, PlainAdapter])
def test_the_tasks_instructions_stand_in_each_prompt(kind: str, adapter: Callable[[], dspy.Adapter]) -> None:
    if kind in ("GatedFusion", "FieldFusion"):
        pytest.skip("candidates that agree need no fusor")
    writes = {"JSONAdapter": '{"answer": "a"}', "XMLAdapter": "<answer>a</answer>", "PlainAdapter": "a"}
    lm = ScriptedLM(lambda request: writes.get(adapter.__name__, {"answer": "a"}))
    task = dspy.Predict(dspy.Signature("question -> answer", POLICY))
    with dspy.context(lm=lm, adapter=adapter()):
        build(kind, task)(question="q")
        task.signature = task.signature.with_instructions("Complaints go to 'care'.")
        build(kind, task)(question="q")
    assert len(lm.requests) == 2 * CALLS[kind]
    assert all(" ".join(POLICY.split()) in told(request) for request in lm.requests[: CALLS[kind]])
    assert all("Complaints go to 'care'." in told(request) for request in lm.requests[CALLS[kind] :])
    assert not any("Refunds" in told(request) for request in lm.requests[CALLS[kind] :])


def test_calls_made_are_calls_counted(kind: str) -> None:
    lm = ScriptedLM(answers("a", "b", "bb"))
    with dspy.context(lm=lm):
        pool = build(kind)(question="q").pool
    assert len(lm.requests) == pool.total.calls == CALLS[kind]
    assert pool.total.tokens_in == 10 * CALLS[kind]


def test_every_answer_says_how_sure_it_is(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))):
        pool = build(kind)(question="q").pool
    assert list(pool.agreement) == ["answer"]
    assert 0 <= pool.confidence <= 1
    assert "candidate" in str(pool)


def test_usage_reaches_an_outer_tracker_once(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))), dspy.track_usage() as tracker:
        build(kind)(question="q")
    assert sum(usage["completion_tokens"] for usage in tracker.get_total_tokens().values()) == 3 * CALLS[kind]


def test_same_seed_gives_the_same_answer_and_state_stays(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))):
        program = build(kind)
        before = program.dump_state()
        first, second = program(question="q"), program(question="q")
    assert first.toDict() == second.toDict()
    assert program.dump_state() == before


def test_awaiting_equals_calling(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))):
        program = build(kind)
        awaited = asyncio.run(program.acall(question="q"))
        called = program(question="q")
    assert awaited.toDict() == called.toDict()
    assert [c.prediction.answer for c in awaited.pool.candidates] == [
        c.prediction.answer for c in called.pool.candidates
    ]
    assert awaited.pool.total == called.pool.total


def test_seeds_and_rollouts_are_per_candidate(kind: str) -> None:
    lm = ScriptedLM(answers("a", "b", "bb"))
    with dspy.context(lm=lm):
        build(kind, seed=100)(question="q")
    proposals = [request.config for request in lm.requests if not is_fusor(request)]
    assert sorted(config.seed for config in proposals) == [100, 101, 102]
    assert {config.temperature for config in proposals} == {0.7}


def test_a_larger_pool_contains_the_smaller_one(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(lambda r: {"answer": f"{r.config.seed}"})):
        small, large = build(kind, n=2)(question="q").pool, build(kind, n=4)(question="q").pool
    assert [c.prediction.answer for c in small.candidates] == [c.prediction.answer for c in large.candidates][:2]


def test_one_failure_is_data(kind: str) -> None:
    def fails_once(request: Any) -> Any:
        if not is_fusor(request) and request.config.seed == 1:
            raise ValueError("boom")
        return {"answer": "fine"}

    with dspy.context(lm=ScriptedLM(fails_once)):
        prediction = build(kind)(question="q")
    assert prediction.answer == "fine"
    assert "boom" in prediction.pool.candidates[1].error
    assert len(prediction.pool.good) == 2


def test_an_unparsable_answer_costs_only_its_candidate(kind: str) -> None:
    def garbles(request: Any) -> Any:
        return "no fields here" if not is_fusor(request) and request.config.seed == 0 else {"answer": "fine"}

    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)
    with dspy.context(lm=ScriptedLM(garbles), adapter=adapter):
        pool = build(kind)(question="q").pool
    assert pool.candidates[0].error.startswith("AdapterParseError")
    assert pool.candidates[0].usage.tokens_in == 10


def test_too_few_successes_raise_with_every_cause(kind: str) -> None:
    def fails(request: Any) -> Any:
        raise ValueError(f"boom {request.config.seed}")

    with (
        dspy.context(lm=ScriptedLM(fails)),
        pytest.raises(QuorumNotMet, match="0 of 3 candidates succeeded, but quorum=2") as raised,
    ):
        build(kind, quorum=2)(question="q")
    assert [f"boom {i}" in cause for i, cause in enumerate(raised.value.causes)] == [True] * 3


def test_the_deadline_leaves_a_hanging_candidate_behind(kind: str) -> None:
    over = threading.Event()

    def hang(request: Any) -> Any:
        if not is_fusor(request) and request.config.seed == 2:
            over.wait(120)
        return {"answer": "a"}

    def pool_within(seconds: float) -> Any:
        return build(kind, deadline_seconds=seconds, quorum=2)(question="q").pool

    with dspy.context(lm=ScriptedLM(hang)):
        pool = with_time_enough(pool_within, lambda pool: pool.candidates[2].usage.calls == 1)
    over.set()
    assert re.fullmatch(r"DeadlineExceeded: no answer within [\d.]+ s", pool.candidates[2].error or "")
    assert pool.candidates[2].usage.calls == 1


def test_awaiting_keeps_the_deadline(kind: str) -> None:
    class Hanging(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.predict = dspy.Predict("question -> answer")

        async def aforward(self, question: str) -> dspy.Prediction:
            if dspy.settings.lm.kwargs.get("seed") == 2:
                await asyncio.sleep(120)
            return await self.predict.acall(question=question)

    def pool_within(seconds: float) -> Any:
        return asyncio.run(build(kind, Hanging(), deadline_seconds=seconds).acall(question="q")).pool

    with dspy.context(lm=ScriptedLM(answers("a"))):
        pool = with_time_enough(pool_within)
    assert pool.candidates[2].error.startswith("DeadlineExceeded")


def test_threads_do_not_mix(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(lambda r: {"answer": "x" if "question ## ]]\nx" in prompt_of(r) else "y"})):
        program = build(kind)
        evaluate = dspy.Evaluate(
            devset=[dspy.Example(question=q, answer=q).with_inputs("question") for q in "xy" * 8],
            metric=lambda example, pred, trace=None: float(example.answer == pred.answer),
            num_threads=8,
            display_progress=False,
        )
        assert evaluate(program).score == 100.0


def test_concurrency_is_limited(kind: str) -> None:
    running, most, lock = [0], [0], threading.Lock()

    def count(request: Any) -> Any:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.02)
        with lock:
            running[0] -= 1
        return {"answer": "a"}

    with dspy.context(lm=ScriptedLM(count)):
        build(kind, n=6, max_concurrency=2)(question="q")
    assert most[0] <= 2


def test_models_take_turns(kind: str) -> None:
    lms = [ScriptedLM(answers(name), name=f"scripted/{name}") for name in ("left", "right")]
    with dspy.context(lm=ScriptedLM(answers("z"))):
        pool = build(kind, lms=lms)(question="q").pool
    assert [candidate.lm for candidate in pool.candidates] == ["scripted/left", "scripted/right", "scripted/left"]
    assert pool.candidates[1].prediction.answer == "right"


def test_state_travels_through_json(kind: str, tmp_path: Any) -> None:
    program = build(kind)
    program.temperature.value = 0.3
    program.program.signature = program.program.signature.with_instructions("Be brief.")
    program.save(tmp_path / "program.json")
    loaded = build(kind)
    loaded.load(tmp_path / "program.json")
    assert loaded.temperature.value == 0.3
    assert loaded.program.signature.instructions == "Be brief."
    assert loaded.dump_state() == program.dump_state()


def test_a_deep_copy_answers_alike_and_is_independent(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb"))):
        program = build(kind)
        copied = program.deepcopy()
        copied.temperature.value = 0.1
        assert copied(question="q").toDict() == program(question="q").toDict()
    assert program.temperature.value == 0.7


def test_a_predictors_own_model_is_used_and_traced(kind: str) -> None:
    program = dspy.Predict("question -> answer")
    program.lm = ScriptedLM(answers("own"), name="scripted/own")
    wrapped = build(kind, program)
    with dspy.context(lm=ScriptedLM(answers("a", fused="own")), trace=[]):
        prediction = wrapped(question="q")
        assert any(row[0] is wrapped.program for row in dspy.settings.trace)
    assert prediction.answer == "own"
    assert sorted(request.config.seed for request in program.lm.requests) == [0, 1, 2]


def test_the_trace_ends_with_the_step_that_answered(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(answers("a", "b", "bb")), trace=[]):
        program = build(kind)
        prediction = program(question="q")
        trace = dspy.settings.trace
    assert trace[-1][2].answer == prediction.answer
    assert len(trace) == (CALLS[kind] if kind in FUSING else 1)
    assert {id(row[0]) for row in trace} <= {id(p) for p in program.predictors()}


def test_programs_nest(kind: str) -> None:
    with dspy.context(lm=ScriptedLM(lambda r: {"answer": f"{r.config.seed}"})):
        outer = Vote(build(kind), n=2)
        pool = outer(question="q").pool
    inner = [set(c.prediction.answer for c in candidate.prediction.pool.candidates) for candidate in pool.candidates]
    assert not inner[0] & inner[1]
    assert pool.total.calls == 2 * CALLS[kind]
    assert "program.program" in dict(outer.named_parameters())


def test_works_inside_another_module_under_bootstrap(kind: str) -> None:
    class Larger(dspy.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step = build(kind)

        def forward(self, question: str) -> dspy.Prediction:
            return self.step(question=question)

    examples = [dspy.Example(question=f"q{i}", answer="bb").with_inputs("question") for i in range(2)]
    optimizer = dspy.BootstrapFewShot(metric=lambda e, p, t=None: True, max_bootstrapped_demos=2, max_labeled_demos=0)
    with dspy.context(lm=ScriptedLM(answers("bb", "bb", "a", fused="bb"))):
        compiled = optimizer.compile(Larger(), trainset=examples)
    assert any(predictor.demos for predictor in compiled.predictors())


def test_a_bank_replays_what_was_drawn(kind: str, tmp_path: Any) -> None:
    lm = ScriptedLM(answers("a", "b", "bb"))
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db")
    with dspy.context(lm=lm):
        first = build(kind, bank=bank)(question="q")
        drawn = len(lm.requests)
        second = build(kind, bank=CandidateBank(f"sqlite:///{tmp_path}/bank.db"))(question="q")
    assert len(lm.requests) == drawn
    assert second.toDict() == first.toDict()
    assert all(candidate.replayed for candidate in second.pool.candidates)
    assert second.pool.usage == first.pool.usage


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    name: str
    height: int


class Typed(dspy.Signature):
    """Describe."""

    question: str = dspy.InputField()
    kind: Literal["x", "y"] = dspy.OutputField()
    count: int = dspy.OutputField()
    tags: list[str] = dspy.OutputField()
    place: Place = dspy.OutputField()
    colour: Colour = dspy.OutputField()


@pytest.mark.parametrize("banked", [False, True])
def test_fields_keep_their_types(kind: str, banked: bool, tmp_path: Any) -> None:
    said = {
        "kind": "x",
        "count": "3",
        "tags": '["a", "b"]',
        "place": '{"name": "Ben", "height": 1344}',
        "colour": "red",
    }
    bank = CandidateBank(f"sqlite:///{tmp_path}/bank.db") if banked else None
    with dspy.context(lm=ScriptedLM(lambda request: said)):
        program = build(kind, dspy.Predict(Typed), bank=bank)
        for _ in range(2):
            prediction = program(question="q")
            assert (prediction.kind, prediction.count, prediction.tags) == ("x", 3, ["a", "b"])
            assert (prediction.place, prediction.colour) == (Place(name="Ben", height=1344), Colour.RED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, r"must be at least 1, but got \w+=0"),
        ({"n": 2.5}, r"must be a whole number, but got \w+=2.5"),
        ({"quorum": 4}, r"quorum must be at most \w+=3, but got quorum=4"),
        ({"quorum": 0}, "quorum must be a whole number of at least 1, but got quorum=0"),
        ({"temperature": -1}, "temperature must be at least 0.0, but got temperature=-1"),
        ({"temperature": float("nan")}, "temperature must be a finite number, but got temperature=nan"),
        ({"deadline_seconds": 0}, "deadline_seconds must be a positive number"),
        ({"max_concurrency": 0}, "max_concurrency must be a whole number of at least 1"),
        ({"lms": []}, r"lms must hold at least one model, but got lms=\[\]"),
        ({"lms": ["openai/gpt"]}, "lms must hold dspy.LM objects, but got 'openai/gpt'"),
    ],
)
def test_bad_options_are_refused_by_name(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build(kind, **options)


class Two(dspy.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = dspy.Predict("question -> draft")
        self.second = dspy.Predict("draft -> answer")

    def forward(self, question: str) -> dspy.Prediction:
        return self.second(draft=self.first(question=question).draft)


@pytest.mark.parametrize("signature", [None, "question -> answer"])
def test_a_two_step_program_is_a_task(kind: str, signature: str | None) -> None:
    with dspy.context(lm=ScriptedLM(lambda r: {"answer": "a", "draft": "d"})):
        assert build(kind, Two(), signature=signature)(question="q").answer == "a"


def test_a_field_called_as_the_attribute_that_holds_the_pool_is_refused(kind: str) -> None:
    with pytest.raises(ConfigurationError, match="rename that field"):
        build(kind, dspy.Predict("question -> pool"))


def test_our_own_fields_step_aside_for_the_tasks(kind: str) -> None:
    if kind in ("GatedFusion", "FieldFusion"):
        pytest.skip("candidates that agree need no fusor")
    task = "question, candidates, task -> comparison, verdict"
    inputs = {"question": "q", "candidates": "Ann and Bob", "task": "elect"}
    lm = ScriptedLM(lambda request: {"comparison": "close", "verdict": "Ann"})
    with dspy.context(lm=lm):
        prediction = build(kind, dspy.Predict(task))(**inputs)
    assert prediction.toDict() == {"comparison": "close", "verdict": "Ann"}
    for request in lm.requests:
        assert "[[ ## candidates ## ]]\nAnn and Bob" in prompt_of(request)
        assert "[[ ## task ## ]]\nelect" in prompt_of(request)
    shown = [request for request in lm.requests if "[[ ## candidates_ ## ]]" in prompt_of(request)]
    assert len(shown) == CALLS[kind] - 3


def test_a_judge_as_scorer_is_found_saved_and_billed(tmp_path: Any) -> None:
    def judged(request: Any) -> Any:
        if "verdict" in prompt_of(request):
            return {"verdict": "4/4" if "right" in prompt_of(request) else "1/4"}
        return {"answer": "right" if request.config.seed == 1 else "wrong"}

    with dspy.context(lm=ScriptedLM(judged)):
        program = BestOfN(dspy.Predict("question -> answer"), n=3, scorer=LMJudge())
        prediction = program(question="q")
    assert (prediction.answer, prediction.pool.chosen) == ("right", 1)
    assert prediction.pool.usage["scorer"].calls == 3
    assert "scorer.judge" in dict(program.named_parameters())


def test_likelihood_needs_logprobs() -> None:
    with dspy.context(lm=ScriptedLM(answers("a"))), pytest.raises(Exception, match="reported no log-probabilities"):
        BestOfN(dspy.Predict("question -> answer"), n=2, scorer=Likelihood())(question="q")
