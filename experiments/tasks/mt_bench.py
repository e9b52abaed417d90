"""MT-Bench: 80 dialogues of two turns in eight categories, each turn graded from 1 to 10 by a judge (arXiv 2306.05685).

The second turn is asked with the model's own first answer as history, and graded with the whole dialogue in view.
Unlike in the original, the judge sees every reference answer there is, not only those to mathematics, reasoning and
coding; its instructions are ours; and all categories are sampled at the temperature of the comparison.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs import LMJudge
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.redaction import redacting

from ..rows.row_files import Row
from ..rows.sources import Source, data_folder, read_rows
from .grading import remembered
from .judge_call import grade
from .loading import Loader, UnreadableAnswer
from .task import Setup, Task


class TwoTurns(dspy.Signature):
    """Answer two questions that are asked one after the other."""

    question_1: str = dspy.InputField(desc="the first question")
    question_2: str = dspy.InputField(desc="the second question, asked after the first was answered")
    answer_1: str = dspy.OutputField(desc="the answer to the first question")
    answer_2: str = dspy.OutputField(desc="the answer to the second question, which may build on the first answer")


class Turn(dspy.Signature):
    """Answer the user's question as helpfully, correctly and completely as you can,
    with what was said before in mind.
    """

    history: dspy.History = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


TURNS = Turn.instructions


class Dialogue(dspy.Module):
    """Answers both turns with one predictor; to whoever wraps it, it is one task with the fields of :class:`TwoTurns`.

    Args:
        instructions: what the model is told in each turn.
    """

    def __init__(self, instructions: str = TURNS) -> None:
        super().__init__()
        self.signature = TwoTurns
        self.turn = dspy.Predict(Turn.with_instructions(instructions))

    def forward(self, question_1: str, question_2: str) -> dspy.Prediction:
        """Two calls, one after the other."""
        first = self.turn(history=dspy.History(messages=[]), question=question_1).answer
        second = self.turn(history=_after(question_1, first), question=question_2).answer
        return dspy.Prediction(answer_1=first, answer_2=second)

    async def aforward(self, question_1: str, question_2: str) -> dspy.Prediction:
        """As :meth:`forward`, in the running event loop."""
        first = (await self.turn.acall(history=dspy.History(messages=[]), question=question_1)).answer
        second = (await self.turn.acall(history=_after(question_1, first), question=question_2)).answer
        return dspy.Prediction(answer_1=first, answer_2=second)


def _after(question: str, answer: str) -> dspy.History:
    return dspy.History(messages=[{"question": question, "answer": answer}])


_log = redacting(logging.getLogger(__name__))

SOURCE = Source(
    licence="Apache-2.0",
    url="https://github.com/lm-sys/FastChat",
    citation="arXiv 2306.05685",
    hub="HuggingFaceH4/mt_bench_prompts",
    revision="e3a795c5e9a82ee40611c416b8a7786c73198991",
    splits=MappingProxyType({"test": "train"}),
    files=MappingProxyType({"test": ("mt_bench/question",), "reference": ("mt_bench/reference_gpt-4",)}),
    sizes=MappingProxyType({"test": 80}),
)

INSTANCE = MappingProxyType(
    {
        "question_1": "Which is heavier, a kilogram of lead or a kilogram of feathers?",
        "question_2": "And a litre of each?",
        "category": "reasoning",
        "answer_1": "Neither: both weigh one kilogram.",
        "answer_2": "The litre of lead, which weighs about 11.3 kg.",
    }
)

SCALE = (1.0, 10.0)
_References = Callable[[], Mapping[str, tuple[str, ...]]]


def make_task(setup: Setup) -> Task:
    """The task; an example's fields ``answer_1`` and ``answer_2`` are the reference's, or empty."""
    references = cache(lambda: _local_references(setup))
    loader = Loader(SOURCE, setup, lambda row, _, number: _example(row, number, references), group=_category)
    graded = remembered(lambda example, prediction: rate_turns(setup.required_judge("mt_bench"), example, prediction))
    return Task(
        name="mt_bench",
        instructions=TURNS,
        program=Dialogue,
        adapter=dspy.ChatAdapter,
        examples=loader,
        metric=lambda example, prediction: sum(graded(example, prediction)) / 2,
        answer_text=dialogue_text,
        comparable=False,
        source=SOURCE,
        splits=("test",),
        instance=INSTANCE,
        group=_category,
        aspects=lambda example, prediction: {
            f"turn {i}": score for i, score in enumerate(graded(example, prediction), 1)
        },
        needs_judge=True,
        set_aside=loader.set_aside,
    )


def rate_turns(judge: dspy.BaseLM, example: dspy.Example, prediction: dspy.Prediction) -> tuple[float, float]:
    """The judge's rating of each turn, in [0, 1]: 0 for 1 and 1 for 10.

    Raises:
        UnreadableVerdict: a rating cannot be read.
        ConfigurationError: the answer has not two turns.
    """
    if missing := [name for name in TwoTurns.output_fields if name not in prediction]:
        raise ConfigurationError(
            f"mt_bench asks two turns, but the answer lacks {missing[0]!r}; leave the adapter to the task"
        )
    first, second = str(prediction.answer_1), str(prediction.answer_2)
    return (
        _rate(judge, {"question": example.question_1}, example.answer_1, first),
        _rate(
            judge,
            {"conversation": [example.question_1, first], "question": example.question_2},
            example.answer_2,
            second,
        ),
    )


def dialogue_text(outputs: Mapping[str, Any]) -> str:
    """Both answers as one text; empty where there are none."""
    answers = [str(outputs.get(name) or "") for name in TwoTurns.output_fields]
    return "\n\n".join(f"({i}) {answer}" for i, answer in enumerate(answers, 1)) if any(answers) else ""


def _rate(judge: dspy.BaseLM, inputs: dict[str, Any], reference: str, answer: str) -> float:
    asked_for = inputs | ({"reference": reference} if reference else {})
    fields = ", ".join(
        f"{name}: {'list[str]' if isinstance(value, list) else 'str'}" for name, value in asked_for.items()
    )
    scorer = LMJudge(judge, scale=SCALE).bound(make_signature(f"{fields} -> answer", TURNS))
    return grade(judge, scorer, asked_for, dspy.Prediction(answer=answer))


def _example(row: Row, number: int, references: _References) -> dspy.Example:
    turns = row.get("turns", "prompt")
    if (
        not isinstance(turns, list)
        or len(turns) != 2
        or not all(isinstance(turn, str) and turn.strip() for turn in turns)
    ):
        raise UnreadableAnswer(f"a dialogue has two turns, but these are {turns!r:.80}")
    name = str(next((row.values[key] for key in ("question_id", "prompt_id") if key in row.values), number))
    answers = row.values.get("reference") or references().get(name) or ()
    first, second = (*map(str, answers), "", "")[:2]
    questions = {"question_1": turns[0], "question_2": turns[1]}
    example = dspy.Example(id=name, **questions, category=str(row.get("category")), answer_1=first, answer_2=second)
    return example.with_inputs("question_1", "question_2")


def _local_references(setup: Setup) -> dict[str, tuple[str, ...]]:
    """GPT-4's answers of the local folder, by question; the hub has them in the questions' own rows."""
    folder = data_folder(setup.data)
    if folder is None:
        return {}
    if SOURCE.local_file("reference", folder) is None:
        _log.warning(
            "%s holds no %s; answers are graded without a reference", folder, SOURCE.local_names("reference")[0]
        )
        return {}
    return {str(row.get("question_id")): _turns(row) for row in read_rows(SOURCE, "reference", data=folder)}


def _turns(row: Row) -> tuple[str, ...]:
    try:
        return tuple(row.get("choices")[0]["turns"])
    except (LookupError, TypeError) as error:
        raise ConfigurationError(f"{row.where} holds no choices[0].turns ({error}); mend or remove the line") from error


def _category(example: dspy.Example) -> str:
    return example.category
