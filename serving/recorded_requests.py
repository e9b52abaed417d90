"""Requests to a model and what it answered, in a file: a study that was paid for once is replayed without the model.

A request is known by what the model reads and how it samples: messages, temperature, seed, ``max_tokens``, ``stop`` and
the like. Neither the machine nor the versions of this library or of DSPy are part of it, so a recording stays good for
as long as the prompts stay as they were. One line of JSON a request, written when its answer is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, Usage

from dspy_fusion.programs.errors import ConfigurationError

from .recording_file import NotRecorded, RequestRecording

_SAMPLING = (
    "max_tokens", "temperature", "top_p", "top_k", "stop", "response_format", "seed", "frequency_penalty",
    "presence_penalty", "extensions",
)  # fmt: skip
_DIGITS = 4  # of a log-probability


def recorded_lm(
    recording: RequestRecording,
    lm: dspy.LM | None = None,
    *,
    name: str = "",
    takes_cut: bool = False,
    **sampling: Any,
) -> dspy.LM:
    """A model whose answers are kept in a recording and replayed from it.

    Args:
        recording: where answers are kept.
        lm: the model that is asked what the recording lacks, one with an engine of its own such as ``local_lm`` makes;
            None asks nobody.
        name: of the model; without ``lm`` it must be the one that it was recorded under.
        takes_cut: whether an answer that ended at its token limit counts as it stands, for tasks that grade whatever is
            there; programs take it for none otherwise. What is recorded is the same.
        sampling: defaults of sampling options, laid over those of ``lm``.

    Raises:
        ConfigurationError: there is neither a model nor a name, the model has no engine of its own, or there is a model
            that would add to a recording which is a packed one, or which another process is adding to.

    A call that is not recorded, where nobody can be asked, fails with ``NotRecorded``, which DSPy wraps into its
    ``LMUnexpectedError``; ``RequestRecording.check_complete`` raises it afterwards, whatever programs made of it.

    Example:
        >>> lm = recorded_lm(RequestRecording("answers.jsonl"), local_lm("smollm2-135m"))  # doctest: +SKIP
    """
    inner = None if lm is None else lm.engine
    if isinstance(inner, str):
        raise ConfigurationError(
            f"{name or inner}: only models with an engine of their own, such as local_lm's, record"
        )
    if lm is not None and recording.path.suffix == ".gz":
        raise ConfigurationError(f"{recording.path} is a finished recording; record into a file without .gz")
    if lm is not None:
        recording.hold()
    elif not name:
        raise ConfigurationError("recorded_lm needs a model, or the name of the one that was recorded")
    name = name or str(lm.model if lm is not None else "")
    engines = {
        "engine": RecordedEngine(name, recording, inner, takes_cut=takes_cut),
        "async_engine": AsyncRecordedEngine(name, recording, inner, takes_cut=takes_cut),
    }
    kwargs = {key: value for key, value in (lm.kwargs if lm is not None else {}).items() if value is not None}
    return dspy.LM(name, **engines, cache=False, num_retries=0 if lm is None else 3, **{**kwargs, **sampling})


class RecordedEngine:
    """The synchronous engine; copies of an LM share it."""

    supports_response_schema = True
    supports_function_calling = False
    supports_reasoning = False

    def __init__(self, name: str, recording: RequestRecording, inner: Any, *, takes_cut: bool = False) -> None:
        self.name, self.recording, self.inner, self.takes_cut = name, recording, inner, takes_cut

    def complete(self, request: Request) -> Response:
        """The recorded answer to a request, or the model's, which is recorded."""
        key = request_key(self.name, request)
        wanted = request.config.logprobs is not None
        kept = self.recording.answer(key, logprobs=wanted) or self._recorded(key, request, logprobs=wanted)
        finish = "stop" if self.takes_cut and kept["finish"] == "length" else kept["finish"]
        return _response(self.name, {**kept, "finish": finish}, logprobs=wanted)

    def dump_state(self) -> dict[str, Any]:
        """The model's name, and where its answers are kept."""
        return {"name": self.name, "recording": str(self.recording.path.resolve()), "takes_cut": self.takes_cut}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """An engine that replays the same recording, and asks nobody."""
        return cls(state["name"], RequestRecording(state["recording"]), None, takes_cut=state["takes_cut"])

    def bank_identity(self) -> list[str]:
        """The model's name, which says what its weights are, and whether cut answers count; not where it runs."""
        return [self.name, *(["takes cut"] if self.takes_cut else [])]

    def close(self) -> None:
        """Leaves the model to whoever made it."""

    def stream(self, request: Request) -> Iterator[Any]:
        """Answers are recorded whole."""
        raise ConfigurationError(f"{self.name} is recorded and does not stream; ask for whole answers")
        yield

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _recorded(self, key: str, request: Request, *, logprobs: bool) -> dict[str, Any]:
        """The model's answer, which of several threads that want it at the same moment one alone asks for."""
        with self.recording.turn(key):
            if (kept := self.recording.answer(key, logprobs=logprobs)) is None:
                kept = _kept(self._asked(request))
                self.recording.add(key, kept)
        return kept

    def _asked(self, request: Request) -> Response:
        if self.inner is None:
            last = request.messages[-1].text or ""
            self.recording.missing.append(last)
            raise NotRecorded(
                f"{self.recording.path} has no answer of {self.name} to a request that ends with {last[-80:]!r};"
                " record it with the model, or replay what was recorded"
            )
        return self.inner.complete(request)


class AsyncRecordedEngine(RecordedEngine):
    """The asynchronous engine: the synchronous one in a thread."""

    async def complete(self, request: Request) -> Response:  # type: ignore[override]
        """As :meth:`RecordedEngine.complete`."""
        engine = RecordedEngine(self.name, self.recording, self.inner, takes_cut=self.takes_cut)
        return await asyncio.to_thread(engine.complete, request)

    async def stream(self, request: Request) -> AsyncIterator[Any]:  # type: ignore[override]
        """Answers are recorded whole."""
        raise ConfigurationError(f"{self.name} is recorded and does not stream; ask for whole answers")
        yield

    async def aclose(self) -> None:
        """As :meth:`RecordedEngine.close`."""


def request_key(name: str, request: Request) -> str:
    """What a request is known by: the model, what it reads, and how it samples."""
    sampling = {option: getattr(request.config, option, None) for option in _SAMPLING}
    chosen = {option: value for option, value in sampling.items() if value not in (None, (), {})}
    if chosen.get("temperature") == 0:
        chosen.pop("seed", None)
    read = [["system", _text(request.system)], *([message.role, message.text] for message in request.messages)]
    return hashlib.sha256(json.dumps([name, read, chosen], sort_keys=True, default=str).encode()).hexdigest()[:24]


def _text(system: Any) -> str:
    if system is None or isinstance(system, str):
        return system or ""
    return "".join(str(getattr(part, "text", part)) for part in system)


def _kept(response: Response) -> dict[str, Any]:
    row: dict[str, Any] = {
        "text": response.text or "",
        "finish": response.finish_reason,
        "tokens": [response.usage.input_tokens or 0, response.usage.output_tokens or 0],
    }
    if response.logprobs is not None:
        row["logprobs"] = [round(score.logprob, _DIGITS) for score in response.logprobs]
    return row


def _response(name: str, kept: dict[str, Any], *, logprobs: bool) -> Response:
    scores = tuple(TokenLogprob("", float(value)) for value in kept["logprobs"]) if logprobs else None
    message = Message("assistant", (TextPart(kept["text"]),))
    return Response(None, name, message, kept["finish"], Usage(*kept["tokens"]), scores)
