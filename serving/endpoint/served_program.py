"""A program as a model.

The conversation is its input, its answer field is the text, and the fusor's own tokens are the stream.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, cast

import dspy
from dspy.clients._litellm import get_litellm
from dspy.clients.engines.litellm_engine import LiteLLMEngine
from dspy.utils.usage_tracker import UsageTracker

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Pool
from dspy_fusion.programs.sampling_program import SamplingProgram, optional_temperature
from dspy_fusion.programs.tasks.signatures import plain, signature_of

from ..embedded.engine import EmbeddedEngine
from .answer_end import AnswerEnd, OwnTokens, Tokens, WordTokens
from .answer_schema import as_json, check_schema
from .answers import Answer, Tell
from .chat import ChatBody
from .conversation import read_inputs, with_system
from .error_responses import ApiError, bad_request
from .streaming import FusorStream, Shown, reader_for
from .tools import calls_field, made_calls

# candidate i is drawn with seed + i, so the seeds of several answers must lie further apart than a pool is large
SEED_STRIDE = 1000


class ServedProgram:
    """A program of the endpoint.

    A request's ``temperature`` is that of the candidates, its ``seed`` the program's; answer i has ``seed + 1000 * i``.
    Answer 0 to a request without them is what calling the program gives. ``max_tokens`` ends the answer's text, not
    the calls behind it, which have limits of their own.

    Args:
        name: what clients call it.
        program: one of this library's; wrap any other as ``Vote(program, n=1)``.
        adapter: the one it runs under; None for ``dspy.ChatAdapter``.
        answer_field: the output field that is the answer's text; None takes the only one, else one called ``answer``,
            else all of them as a JSON object.

    Raises:
        ConfigurationError: the program is none of this library's, or has no such output field.
    """

    takes_inputs = True
    honours: Collection[str] = frozenset({"seed", "temperature", "max_tokens", "response_format"})

    def __init__(
        self, name: str, program: dspy.Module, *, adapter: dspy.Adapter | None = None, answer_field: str | None = None
    ) -> None:
        if not isinstance(program, SamplingProgram):
            raise ConfigurationError(
                f"{name!r} is a {type(program).__name__}, which cannot be served by itself; wrap it as Vote(program,"
                " n=1, temperature=None)"
            )
        self.name, self.program, self.adapter = name, program, adapter
        self.answer_field = _answer_field(program.signature, answer_field)
        self._calls = calls_field(program.signature)
        if self._calls is not None:
            self.honours = frozenset({*self.honours, "tools"})

    def warm_up(self) -> None:
        """Imports litellm, which takes seconds, where a model of the program is reached through it."""
        engines = [getattr(lm, "engine", None) for lm in [*(self.program.lms or ()), self._writer]]
        if any(engine == "litellm" or isinstance(engine, LiteLLMEngine) for engine in engines):
            get_litellm(feature="dspy-fusion serve")

    def check(self, body: ChatBody) -> None:
        """The inputs must be the task's, in its types, and its outputs such as a schema wants them."""
        read_inputs(self.program.signature, body, self._spoken(body))
        if body.is_json:
            check_schema(self.program.signature, body)
        if body.tools and body.is_json:
            raise bad_request("tools and a response_format of JSON cannot both be; leave one out", "response_format")
        if body.tool_choice == "none" and body.tools and self._spoken(body) is None:
            raise bad_request(
                "this model answers with calls of tools alone, so tool_choice cannot be 'none'", "tool_choice"
            )

    async def answer(self, body: ChatBody, index: int, tell: Tell | None) -> Answer:
        """Calls the program in the running event loop; the errors are the program's own."""
        tokens = None if body.most_tokens is None else await asyncio.to_thread(self._tokens)
        end = AnswerEnd(body.stop, body.most_tokens, tokens)
        program, shown = self._program_for(body, index), Shown(tell, end) if tell else None
        stream = self._stream(program, shown, self._spoken(body)) if shown and not body.is_json else None
        tracker = _ReasoningTokens()
        settings = {"trace": None, "disable_history": True, "track_usage": shown is not None, "usage_tracker": tracker}
        with dspy.context(adapter=self.adapter, **settings, send_stream=stream):
            prediction = await program.acall(**read_inputs(program.signature, body, self._spoken(body)))
        calls = (
            made_calls(prediction.get(self._calls), body.tools, body.tool_choice, one=body.parallel_tool_calls is False)
            if body.tools
            else ()
        )
        text, finish = end.whole(as_json(prediction, body) if body.is_json else self._text(prediction, body))
        if shown is not None and not shown.finish(text):
            raise ApiError(
                502, "the fusor failed after it had begun to write; the answer so far is void", code="answer_withdrawn"
            )
        pool = cast("Pool", prediction.pool)
        return Answer(
            text,
            "tool_calls" if calls else finish,
            pool.usage,
            about=_about(prediction, pool),
            reasoning_tokens=tracker.count,
            calls=calls,
        )

    @property
    def _writer(self) -> dspy.BaseLM | None:
        """The model that writes the answers."""
        fusor_lm = getattr(self.program, "fusor_lm", None)
        return fusor_lm or next(iter(self.program.lms or ()), None)

    def _tokens(self) -> Callable[[], Tokens]:
        """What counts the tokens of an answer: the tokenizer of an embedded model, or else one of OpenAI's."""
        engine = getattr(self._writer, "engine", None)
        if isinstance(engine, EmbeddedEngine):
            return partial(OwnTokens, engine.model.tokenizer)
        encoding = get_litellm(feature="max_tokens").encoding
        return partial(WordTokens, partial(encoding.encode, disallowed_special=()), encoding.decode)

    def _program_for(self, body: ChatBody, index: int) -> SamplingProgram:
        program = copy.copy(with_system(self.program, body))
        seed = program.seed if body.seed is None else body.seed
        program.seed = None if seed is None else seed + index * SEED_STRIDE
        if body.temperature is not None:
            program.temperature = optional_temperature("temperature", body.temperature)
        return program

    def _stream(self, program: SamplingProgram, shown: Shown, name: str | None) -> FusorStream | None:
        if not isinstance(program, FusingProgram) or name is None:
            return None
        if program.signature.output_fields[name].annotation is not str:
            return None
        read = reader_for(program.writer_adapter or self.adapter, name)
        predictors = program.fusor.predictors()
        writers = [p for p in predictors if name in signature_of(p).output_fields]
        return (
            FusorStream(read, shown, frozenset(map(id, writers[-1:])) if len(predictors) > 1 else frozenset())
            if read
            else None
        )

    def _spoken(self, body: ChatBody) -> str | None:
        """The output that is the answer's text; None where that is all of them, or where there is only the calls."""
        if not body.tools or self.answer_field not in (None, self._calls):
            return self.answer_field
        names = [name for name in self.program.signature.output_fields if name not in (self._calls, "reasoning")]
        return names[0] if len(names) == 1 else None

    def _text(self, prediction: dspy.Prediction, body: ChatBody) -> str:
        name = self._spoken(body)
        values = {key: value for key, value in prediction.toDict().items() if not (body.tools and key == self._calls)}
        value = (values or "") if name is None else prediction[name]
        value = "" if value is None and body.tools else value
        return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


class _ReasoningTokens(UsageTracker):
    """Counts the completion tokens that were thoughts, as far as models report them."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def add_usage(self, lm: str, usage_entry: dict[str, Any]) -> None:
        """Adds the reasoning tokens that a call reports."""
        details = usage_entry.get("completion_tokens_details") or usage_entry.get("output_tokens_details")
        details = details if isinstance(details, Mapping) else getattr(details, "__dict__", {})
        if isinstance(thoughts := details.get("reasoning_tokens"), int) and thoughts > 0:
            self.count += thoughts


def _answer_field(task: type[dspy.Signature], wanted: str | None) -> str | None:
    names = list(task.output_fields)
    if wanted is not None and wanted not in names:
        raise ConfigurationError(
            f"answer_field must be one of the task's outputs {names}, but got answer_field={wanted!r}"
        )
    return wanted or (names[0] if len(names) == 1 else "answer" if "answer" in names else None)


def _about(prediction: dspy.Prediction, pool: Pool) -> dict[str, Any]:
    return {
        "outputs": plain(prediction.toDict()),
        "calls": pool.total.calls,
        "candidates": len(pool.candidates),
        "failed_candidates": len(pool.candidates) - len(pool.good),
        "fallback": pool.fallback.partition(":")[0] if pool.fallback else None,
        "confidence": pool.confidence,
        "abstained": pool.abstained,
    }
