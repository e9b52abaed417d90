"""A program as a model: the last user message is its input, its answer field is the text,
and the fusor's own tokens are the stream.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping
from typing import Any, cast

import dspy
from dspy.adapters.utils import parse_value
from dspy.clients._litellm import get_litellm
from dspy.clients.engines.litellm_engine import LiteLLMEngine

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.fusing_program import FusingProgram
from dspy_fusion.programs.pools.candidates import Pool
from dspy_fusion.programs.sampling_program import SamplingProgram, optional_temperature
from dspy_fusion.programs.tasks.signatures import plain, signature_of

from .answers import Answer, Tell
from .chat import ChatBody
from .error_responses import ApiError, bad_request
from .streaming import FusorStream, Shown, before_stop, reader_for

# candidate i is drawn with seed + i, so the seeds of several answers must lie further apart than a pool is large
SEED_STRIDE = 1000


class ServedProgram:
    """A program of the endpoint.

    A request's ``temperature`` is that of the candidates, its ``seed`` the program's; answer i has ``seed + 1000 * i``.
    Answer 0 to a request without them is what calling the program gives.

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

    def __init__(
        self, name: str, program: dspy.Module, *, adapter: dspy.Adapter | None = None, answer_field: str | None = None
    ) -> None:
        if not isinstance(program, SamplingProgram):
            raise ConfigurationError(
                f"{name!r} is a {type(program).__name__}, which cannot be served by itself; wrap it as Vote(program,"
                " n=1, temperature=None)"
            )
        self.name, self.program, self.adapter = name, program, adapter
        self.honours: Collection[str] = frozenset(
            {"seed"} | ({"temperature"} if program.temperature is not None else set())
        )
        self.answer_field = _answer_field(program.signature, answer_field)

    def warm_up(self) -> None:
        """Imports litellm, which takes seconds, where a model of the program is reached through it."""
        lms = [*(self.program.lms or ()), getattr(self.program, "fusor_lm", None)]
        engines = [getattr(lm, "engine", None) for lm in lms]
        if any(engine == "litellm" or isinstance(engine, LiteLLMEngine) for engine in engines):
            get_litellm(feature="dspy-fusion serve")

    def check(self, body: ChatBody) -> None:
        """The inputs must be the task's, in its types."""
        read_inputs(self.program.signature, body)

    async def answer(self, body: ChatBody, index: int, tell: Tell | None) -> Answer:
        """Calls the program in the running event loop; the errors are the program's own."""
        program, shown = self._program_for(body, index), Shown(tell, body.stop) if tell else None
        settings = {"adapter": self.adapter, "trace": None, "disable_history": True, "track_usage": shown is not None}
        with dspy.context(**settings, send_stream=self._stream(program, shown) if shown else None):
            prediction = await program.acall(**read_inputs(program.signature, body))
        text = before_stop(self._text(prediction), body.stop)
        if shown is not None and not shown.finish(text):
            raise ApiError(
                502, "the fusor failed after it had begun to write; the answer so far is void", code="answer_withdrawn"
            )
        pool = cast("Pool", prediction.pool)
        return Answer(text, "stop", pool.usage, about=_about(prediction, pool, body))

    def _program_for(self, body: ChatBody, index: int) -> SamplingProgram:
        program = copy.copy(self.program)
        seed = program.seed if body.seed is None else body.seed
        program.seed = None if seed is None else seed + index * SEED_STRIDE
        if body.temperature is not None:
            program.temperature = optional_temperature("temperature", body.temperature)
        return program

    def _stream(self, program: SamplingProgram, shown: Shown) -> FusorStream | None:
        if not isinstance(program, FusingProgram) or self.answer_field is None:
            return None
        if program.signature.output_fields[self.answer_field].annotation is not str:
            return None
        read = reader_for(self.adapter, self.answer_field)
        predictors = program.fusor.predictors()
        writers = [p for p in predictors if self.answer_field in signature_of(p).output_fields]
        return (
            FusorStream(read, shown, frozenset(map(id, writers[-1:])) if len(predictors) > 1 else frozenset())
            if read
            else None
        )

    def _text(self, prediction: dspy.Prediction) -> str:
        value = prediction.toDict() if self.answer_field is None else prediction[self.answer_field]
        return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False)


def read_inputs(task: type[dspy.Signature], body: ChatBody) -> dict[str, Any]:
    """A task's inputs from a request.

    They are the request's ``inputs`` by name where it has them; else the last message, which must be the user's: as it
    is for a single input, as a JSON object for several. What is not of an input's type is parsed from text, as DSPy
    parses answers.

    Raises:
        ApiError: an input is missing, unknown, or not of its type.
    """
    fields = task.input_fields
    given, where = body.inputs, "inputs"
    if given is None:
        message, where = body.messages[-1], f"messages[{len(body.messages) - 1}]"
        if message.role != "user":
            raise bad_request(f"the last message must be the user's, but its role is {message.role!r}", f"{where}.role")
        given = {next(iter(fields)): message.text} if len(fields) == 1 else _object(message.text, where, list(fields))
    for name in (*given, *fields):
        if name not in fields or name not in given:
            what = "is missing" if name in fields else "is none of them"
            raise bad_request(f"this model's inputs are {', '.join(fields)}; {name!r:.80} {what}", where)
    return {name: _typed(value, fields[name].annotation, name, where) for name, value in given.items()}


def _object(text: str, where: str, names: list[str]) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise bad_request(
            f"this model has several inputs; send a JSON object with {', '.join(names)}, or give them as inputs", where
        )
    return found


def _typed(value: Any, annotation: Any, name: str, where: str) -> Any:
    try:
        if annotation is str and not isinstance(value, str):
            raise ValueError(f"expected a text, but got {value!r:.80}")
        json.dumps(value, ensure_ascii=False).encode()
        return parse_value(value, annotation)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise bad_request(
            f"the input {name!r} is not of its type: {reason}", where if where != "inputs" else f"inputs.{name}"
        ) from None


def _answer_field(task: type[dspy.Signature], wanted: str | None) -> str | None:
    names = list(task.output_fields)
    if wanted is not None and wanted not in names:
        raise ConfigurationError(
            f"answer_field must be one of the task's outputs {names}, but got answer_field={wanted!r}"
        )
    return wanted or (names[0] if len(names) == 1 else "answer" if "answer" in names else None)


def _about(prediction: dspy.Prediction, pool: Pool, body: ChatBody) -> dict[str, Any]:
    return {
        "outputs": plain(prediction.toDict()),
        "calls": pool.total.calls,
        "candidates": len(pool.candidates),
        "failed_candidates": len(pool.candidates) - len(pool.good),
        "fallback": pool.fallback.partition(":")[0] if pool.fallback else None,
        "unread_messages": 0 if body.inputs is not None else len(body.messages) - 1,
    }
