"""Embedded models that count what they are asked and remember what they answered,
and a model that proposes the library's prompts.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from dspy_fusion.programs import FUSOR_INSTRUCTIONS
from dspy_fusion.serving.embedded import PREFIX
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel, load_model
from dspy_fusion.serving.embedded.engine import AsyncEmbeddedEngine, EmbeddedEngine


class CountedModels:
    """Makes models that share one count and one memory."""

    def __init__(self) -> None:
        self.memory: dict[tuple[str, str], Response] = {}
        self.count = 0
        self.lock = threading.Lock()

    def lm(self, name: str, *, cache: bool) -> dspy.LM:
        """A model of a name, with or without DSPy's own cache before it."""
        model = load_model(name)
        engines = {"engine": _CountedEngine(model, self), "async_engine": AsyncEmbeddedEngine(model)}
        return dspy.LM(f"{PREFIX}{model.name}", cache=cache, **engines)

    def take_count(self) -> int:
        """The requests since the last time."""
        with self.lock:
            count, self.count = self.count, 0
        return count


class _CountedEngine(EmbeddedEngine):
    def __init__(self, model: EmbeddedModel, models: CountedModels) -> None:
        super().__init__(model)
        self._models = models

    def complete(self, request: Request) -> Response:
        key = (request.model, repr((request.system, request.messages, request.config)))
        with self._models.lock:
            self._models.count += 1
            answer = self._models.memory.get(key)
        if answer is None:
            answer = super().complete(request)
            with self._models.lock:
                self._models.memory[key] = answer
        return answer


class _LibraryEngine:
    """Answers every request with the next of some instructions."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = itertools.cycle(texts)

    def complete(self, request: Request) -> Response:
        text = next(self.texts)
        usage = Usage(input_tokens=0, output_tokens=0, total_tokens=0)
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(text)]), finish_reason="stop", usage=usage
        )

    def close(self) -> None:
        pass

    def __deepcopy__(self, memo: dict[int, Any]) -> _LibraryEngine:
        return self


def library_writer(texts: Sequence[str] = FUSOR_INSTRUCTIONS) -> dspy.LM:
    """A model that proposes instructions one after another, by default the library's, which small models cannot
    write.
    """
    return dspy.LM("scripted/library", engine=_LibraryEngine(texts), cache=False)
