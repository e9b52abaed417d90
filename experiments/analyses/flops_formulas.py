"""FLOPs in units of one plain answer, as appendix C of AFT counts them (arXiv 2501.11877).

By answers written and answers read.

Reading an answer costs what writing it does, the question itself costs nothing, and with a prefix cache the answers of
a layer are read once for all that see them. Read afresh by each of its aggregators, a layer of N costs N times that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """What one role does for an answer."""

    written: float
    """Answers written."""
    read: float = 0.0
    """Answers read, by each call afresh."""
    read_once: float | None = None
    """Answers read with a prefix cache; None where a cache saves nothing."""

    def generations(self, *, cached: bool) -> float:
        """FLOPs in units of one answer by this role's model."""
        return self.written + (self.read_once if cached and self.read_once is not None else self.read)


def single_work() -> dict[str, Work]:
    """One plain answer."""
    return {"candidates": Work(1)}


def choosing_work(n: int, *, answers_read: float = 0.0) -> dict[str, Work]:
    """Best of ``n`` candidates, or a vote over them.

    A model that scores each candidate once reads ``n`` answers, one that compares pairs two a comparison; a vote, an
    oracle and the candidates' own log-probabilities read none. What a scorer writes is not counted, as in the paper.
    """
    return {"candidates": Work(n)} | ({"scorer": Work(0, answers_read)} if answers_read else {})


def propose_aggregate_work(width: int, depth: int, *, subset: int | None = None) -> dict[str, Work]:
    """``width`` proposals and ``depth`` layers of aggregation; fusion is ``depth=1``.

    Aggregators that see different subsets of a layer share no prefix, so a cache saves them nothing.
    """
    if depth == 0:
        return single_work()
    answers_seen = subset or width
    work = {"candidates": Work(width), "fusor": Work(1, answers_seen)}
    if depth > 1:
        middle = depth - 1
        work["aggregations"] = Work(middle * width, middle * width * answers_seen, None if subset else middle * width)
    return work


def generations(work: Mapping[str, Work], *, cached: bool, sizes: Mapping[str, float] | None = None) -> float:
    """All roles' FLOPs in units of one answer by a model of size 1.

    Args:
        work: by role.
        cached: whether there is a prefix cache.
        sizes: how large each role's model is; 1 where it is not named.
    """
    return sum((sizes or {}).get(role, 1.0) * part.generations(cached=cached) for role, part in work.items())
