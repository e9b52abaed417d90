"""IFEval: prompts whose instructions can be checked by rules (arXiv 2311.07911).

No answer is right; instructions are followed or not.

An answer scores 1 when it follows all instructions of its prompt strictly (the official prompt-level strict accuracy).
The other three official scores are made from the aspects: those on the level of instructions are shares of all
instructions together, which ``official_scores_of`` gives, not means over prompts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter

from ..records.record import PartRecord, Record
from ..rows.row_files import Row
from ..rows.sources import Source
from .ifeval_rules import Instruction, OfficialScores, bind_all, following
from .loading import Loader
from .task import Setup, Task

SOURCE = Source(
    licence="Apache-2.0",
    url="https://github.com/google-research/google-research/tree/master/instruction_following_eval",
    citation="arXiv 2311.07911",
    hub="google/IFEval",
    revision="966cd89545d6b6acfd7638bc708b98261ca58e84",
    splits=MappingProxyType({"test": "train"}),
    files=MappingProxyType({"test": ("ifeval/test", "ifeval/input_data")}),
    sizes=MappingProxyType({"test": 541}),
)

INSTANCE = MappingProxyType(
    {
        "prompt": "Describe a lighthouse in at least 50 words, without a comma.",
        "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma"],
        "kwargs": [{"relation": "at least", "num_words": 50}, {}],
    }
)

_INSTRUCTIONS = "Answer the request, and follow each of its instructions exactly."


def make_task(setup: Setup) -> Task:
    """The task; answers are asked for and taken as plain text,
    for field markers would themselves break instructions.
    """
    loader = Loader(SOURCE, setup, _example, group=category_of, packages=("langdetect", "punkt"))
    return Task(
        name="ifeval",
        instructions=_INSTRUCTIONS,
        program=lambda instructions: dspy.Predict(make_signature("prompt -> response", instructions)),
        adapter=PlainAdapter,
        examples=loader,
        metric=follows_all,
        answer_text=_answer_text,
        comparable=False,
        source=SOURCE,
        splits=tuple(SOURCE.files),
        instance=INSTANCE,
        group=category_of,
        aspects=official_aspects,
        aspect_means=lambda records: asdict(official_scores_of(records)),
        set_aside=loader.set_aside,
        parts=part_records,
    )


def instructions_of(example: dspy.Example) -> tuple[Instruction, ...]:
    """What the example's prompt asks, from its fields ``instruction_id_list`` and ``kwargs``.

    Raises:
        ConfigurationError: an instruction is unknown, or its arguments do not fit.
    """
    return bind_all(example.instruction_id_list, example.kwargs, where=f"the example {example.id!r}")


def follows_all(example: dspy.Example, prediction: dspy.Prediction) -> float:
    """1 where the response follows every instruction, strictly; else 0."""
    response = _response(prediction)
    return float(all(instruction.followed_by(response) for instruction in instructions_of(example)))


def official_aspects(example: dspy.Example, prediction: dspy.Prediction) -> Mapping[str, float]:
    """Whether all instructions are followed, and which share of them, each strictly and loosely."""
    followings = following(_response(prediction), instructions_of(example))
    return {
        "prompt_strict": float(all(followings.strict)),
        "prompt_loose": float(all(followings.loose)),
        "instruction_strict": sum(followings.strict) / len(followings.strict),
        "instruction_loose": sum(followings.loose) / len(followings.loose),
    }


def official_scores_of(records: Iterable[Record]) -> OfficialScores:
    """The four official scores of one strategy's records; an answer that failed follows none of its instructions.

    Raises:
        ConfigurationError: there are none, or one is not of this task.
    """
    rows = [(record.aspects, len(record.expected.splitlines())) for record in records]
    if not all(count for _, count in rows) or not rows:
        raise ConfigurationError(
            "the official scores of IFEval need records of that task; there are none, or one lacks its instructions"
        )
    total = sum(count for _, count in rows)
    prompts = {
        name: sum(aspects.get(name, 0.0) for aspects, _ in rows) / len(rows)
        for name in ("prompt_strict", "prompt_loose")
    }
    levels = ("instruction_strict", "instruction_loose")
    return OfficialScores(
        **prompts, **{name: sum(aspects.get(name, 0.0) * count for aspects, count in rows) / total for name in levels}
    )


def part_records(example: dspy.Example, answer: str, candidates: Sequence[str | None]) -> tuple[PartRecord, ...]:
    """Each instruction as a part: whether the answer follows it strictly, and which candidates do the same."""
    records = []
    for place, instruction in enumerate(instructions_of(example), 1):
        right = instruction.followed_by(answer)
        same = tuple(
            i for i, text in enumerate(candidates) if text is not None and instruction.followed_by(text) == right
        )
        label = f"{place} {instruction.id}"
        records.append(
            PartRecord(label=label, kind=instruction.category, given=bool(answer.strip()), right=right, same_as=same)
        )
    return tuple(records)


def category_of(example: dspy.Example) -> str:
    """The group of instructions that the prompt's belong to, ``several`` where they belong to more than one."""
    categories = {instruction.category for instruction in instructions_of(example)}
    return categories.pop() if len(categories) == 1 else "several"


def _response(prediction: Mapping[str, Any] | dspy.Prediction) -> str:
    return str(prediction.get("response") or "")


def _answer_text(fields: Mapping[str, Any]) -> str:
    """The response; of an example, what it asks, a line for each instruction."""
    if "response" in fields:
        return _response(fields)
    described = zip(fields["instruction_id_list"], fields["kwargs"], strict=True)
    return "\n".join(name + "".join(f" {key}={value!r}" for key, value in values.items()) for name, values in described)


def _example(row: Row, language: str, number: int) -> dspy.Example:
    ids, arguments = row.get("instruction_id_list"), row.get("kwargs")
    if not isinstance(ids, list) or not isinstance(arguments, list):
        raise ConfigurationError(
            f"{row.where}: instruction_id_list and kwargs should be lists, one item for each instruction"
        )
    bind_all(ids, arguments, where=row.where)
    settings = [{key: value for key, value in (values or {}).items() if value is not None} for values in arguments]
    example = dspy.Example(
        id=f"ifeval-{row.get('key', 'id')}", prompt=str(row.get("prompt")), instruction_id_list=ids, kwargs=settings
    )
    return example.with_inputs("prompt")
