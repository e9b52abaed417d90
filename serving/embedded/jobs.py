"""One request on its way through a batch: its tokens so far, why it ended, and the answer its sender waits for.

A job may be worked on in another process; its sender's copy then follows what that process tells of it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from typing import Literal

from .token_sampling import Sampling

Decode = Callable[[list[int]], str]


@dataclass(frozen=True)
class TokenScore:
    """A drawn token, its log-probability, and the likeliest tokens in its place with theirs, best first."""

    token: int
    logprob: float
    likeliest: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """A finished answer.

    Attributes:
        text: what was written, up to and without the end token or stop text.
        tokens: the text's tokens; with a stop text, those that lie wholly before it.
        finish: ``stop`` when the model or a stop text ended it, ``length`` when ``max_tokens`` did.
        tokens_drawn: how many tokens were computed, the end token included.
        scores: one per token of ``tokens`` where they were asked for, else empty.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Literal["stop", "length"]
    tokens_drawn: int
    scores: tuple[TokenScore, ...]


class Job:
    """A request: created by its sender, advanced by one batch, awaited through ``answer``.

    ``on_token`` is called with the number of tokens so far, from another thread; it must be quick and must not raise.
    A request without a seed gets one, so that work on it can be begun again elsewhere and gives the same text.
    """

    def __init__(
        self, prompt: Sequence[int], sampling: Sampling, decode: Decode, on_token: Callable[[int], None] | None = None
    ) -> None:
        self.prompt = tuple(prompt)
        self.sampling = sampling if sampling.seed is not None else replace(sampling, seed=secrets.randbits(63))
        self.tokens: list[int] = []
        self.scores: list[TokenScore] = []
        self.answer: Future[Answer] = Future()
        # a sender that gives up calls cancel(); the future stays the batch's to set
        self.answer.set_running_or_notify_cancel()
        self.is_cancelled = False
        self.on_cancel: Callable[[], None] | None = None
        self._decode = decode
        self._on_token = on_token
        self._uniforms: list[float] = []

    @property
    def is_streamed(self) -> bool:
        """Whether somebody wants to know of every token."""
        return self._on_token is not None

    @property
    def next_uniform(self) -> float:
        """The number that decides the next token."""
        if not self._uniforms:  # only where the job is worked on
            self._uniforms = self.sampling.uniforms().tolist()
        return self._uniforms[len(self.tokens)]

    def cancel(self) -> None:
        """Makes the batch drop the request at its next step."""
        self.is_cancelled = True
        if self.on_cancel is not None and not self.answer.done():
            self.on_cancel()

    def follow(self, count: int, token: int, score: TokenScore | None) -> None:
        """Takes over the ``count``-th token, which another process drew; what is known already is ignored."""
        if count != len(self.tokens) + 1:
            return
        self.tokens.append(token)
        if score is not None:
            self.scores.append(score)
        if self._on_token is not None:
            self._on_token(count)

    def finish(self, answer: Answer) -> None:
        """Sets the answer that another process made."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def take(self, token: int, score: TokenScore | None, end: int) -> bool:
        """Takes the next token and tells whether the request goes on; when it does not, the answer is set."""
        if self.is_cancelled:
            self.fail(CancelledError())
            return False
        if token == end:
            return self._finish("stop", self._decode(self.tokens), 1)
        self.tokens.append(token)
        if score is not None:
            self.scores.append(score)
        stop = self._stop_position() if self.sampling.stop else None
        if stop is not None:
            return self._finish("stop", self._decode(self.tokens)[:stop])
        if len(self.tokens) == self.sampling.max_tokens:
            return self._finish("length", self._decode(self.tokens))
        if self._on_token is not None:
            self._on_token(len(self.tokens))
        return True

    def fail(self, error: BaseException) -> None:
        """Makes the sender's wait end with ``error``."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def _stop_position(self) -> int | None:
        text = self._decode(self.tokens)
        positions = [position for stop in self.sampling.stop if (position := text.find(stop)) >= 0]
        return min(positions, default=None)

    def _finish(self, reason: Literal["stop", "length"], text: str, end_tokens: int = 0) -> bool:
        length = len(self.tokens)
        while length and self.sampling.stop and len(self._decode(self.tokens[:length])) > len(text):
            length -= 1
        tokens_drawn = len(self.tokens) + end_tokens
        self.answer.set_result(
            Answer(text, tuple(self.tokens[:length]), reason, tokens_drawn, tuple(self.scores[:length]))
        )
        return False
