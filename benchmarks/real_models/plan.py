"""What the study asks: which model, which task in which words, and the arms.

One pool of candidates per question is drawn; every arm replays from it, and only fusors, aggregators and selectors make
calls of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig

CODER, LARGER, SMOLLM = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b", "smollm2-135m"


@dataclass(frozen=True)
class Study:
    """One model on one task.

    Attributes:
        name: of the study; its recording is called so.
        task: name of the task.
        model: a known model's name.
        instructions: what the model is told; the answer is plain text, for a model of this size hardly fills in fields.
        n: the largest pool.
        fused: sizes of the pools that are fused.
        sampling: of every call.
        selector: which of our selectors lets the model choose among its own answers.
        votes: whether answers can be counted.
        tested: whether there is a visible test.
        takes_cut: whether an answer that ended at the token limit is graded as it stands.
        demos: questions with answers that the solver is shown, made up; the fusor is shown none.
        beside: another study on the same task, whose model SLM-MUX chooses between with this one's.
        pool_only: whether nothing but the pool is drawn.
    """

    name: str
    task: str
    model: str
    instructions: str
    n: int
    fused: tuple[int, ...]
    sampling: dict[str, Any] = field(default_factory=dict)
    selector: str = "gen_select"
    votes: bool = True
    tested: bool = False
    takes_cut: bool = False
    demos: tuple[tuple[str, str], ...] = ()
    beside: str = ""
    pool_only: bool = False

    @property
    def middle(self) -> int:
        """The size of pool that every question is fused with."""
        return self.fused[len(self.fused) // 2]


_CODE = (
    "Write the Python function that the problem asks for, with the imports that it needs. Answer with one block of code"
    " and nothing else."
)
_MATH = "Solve the word problem in one to three short lines of calculation. End with the line: Answer: NUMBER"
_SOLVED = (
    (
        "A farmer has 4 rows of 6 apple trees. Each tree gives 10 apples, and a tenth of them are bad. How many good"
        " apples are there?",
        "4 * 6 = 24 trees\n24 * 10 = 240 apples\n240 - 240 / 10 = 216\nAnswer: 216",
    ),
    (
        "Mia had 50 dollars. She bought 3 books for 8 dollars each and a pen for 2 dollars. How much is left?",
        "3 * 8 + 2 = 26\n50 - 26 = 24\nAnswer: 24",
    ),
)
_FOLLOW = "Answer the request, and follow each of its instructions exactly."

MBPP = Study(
    "mbpp", "mbpp", CODER, _CODE, 8, (2, 4, 8), {"max_tokens": 256, "stop": ["```\n"]}, tested=True, votes=True
)
MBPP_LARGER = Study(
    "mbpp_larger", "mbpp", LARGER, _CODE, 4, (4,), {"max_tokens": 256, "stop": ["```\n"]}, tested=True, votes=True
)
HUMANEVAL = Study(
    "humaneval", "humaneval", CODER, _CODE, 8, (4,), {"max_tokens": 300, "stop": ["```\n"]}, tested=True, votes=True
)
GSM8K = Study("gsm8k", "gsm8k", CODER, _MATH, 5, (2, 5), {"max_tokens": 200}, demos=_SOLVED, beside="gsm8k_smollm2")
GSM8K_SMOLLM = Study(
    "gsm8k_smollm2", "gsm8k", SMOLLM, _MATH, 5, (2, 5), {"max_tokens": 200}, demos=_SOLVED, pool_only=True
)
IFEVAL = Study(
    "ifeval", "ifeval", SMOLLM, _FOLLOW, 5, (2, 5), {"max_tokens": 256}, selector="usc", votes=False, takes_cut=True
)
STUDIES = {study.name: study for study in (MBPP, MBPP_LARGER, HUMANEVAL, GSM8K, GSM8K_SMOLLM, IFEVAL)}
TEMPERATURE = 0.8
GATED = "fusion where no answer passes the test"
MUX = "SLM-MUX of two models"


def strategies(study: Study, *, deep: bool) -> list[StrategyConfig]:
    """The arms; the deep ones cost many calls and are asked on fewer questions."""
    if study.pool_only:
        return [*_alone(study), *_choosing(study)]
    return [*_alone(study), *_choosing(study), *_writing(study, deep=deep), *(_deep(study) if deep else ())]


def _alone(study: Study) -> list[StrategyConfig]:
    return [
        StrategyConfig("greedy", "single", study.model, temperature=0.0),
        StrategyConfig("one sample", "single", study.model),
        StrategyConfig("oracle", "oracle", study.model, study.n, every_n=True),
    ]


def _choosing(study: Study) -> list[StrategyConfig]:
    """Choosing among the pool costs no further call of a model."""
    model, n = study.model, study.n
    arms = [StrategyConfig("best by likelihood", "best_of_n", model, n, scorer="likelihood", every_n=True)]
    if study.votes:
        arms.append(StrategyConfig("vote", "vote", model, n, every_n=True))
        arms.append(StrategyConfig("vote, adaptive n", "vote", model, n, options={"stopping": {"round_size": 2}}))
    if study.tested:
        stop = {"stopping": {"rule": "reward", "round_size": 1, "max_rounds": 4}}
        arms += [
            StrategyConfig("best by visible test", "best_of_n", model, n, scorer="code_tests", every_n=True),
            StrategyConfig("best by test, adaptive n", "best_of_n", model, n, scorer="code_tests", options=stop),
            StrategyConfig("best by equal outputs", "best_of_n", model, n, scorer="code_agreement", every_n=True),
        ]
    return arms


def _writing(study: Study, *, deep: bool) -> list[StrategyConfig]:
    model, middle = study.model, study.middle
    sizes = dict.fromkeys((middle, *(study.fused if deep else ())))  # the middle one first: verdicts are on that
    arms = [StrategyConfig(f"fusion of {size}", "fusion", model, size) for size in sizes]
    if study.tested:
        arms.append(StrategyConfig(GATED, "benchmarks.real_models.arms:TestedElseFused", model, middle, role="fuse"))
    if study.beside:
        arms.append(
            StrategyConfig(MUX, "benchmarks.real_models.arms:MostConsistentModel", model, study.n, role="select")
        )
    return [*arms, StrategyConfig("fresh solve", "fresh_solve", model, min(middle, study.n - 1))]


def _deep(study: Study) -> list[StrategyConfig]:
    model, n = study.model, study.n
    return [
        StrategyConfig(f"model chooses of {n}", "best_of_n", model, n, scorer=study.selector, judge=model),
        StrategyConfig("model grades each of 4", "best_of_n", model, 4, scorer="judge", judge=model),
        StrategyConfig("two layers of 3", "propose_aggregate", model, 3, options={"depth": 2}),
    ]


def configured(study: Study, examples: int, *, deep: bool) -> CompareConfig:
    """The comparison of a study."""
    return CompareConfig(
        study.task,
        tuple(strategies(study, deep=deep)),
        examples=examples,
        temperature=TEMPERATURE,
        n=study.n,
        instructions=study.instructions,
        adapter="plain",
        judge_may_answer=True,
        max_concurrency=8,
        tracking=False,
        reference="greedy",
        title=f"{study.model} on {study.task}",
    )
