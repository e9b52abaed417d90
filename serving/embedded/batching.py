"""Continuous batching: requests join and leave between steps, and identical prompts are read once.

A step reads prompts for about as long as it draws tokens, so that neither new nor running requests wait long.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .caches import AnswerCache, Floats, PromptCache
from .decoder import PROMPT_CHUNK, Decoder
from .jobs import Job, TokenScore
from .sampling import draw_tokens, log_probabilities

_REMEMBERED_TOKENS = 8192  # of prompts whose answers have all begun; about 4 KB each


@dataclass
class _Lane:
    """Answers to one prompt that began together and so grow in step, one row each."""

    jobs: list[Job]
    cache: AnswerCache


class Batch:
    """The requests that one model works on. It belongs to one thread."""

    def __init__(self, reader: Decoder, writer: Decoder, end: int, slots: int = 64) -> None:
        """Makes an empty batch.

        Args:
            reader: reads prompts; may be of low precision.
            writer: continues answers; float64 keeps them independent of each other.
            end: the token that ends an answer.
            slots: how many answers are written at once, from 1.
        """
        self._reader, self._writer, self._end, self._slots = reader, writer, end, slots
        self._waiting: dict[tuple[int, ...], list[Job]] = {}
        self._prompts: OrderedDict[tuple[int, ...], PromptCache] = OrderedDict()
        self._lanes: list[_Lane] = []

    @property
    def free_slots(self) -> int:
        """How many more requests it takes now."""
        return self._slots - sum(1 for _ in self._jobs())

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._waiting and not self._lanes

    def add(self, job: Job) -> None:
        """Takes a request; it begins at the next step at which its prompt has been read."""
        self._waiting.setdefault(job.prompt, []).append(job)
        if job.prompt not in self._prompts:
            self._prompts[job.prompt] = PromptCache.of(job.prompt, self._writer.shape)
        self._prompts.move_to_end(job.prompt)

    def step(self) -> None:
        """Reads a chunk's worth of prompts, then draws one token for every answer."""
        self._read_prompts()
        begun = {prompt: jobs for prompt, jobs in self._waiting.items() if self._prompts[prompt].logits is not None}
        for prompt in begun:
            del self._waiting[prompt]
        lanes, self._lanes = self._lanes, []
        rows = [self._writer.logits(self._writer.hidden([lane.cache for lane in lanes]))] if lanes else []
        rows += [np.broadcast_to(self._first_logits(prompt), (len(jobs), rows_width)) for prompt, jobs in begun.items()]
        self._forget_prompts()

    def fail(self, error: BaseException) -> None:
        """Ends all requests with ``error`` and empties the batch."""
        for job in list(self._jobs()):
            job.fail(error)
        self._waiting.clear()
        self._prompts.clear()
        self._lanes.clear()
