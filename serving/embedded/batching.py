"""Continuous batching: requests join and leave between steps, and identical prompts are read once.

A step reads prompts for about as long as it draws tokens, so that neither new nor running requests wait long.

The last bits of a product depend on the rows beside it and on the processor, and an answer must not. So the rounding of
float32 decides no token: a draw that is so close that it could, once in some hundred answers, is made again from the
scores of float64, read by themselves.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .caches import AnswerCaches, Floats, PromptCache, capacity_for
from .checkpoint import Checkpoint
from .decoder import PROMPT_CHUNK, Decoder
from .jobs import Job, TokenScore
from .token_sampling import draw_certain_tokens, draw_tokens, log_probabilities

_REMEMBERED_TOKENS = 8192  # of prompts, about 4 KB each
_ERROR = 2e-5  # of a score in float32, as a share of the largest one; up to 7e-6 in the models of this package


@dataclass
class _Pool:
    """Answers under way that need the same number of places, row by row with their caches."""

    caches: AnswerCaches
    jobs: list[Job] = field(default_factory=list)

    def remove(self, row: int) -> None:
        """Removes a row; the last one takes its place."""
        self.caches.remove(row)
        last = self.jobs.pop()
        if row < len(self.jobs):
            self.jobs[row] = last


class Batch:
    """The requests that one model works on. It belongs to one thread."""

    def __init__(self, decoder: Decoder, exact: Decoder, *, end: int, slots: int = 64) -> None:
        """Makes an empty batch.

        Args:
            decoder: reads prompts and continues answers, in float32.
            exact: decides close draws, in float64.
            end: the token that ends an answer.
            slots: how many requests it works on at once, from 1.
        """
        self._decoder, self._exact, self._end, self._slots = decoder, exact, end, slots
        self._waiting: dict[tuple[int, ...], list[Job]] = {}
        self._prompts: OrderedDict[tuple[int, ...], PromptCache] = OrderedDict()
        self._pools: dict[int, _Pool] = {}

    @classmethod
    def of(cls, checkpoint: Checkpoint, end: int) -> Batch:
        """An empty batch of a model's weights."""
        return cls(Decoder(checkpoint, np.float32), Decoder(checkpoint, np.float64), end=end)

    @property
    def free_slots(self) -> int:
        """How many more requests it takes now."""
        return self._slots - len(self._jobs())

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._waiting and not self._pools

    def add(self, job: Job) -> None:
        """Takes a request; it begins at the first step at which its prompt has been read."""
        self._waiting.setdefault(job.prompt, []).append(job)
        if job.prompt not in self._prompts:
            self._prompts[job.prompt] = PromptCache.of(job.prompt, self._decoder.shape)
        self._prompts.move_to_end(job.prompt)

    def step(self) -> None:
        """Reads a chunk's worth of prompts, then draws one token for every answer."""
        self._read_prompts()
        if self._pools:
            self._continue()
        self._begin()
        self._forget_prompts()

    def fail(self, error: BaseException) -> None:
        """Ends all requests with ``error`` and forgets everything."""
        for job in self._jobs():
            job.fail(error)
        self._waiting, self._pools = {}, {}
        self._prompts.clear()

    def _jobs(self) -> list[Job]:
        groups = [*self._waiting.values(), *(pool.jobs for pool in self._pools.values())]
        return [job for jobs in groups for job in jobs]

    def _read_prompts(self) -> None:
        budget = PROMPT_CHUNK
        for prompt in self._waiting:
            cache = self._prompts[prompt]
            while cache.logits is None and budget > 0:
                budget -= self._decoder.read_chunk(cache)

    def _continue(self) -> None:
        pools = sorted(self._pools.values(), key=lambda pool: -pool.caches.capacity)
        logits = self._decoder.logits(self._decoder.hidden([pool.caches for pool in pools]))
        goes_on = iter(self._draw([job for pool in pools for job in pool.jobs], logits))
        for pool in pools:  # from the largest, so that a row that moves on has not its next token yet to come
            self._keep(pool, [next(goes_on) for _ in pool.jobs])
        self._pools = {capacity: pool for capacity, pool in self._pools.items() if pool.jobs}

    def _begin(self) -> None:
        for prompt in list(self._waiting):
            cache = self._prompts[prompt]
            if cache.logits is None:
                continue
            jobs = self._waiting.pop(prompt)
            goes_on = self._draw(jobs, np.tile(cache.logits, (len(jobs), 1)))
            for job in itertools.compress(jobs, goes_on):
                pool = self._pool(cache.length)
                pool.caches.begin(cache, job.tokens[-1])
                pool.jobs.append(job)

    def _draw(self, jobs: Sequence[Job], logits: Floats) -> list[bool]:
        """Gives each job its next token, from one row of scores each; tells which of them go on."""
        samplings, uniforms = [job.sampling for job in jobs], [job.next_uniform for job in jobs]
        certain = draw_certain_tokens(logits, samplings, uniforms, _ERROR * np.abs(logits).max(1))
        tokens = [self._redraw(job) if token is None else token for job, token in zip(jobs, certain, strict=True)]
        scores = [
            None if job.sampling.logprobs is None else _score(row, token, job.sampling.logprobs)
            for job, token, row in zip(jobs, tokens, logits, strict=True)
        ]
        return [job.take(token, score, self._end) for job, token, score in zip(jobs, tokens, scores, strict=True)]

    def _redraw(self, job: Job) -> int:
        cache = PromptCache.of((*job.prompt, *job.tokens), self._exact.shape, np.float64)
        while cache.logits is None:
            self._exact.read_chunk(cache)
        return draw_tokens(cache.logits[None], [job.sampling], [job.next_uniform])[0]

    def _keep(self, pool: _Pool, goes_on: Sequence[bool]) -> None:
        for row in reversed(range(len(goes_on))):
            if goes_on[row]:
                pool.caches.advance(row, pool.jobs[row].tokens[-1])
            position = pool.caches.positions[row]
            if goes_on[row] and position < pool.caches.capacity:
                continue
            if goes_on[row]:
                larger = self._pool(position)
                larger.caches.move(row, pool.caches)
                larger.jobs.append(pool.jobs[row])
            pool.remove(row)

    def _pool(self, position: int) -> _Pool:
        capacity = capacity_for(position)
        if capacity not in self._pools:
            self._pools[capacity] = _Pool(AnswerCaches(self._decoder.shape, capacity))
        return self._pools[capacity]

    def _forget_prompts(self) -> None:
        remembered = sum(map(len, self._prompts))
        for prompt in list(self._prompts):
            if remembered > _REMEMBERED_TOKENS and prompt not in self._waiting:
                remembered -= len(prompt)
                del self._prompts[prompt]


def _score(logits: Floats, token: int, likeliest: int) -> TokenScore:
    logprobs = log_probabilities(logits.astype(np.float64))
    best = np.argsort(-logprobs, kind="stable")[:likeliest].tolist()
    return TokenScore(token, float(logprobs[token]), tuple((other, float(logprobs[other])) for other in best))
