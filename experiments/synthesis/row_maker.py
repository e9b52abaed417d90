"""RowMaker: a prompt in, a row out. The same code makes rows in this process and on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dspy

from dspy_fusion.programs.calls.drawing import arun
from dspy_fusion.programs.pools.candidates import Candidate
from dspy_fusion.programs.tasks.own_fields import marked_field
from dspy_fusion.programs.tasks.plain_adapter import PlainAdapter
from dspy_fusion.serving.catalogue.model_entry import Price

from .program import RESPONSE
from .prompts import Prompt
from .recipe import Recipe
from .synthesized_rows import Dropped, FusedAnswer, Row, TeacherAnswer


class PromptAdapter(PlainAdapter):
    """PlainAdapter, except that a call without candidates has no other system text than the given one,
    and none where that is empty.

    Args:
        system: system text of the teachers.
    """

    def __init__(self, system: str = "") -> None:
        super().__init__()
        self.system = system

    def format(
        self, signature: type[dspy.Signature], demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """The messages: for a teacher the prompt alone, after the system text where there is one."""
        messages = super().format(signature, demos, inputs)
        if marked_field(signature, "candidates"):
            return messages
        return [*([{"role": "system", "content": self.system}] if self.system else []), *messages[1:]]


FAILED, NO_PROMPT = "failed", "no_prompt"


class RowMaker:
    """Makes rows by a recipe, any number at a time, in the event loop that first has it make one.

    Args:
        recipe: how.

    Raises:
        ConfigurationError: a model's name or an option is wrong, or a key is missing.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.config = recipe, recipe.config
        self.program = recipe.program()
        self.adapter = PromptAdapter(recipe.system)
        self.prices = {name: recipe.catalogue.price(name) for name in recipe.model_names}
        self.digests = {name: fingerprint["digest"] for name, fingerprint in recipe.fingerprints.items()}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The settings under which rows are made; nothing is kept that would grow with their number."""
        with dspy.context(adapter=self.adapter, disable_history=True, trace=None, callbacks=[], usage_tracker=None):
            yield

    async def make(self, prompt: Prompt) -> Row:
        """The row of a prompt. What fails is on it; nothing that a teacher, a scorer or a fusor does is raised."""
        row = Row(prompt.index, prompt.where, prompt.text, prompt.language, self.recipe.row_seed(prompt.index), ())
        if not prompt.text.strip():
            return replace(row, dropped=Dropped(NO_PROMPT, "the prompt is blank"))
        made = await arun(self.program.make(prompt.text, row.seed))
        row = replace(
            row,
            candidates=tuple(self._teacher_answer(candidate, row.seed) for candidate in made.candidates),
            best=made.best,
            fused=None if made.fused is None else self._fused_answer(made.fused, made.shown),
            usage=made.usage,
            scorer_error=made.scorer_error,
        )
        row = replace(row, answer=self._answer(row), cost_usd=self._cost(row))
        return row if row.answer is not None else replace(row, dropped=Dropped(FAILED, self._why_none(row)))

    def _answer(self, row: Row) -> str | None:
        if self.config.fusion is not None:
            return row.fused.text if row.fused else None
        place = row.best if self.config.best is not None else 0
        return None if place is None else row.candidates[place].text

    def _why_none(self, row: Row) -> str:
        if all(candidate.text is None for candidate in row.candidates):
            return f"no teacher answered, the last with {row.candidates[-1].error}"
        return f"the fusor failed: {row.fused.error}" if row.fused else f"the scorer failed: {row.scorer_error}"

    def _teacher_answer(self, candidate: Candidate, seed: int) -> TeacherAnswer:
        name = self.config.teachers[candidate.index % len(self.config.teachers)]
        sampled = (seed + candidate.index) % 2**31 if self.config.temperature else None
        answered: dict[str, Any] = {
            "score": candidate.score,
            "score_error": candidate.score_error,
            "logprob": candidate.logprob,
        }
        return TeacherAnswer(name, **self._called(name, candidate), seed=sampled, **answered)

    def _fused_answer(self, fused: Candidate, shown: tuple[int, ...]) -> FusedAnswer:
        name = self.config.fusion.fusor if self.config.fusion else ""
        return FusedAnswer(name, **self._called(name, fused), instructions=self.recipe.instructions_digest, shown=shown)

    def _called(self, name: str, candidate: Candidate) -> dict[str, Any]:
        usage = candidate.usage
        return {
            "model": candidate.lm,
            "fingerprint": self.digests[name],
            "text": None if candidate.prediction is None else candidate.prediction[RESPONSE],
            "error": candidate.error,
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "cost_usd": self.prices[name].cost_usd(usage.tokens_in, usage.tokens_out),
        }

    def _cost(self, row: Row) -> float:
        scorer = row.usage.get("scorer")
        judge = self.prices.get(self.config.best.model if self.config.best else "", Price())
        scoring = judge.cost_usd(scorer.tokens_in, scorer.tokens_out) if scorer else 0.0
        return sum(answer.cost_usd for answer in row.candidates) + (row.fused.cost_usd if row.fused else 0.0) + scoring
