"""Programs that answer with recorded generations.

A bank that has the answers of models called ``recorded/SET`` or ``recorded/SET/SOURCE``.

Such a model is never asked. The bank answers its attempts from the task's inputs and output fields, without a prompt
that would have to be read and an answer that would have to be parsed, so that nothing in a recorded text can pass for
part of a protocol.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dspy

from dspy_fusion.programs import Candidate, CandidateBank
from dspy_fusion.programs.calls.attempts import Attempt, describe
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks.own_fields import marked_field
from dspy_fusion.serving.recorded_lm import PREFIX, unasked_lm

from ..recordings.store import RecordedStore
from .replayed_set import NotRecorded, ReplayedSet, answered, picked


class RecordedBank(CandidateBank):
    """A bank that also answers for the sources of its recorded sets.

    ``recorded/SET/SOURCE`` is one source. ``recorded/SET`` is the whole set: candidate i is the i-th answer in a random
    order that the seed and the question determine, so that the first N are a random selection, and another one in each
    repetition.

    Args:
        url: of the bank.

    Raises:
        BankError: see :class:`CandidateBank`.
    """

    def __init__(self, url: str | Path) -> None:
        super().__init__(url)
        self.store = RecordedStore(self)
        self.aliases: Mapping[str, str] = {}
        """Other names of groups, such as those of languages by their codes."""
        self._known: tuple[str, ...] = ()
        self._read: dict[str, ReplayedSet] = {}
        self._reading = threading.Lock()

    def lm(self, name: str) -> dspy.LM:
        """A model that stands for recorded answers.

        Args:
            name: ``recorded/SET``, ``recorded/SET/SOURCE``, or ``recorded/SOURCE`` where only one set has that source.

        Raises:
            ConfigurationError: there is no such set or source.
        """
        recorded_set, column = self._resolve(name.removeprefix(PREFIX))
        return unasked_lm(f"{PREFIX}{recorded_set}/{column}".rstrip("/"), digest=self._set(recorded_set).digest)

    def columns(self, model: str) -> tuple[str, ...]:
        """The recorded answers that a model of :meth:`lm` may give to a question: one, or the whole set's."""
        recorded_set, column = self._resolve(model.removeprefix(PREFIX))
        return (column,) if column else self._set(recorded_set).columns

    def has(self, inputs: Mapping[str, Any], model: str) -> bool:
        """Whether a model of :meth:`lm` has an answer to a task's inputs."""
        recorded_set, column = self._resolve(model.removeprefix(PREFIX))
        try:
            question = self._set(recorded_set).question(inputs, self.aliases)
        except NotRecorded:
            return False
        return not column or any(candidate.column == column for candidate in question.candidates)

    def replays(self, attempts: Sequence[Attempt]) -> dict[str, Candidate]:
        """The recorded answers where the attempts are a recorded model's, else what the bank keeps."""
        names = {id(attempt): getattr(attempt.lm or dspy.settings.lm, "model", "") for attempt in attempts}
        others = [attempt for attempt in attempts if not names[id(attempt)].startswith(PREFIX)]
        recorded = [attempt for attempt in attempts if names[id(attempt)].startswith(PREFIX)]
        answers = {attempt.key: self._recorded(attempt, names[id(attempt)]) for attempt in recorded}
        return answers | (super().replays(others) if others else {})

    def _recorded(self, attempt: Attempt, name: str) -> Candidate:
        if attempt.layer or marked_field(attempt.signature, "candidates"):
            raise ConfigurationError(
                f"{name} cannot read candidates: it only has recorded answers; name a real model as fusor or judge"
            )
        try:
            recorded_set, column = self._resolve(name.removeprefix(PREFIX))
            question = self._set(recorded_set).question(attempt.inputs, self.aliases)
            return answered(attempt, name, picked(question, column, attempt))
        except NotRecorded as error:
            return Candidate(attempt.index, None, describe(error), name, attempt.layer)

    def _resolve(self, wanted: str) -> tuple[str, str]:
        """The set, and its column or an empty text for all of them."""
        names = self._names()
        for name in names:
            if wanted == name:
                return name, ""
            if wanted.startswith(f"{name}/"):
                column = wanted.removeprefix(f"{name}/")
                columns = (*self._set(name).columns, *self._set(name).made)
                if column in columns:
                    return name, column
                raise ConfigurationError(f"the set {name!r} has no source {column!r}; it has: {', '.join(columns)}")
        holding = [name for name in names if wanted in (*self._set(name).columns, *self._set(name).made)]
        if len(holding) == 1:
            return holding[0], wanted
        where = (
            f"several sets have it, so name one: {', '.join(holding)}"
            if holding
            else f"the bank's sets are: {', '.join(names)}"
        )
        raise ConfigurationError(f"there is no recorded model {PREFIX}{wanted}; {where}")

    def _names(self) -> tuple[str, ...]:
        """The names of the sets, longer ones first, so that none is taken for the beginning of another; read once."""
        with self._reading:
            if not self._known:
                names = [item.name for item in self.store.sets] or [
                    self.store.set_named().name
                ]  # which says that there are none
                self._known = tuple(sorted(names, key=len, reverse=True))
            return self._known

    def _set(self, name: str) -> ReplayedSet:
        """The set, read once."""
        with self._reading:
            if name not in self._read:
                self._read[name] = ReplayedSet(self.store.questions(name))
            return self._read[name]
