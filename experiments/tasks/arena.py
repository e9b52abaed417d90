"""Arena: open requests, answered against a baseline answer; a judge says in both orders which is better.

The form of AlpacaEval 2 (arXiv 2404.04475) and Arena-Hard (arXiv 2406.11939). From the hub come AlpacaEval's 805
instructions with the answers of its baseline; a local folder may hold any file of requests and baseline answers, such
as arena-bench v1. Unlike either benchmark, a win must hold in both orders of the two answers, and else is a tie.
"""

from __future__ import annotations

from types import MappingProxyType

import dspy

from dspy_fusion.programs.errors import UnreadableVerdict
from dspy_fusion.programs.scorers.pairwise_judge import PairwiseJudge

from ..rows.row_files import Row
from ..rows.sources import Source
from .grading import remembered
from .judge_call import ask
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task

SOURCE = Source(
    licence="CC-BY-NC-4.0 (AlpacaEval, from the hub), Apache-2.0 (arena-bench v1)",
    url="https://github.com/tatsu-lab/alpaca_eval",
    citation="arXiv 2404.04475",
    hub="tatsu-lab/alpaca_eval",
    revision="2955709b93b0e08df511a752a3874b0a89b8910b",
    splits=MappingProxyType({"test": "train"}),
    hub_files=MappingProxyType({"test": "alpaca_eval_gpt4_baseline.json"}),
    files=MappingProxyType({"test": ("arena/test", "arena_bench_v1/pool")}),
    sizes=MappingProxyType({"test": 805}),
)

INSTANCE = MappingProxyType(
    {
        "prompt": "Name three uses of a brick that have nothing to do with building.",
        "answer": "A doorstop, a bookend, and a weight to hold down a tarpaulin.",
    }
)

WINS = MappingProxyType({"A": 1.0, "tie": 0.5, "B": 0.0})


class Request(dspy.Signature):
    """Answer the user's request as helpfully, correctly and completely as you can."""

    prompt: str = dspy.InputField()
    answer: str = dspy.OutputField()


def make_task(setup: Setup) -> Task:
    """The task; an example's field ``answer`` is the baseline's."""
    loader = Loader(SOURCE, setup, _example, group=_group)
    return Task(
        name="arena",
        instructions=Request.instructions,
        program=lambda instructions: dspy.Predict(Request.with_instructions(instructions)),
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=remembered(
            lambda example, prediction: beats_baseline(setup.required_judge("arena"), example, prediction)
        ),
        answer_text=lambda outputs: str(outputs.get("answer") or ""),
        comparable=False,
        source=SOURCE,
        splits=tuple(SOURCE.files),
        instance=INSTANCE,
        group=_group,
        needs_judge=True,
        set_aside=loader.set_aside,
    )


def beats_baseline(judge: dspy.BaseLM, example: dspy.Example, prediction: dspy.Prediction) -> float:
    """1 where the answer beats the baseline's in both orders, 0 where the baseline's does, else 0.5.

    Raises:
        UnreadableVerdict: the judge's verdict in one of the orders cannot be read.
    """
    pairwise = PairwiseJudge(Request, judge)
    verdict = ask(
        judge, pairwise.steps({"prompt": example.prompt}, str(prediction.get("answer") or ""), example.answer)
    )
    if verdict.winner is None:
        raise UnreadableVerdict(verdict.error)
    return WINS[verdict.winner]


def _example(row: Row, _: str, number: int) -> dspy.Example:
    prompt, answer = row.get("prompt", "instruction"), row.get("baseline", "reference_gpt4", "output")
    if not isinstance(prompt, str) or not prompt.strip():
        raise UnreadableAnswer("there is no request")
    if not isinstance(answer, str) or not answer.strip():
        raise UnreadableAnswer("the baseline has no answer")
    name = next((row.values[key] for key in ("question_id", "uid", "id") if row.values.get(key)), f"arena-{number}")
    category = row.values.get("category") or row.values.get("dataset") or ""
    return dspy.Example(id=str(name), prompt=prompt, answer=answer, category=str(category)).with_inputs("prompt")


def _group(example: dspy.Example) -> str:
    return example.category
