"""Where new fusor prompts come from: a model that knows the task and the pool, and rewrites that reflect on failures.

The reflection follows GEPA (arXiv 2507.19457): the model sees what went in, what came out and what the metric said, and
writes anew. Unlike there, it is shown the candidates beside the fused answer, since a fusor's fault is in what it made
of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dspy

from dspy_fusion.programs.calls.attempts import describe
from dspy_fusion.programs.redaction import redacting
from dspy_fusion.programs.sampling_program import SamplingProgram
from dspy_fusion.programs.tasks.signatures import plain, signature_of

from .scores.study_store import Outcome

logger = redacting(logging.getLogger(__name__))
_LONGEST = 4000  # characters of an instruction; longer ones are a model that ran on


class GroundedProposal(dspy.Signature):
    """Write an instruction for a language model that is shown several candidate answers to one task and writes the
    final answer.

    The instruction must fit the task, say how the candidates are to be used, and stand for itself. It must not name any
    example. Write something that differs in approach from the instructions that were tried.
    """

    task: str = dspy.InputField(desc="what the final answer has to do")
    examples: list[str] = dspy.InputField(desc="inputs of the task with good answers")
    pool: str = dspy.InputField(desc="what is known of the candidates")
    tried: list[str] = dspy.InputField(desc="instructions that were tried")
    instruction: str = dspy.OutputField(desc="the new instruction alone")


class TaskProposal(dspy.Signature):
    """Write an instruction for a language model that does one task.

    The instruction must fit the task and stand for itself. It must not name any example. Write something that differs
    in approach from the instructions that were tried.
    """

    task: str = dspy.InputField(desc="what it is told to do so far")
    examples: list[str] = dspy.InputField(desc="inputs of the task with good answers")
    tried: list[str] = dspy.InputField(desc="instructions that were tried")
    instruction: str = dspy.OutputField(desc="the new instruction alone")


class ReflectiveRewrite(dspy.Signature):
    """Improve an instruction for a language model that is shown several candidate answers to one task and writes the
    final answer.

    Look at what went wrong: what the candidates said, what was made of them, and what the judgement was. Find what the
    instruction failed to ask for, and write a better one that also keeps what worked. It must not name any example.
    """

    instruction: str = dspy.InputField(desc="the present instruction")
    failures: list[str] = dspy.InputField(desc="the worst results under it")
    improved: str = dspy.OutputField(desc="the new instruction alone")


class TaskRewrite(dspy.Signature):
    """Improve an instruction for a language model that does one task.

    Look at what went wrong and what the judgement was. Find what the instruction failed to ask for, and write a better
    one that also keeps what worked. It must not name any example.
    """

    instruction: str = dspy.InputField(desc="the present instruction")
    failures: list[str] = dspy.InputField(desc="the worst results under it")
    improved: str = dspy.OutputField(desc="the new instruction alone")


class InstructionProposer:
    """Asks a model for instructions.

    Args:
        lm: the proposing model; None takes the one in ``dspy.settings``.
        temperature: of the proposals, in [0, 2].
        seed: base of their seeds.
    """

    def __init__(self, lm: dspy.BaseLM | None = None, *, temperature: float = 1.0, seed: int = 0) -> None:
        self.lm, self.temperature, self.seed = lm, temperature, seed
        self.propose, self.rewrite = dspy.Predict(GroundedProposal), dspy.Predict(ReflectiveRewrite)
        self.propose_task, self.rewrite_task = dspy.Predict(TaskProposal), dspy.Predict(TaskRewrite)
        self.failures: list[str] = []
        self.program: dspy.Module | None = None
        self.path = ""

    def attend(self, program: dspy.Module, path: str) -> None:
        """Hears which predictor of which program the next instructions are for."""
        self.program, self.path = program, path

    def grounded(
        self,
        task: str,
        examples: Sequence[dspy.Example],
        pool: str,
        tried: Sequence[str],
        count: int,
        *,
        fuses: bool = True,
    ) -> list[str]:
        """Up to ``count`` new instructions from what is known of the task.

        What the model gets wrong is left out and remembered.

        With ``fuses`` they are for a fusor, else for what does the task itself.
        """
        texts: list[str] = []
        shown = [_shown_example(example) for example in examples[:4]]
        for place in range(count):
            inputs = {
                "task": task,
                "examples": shown,
                "tried": [*tried, *texts][-8:],
                **({"pool": pool} if fuses else {}),
            }
            texts += self._ask(self.propose if fuses else self.propose_task, "instruction", inputs, place)
        return texts

    def reflective(
        self, instruction: str, worst: Sequence[tuple[dspy.Example, Outcome]], place: int, *, fuses: bool = True
    ) -> list[str]:
        """A rewrite of an instruction in view of its worst results, or nothing where the model gives none.

        ``fuses`` as above.
        """
        failures = [_shown_failure(example, outcome) for example, outcome in worst]
        return self._ask(
            self.rewrite if fuses else self.rewrite_task,
            "improved",
            {"instruction": instruction, "failures": failures},
            1000 + place,
        )

    def _ask(self, predictor: dspy.Predict, output: str, inputs: Mapping[str, Any], place: int) -> list[str]:
        lm = self.lm or dspy.settings.lm
        config = {"temperature": self.temperature, "rollout_id": place + 1, "seed": self.seed + place}
        with dspy.context(adapter=dspy.ChatAdapter()):  # not the task's, which may know its own fields only
            return self.checked(lambda: str(predictor(**inputs, lm=lm, config=config)[output] or ""))

    def checked(self, propose: Callable[[], str | Sequence[str]]) -> list[str]:
        """The texts that a call proposes, without those that are too short or too long; where it fails none.

        What was wrong is kept in ``failures``, which the report counts: a model that cannot propose must not end a
        study.
        """
        try:
            said = propose()
        except Exception as error:  # noqa: BLE001 (see above)
            self.failures.append(describe(error))
            logger.warning("no instruction proposed: %s", self.failures[-1])
            return []
        texts = [text.strip() for text in ([said] if isinstance(said, str) else said)]
        wrong = [text for text in texts if not 10 <= len(text) <= _LONGEST]
        self.failures += [f"a proposal of {len(text)} characters was not taken" for text in wrong]
        return [text for text in texts if text not in wrong]


def describe_task(program: dspy.Module, path: str) -> str:
    """What the task asks for whose answers a fusor or a judge is shown.

    The predictor's own instruction where it belongs to none of our programs, or is the task program itself.
    """
    owners = [
        (name.removeprefix("self").lstrip("."), part) for name, part in program.named_sub_modules(SamplingProgram)
    ]
    owners = [(name, part) for name, part in owners if path.startswith(f"{name}." if name else "")]
    name, owner = max(owners, key=lambda pair: len(pair[0]), default=("", None))
    within = path.removeprefix(f"{name}.") if name else path
    if not isinstance(owner, SamplingProgram) or within.split(".")[0] == "program":
        return signature_of(dict(program.named_predictors())[path]).instructions
    return owner.task_text()


def describe_pool(outcomes: Sequence[Outcome]) -> str:
    """What outcomes say about a pool, in words."""
    sizes = [len(outcome.candidates) for outcome in outcomes if outcome.candidates]
    if not sizes:
        return "several candidates, which may agree or differ"
    distinct = [len(set(outcome.candidates)) / len(outcome.candidates) for outcome in outcomes if outcome.candidates]
    score = sum(outcome.score for outcome in outcomes) / len(outcomes)
    return (
        f"about {sum(sizes) / len(sizes):.1f} candidates per task, {100 * sum(distinct) / len(distinct):.0f} % of them"
        f" distinct; final answers score {score:.2f} on average so far"
    )


def _shown_example(example: dspy.Example) -> str:
    return " | ".join(f"{name}: {str(plain(value))[:600]}" for name, value in example.toDict().items())


def _shown_failure(example: dspy.Example, outcome: Outcome) -> str:
    scores = [*outcome.candidate_scores, *(None for _ in outcome.candidates)]
    candidates = "\n".join(
        f"candidate {i}{'' if score is None else f' (by itself it scores {score:.2f})'}: {text[:400]}"
        for i, (text, score) in enumerate(zip(outcome.candidates, scores, strict=False), 1)
    )
    judged = f"score {outcome.score:.2f}. {outcome.feedback}".strip()
    lost = [score for score in outcome.candidate_scores if score is not None and score > outcome.score]
    told = "\na better candidate was there and was lost" if lost else ""
    return f"{_shown_example(example)}\n{candidates}\nfinal answer: {outcome.answer[:600]}\njudgement: {judged}{told}"
