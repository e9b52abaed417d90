"""RewardModel: a scorer behind an HTTP endpoint, spoken to as vLLM serves reward models and classifiers."""

from __future__ import annotations

import copy
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import dspy
from dspy.signatures.signature import make_signature

from ..calls.attempts import Attempt
from ..calls.drawing import Batch, Steps
from ..errors import ConfigurationError, MissingKey, ScorerError
from ..json_text import read_json
from ..pools.candidates import Candidate, Usage
from ..tasks.signatures import candidate_text, plain
from ..tasks.task_text import written
from .scorer import Scorer, Scores, with_score

_WAITS = (0.2, 0.6, 1.8)  # seconds before a request is sent again
_BUSY = (408, 425, 429, 500, 502, 503, 504)


class RewardModel(Scorer):
    """Scores each candidate by one HTTP request to a reward model.

    The score is the reward as the model gives it, any finite number: squeezed into [0, 1] by a sigmoid, rewards above
    37 would all be 1, and tie.

    The request is what vLLM's ``/pooling`` and ``/classify`` take: ``{"model": ..., "messages": [user, assistant]}``
    for ``/pooling``, ``{"model": ..., "input": text}`` for ``/classify``. The user turn holds the task's instructions,
    where somebody wrote any, and its inputs, the assistant turn the candidate.

    Args:
        address: of the server, such as ``http://127.0.0.1:8000``.
        model: name of the reward model on that server.
        path: ``/pooling`` (the last number of the output is the reward) or ``/classify`` (the last class's probability
            is the score).
        key: name of the environment variable that holds the API key, or None.
        timeout_seconds: per request.

    Raises:
        ConfigurationError: an address that is not http, or an unknown path.
        MissingKey: the named environment variable is not set.
    """

    def __init__(
        self, address: str, *, model: str, path: str = "/pooling", key: str | None = None, timeout_seconds: float = 60.0
    ) -> None:
        super().__init__()
        if not address.startswith(("http://", "https://")):
            raise ConfigurationError(f"address must begin with http:// or https://, but got address={address!r}")
        if path not in _READERS:
            raise ConfigurationError(f"path must be one of {sorted(_READERS)}, but got path={path!r}")
        if key is not None and not os.environ.get(key):
            raise MissingKey(f"the environment variable {key!r} is not set; export {key}=... or leave key= out")
        self.call = _RewardRequest(address.rstrip("/") + path, model, path, key, timeout_seconds)
        self.task: type[dspy.Signature] | None = None
        self.task_text = ""

    def bound(self, task: type[dspy.Signature]) -> Scorer:
        """A copy for a task's signature."""
        made = copy.copy(self)
        made.task = task
        return made

    def told(self, task_text: str) -> Scorer:
        """A copy with these instructions of the task."""
        made = copy.copy(self)
        made.task_text = task_text
        return made

    def steps(self, inputs: Mapping[str, Any], candidates: Sequence[Candidate]) -> Steps[Scores]:
        """Sends one request per candidate, side by side."""
        if self.task is None:
            raise ConfigurationError("RewardModel is not bound to a task; give it to a program as scorer=")
        asked = [inputs[name] for name in self.task.input_fields if name in inputs]
        told = written(self.task_text or self.task.instructions)
        question = "\n\n".join(value if isinstance(value, str) else json.dumps(plain(value)) for value in asked)
        question = f"{told}\n\n{question}" if told else question
        texts = [
            candidate_text(self.task, candidate.prediction)
            for candidate in candidates
            if candidate.prediction is not None
        ]
        attempts = [
            Attempt(self.call, {"question": question, "answer": text}, _REWARD, candidate.index, banked=False)
            for candidate, text in zip(candidates, texts, strict=True)
        ]
        verdicts = yield Batch(attempts)
        marked = [with_score(c, v, lambda answer: answer["reward"]) for c, v in zip(candidates, verdicts, strict=True)]
        return Scores(tuple(marked), Usage(calls=len(attempts)), 1)


class _RewardRequest(dspy.Module):
    """One request to the reward model."""

    def __init__(self, url: str, model: str, path: str, key: str | None, timeout_seconds: float) -> None:
        super().__init__()
        self.url, self.model, self.path, self.key, self.timeout_seconds = url, model, path, key, timeout_seconds

    def forward(self, question: str, answer: str) -> dspy.Prediction:
        """Asks the server for the reward of one answer."""
        body: dict[str, Any] = {"model": self.model}
        if self.path == "/pooling":
            body["messages"] = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        else:
            body["input"] = f"{question}\n\n{answer}"
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {os.environ.get(self.key, '')}"
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            text = self._answer(request)
        except OSError as error:
            raise ScorerError(f"the reward model at {self.url} did not answer: {error}") from error
        return dspy.Prediction(reward=self._read(text))

    def _answer(self, request: urllib.request.Request) -> str:
        """What the server says; one that is too busy for a moment is asked again, after longer and longer."""
        for wait in _WAITS:
            try:
                return self._said(request)
            except OSError as error:
                if not _may_pass(error):
                    raise
            time.sleep(wait)
        return self._said(request)

    def _said(self, request: urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=self.timeout_seconds) as response:
            return response.read(1_000_000).decode("utf-8", "replace")

    def _read(self, text: str) -> float:
        try:
            return _READERS[self.path](read_json(text))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            shown = " ".join(text.split())[:80]
            raise ScorerError(
                f"the reward model at {self.url} answered {shown!r}, which holds no reward; check the address"
            ) from error


def _may_pass(error: OSError) -> bool:
    """Whether a connection broke, as many at once do at a busy server, or the server says to come again."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in _BUSY
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return isinstance(cause, ConnectionError)


def _pooled(answer: Any) -> float:
    value = answer["data"][0]["data"]
    while isinstance(value, list):
        value = value[-1]
    reward = float(value)
    if not math.isfinite(reward):
        raise ValueError(f"the reward is {reward}")
    return reward


def _classified(answer: Any) -> float:
    return float(answer["data"][0]["probs"][-1])


_READERS = {"/pooling": _pooled, "/classify": _classified}
_REWARD = make_signature("question, answer -> reward: float", "The reward of an answer.")
