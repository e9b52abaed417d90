"""A pool as text: one line per candidate, and below them what was decided and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .candidates import Candidate, Pool

_WIDEST = 60  # characters of a cell


def pool_text(pool: Pool) -> str:
    """A pool as a table for a terminal, at most about 140 characters wide."""
    rows = [_row(pool, candidate) for layer in (pool.candidates, *pool.layers) for candidate in layer]
    head = ["", "layer", "candidate", "model", "score", "answer"]
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]
    lines = [_line(row, widths) for row in [head, ["-" * width for width in widths], *rows]]
    return "\n".join([*lines, *_facts(pool)])


def _row(pool: Pool, candidate: Candidate) -> list[str]:
    is_chosen = candidate.layer == 0 and candidate.index == pool.chosen
    if candidate.prediction is None:
        said = f"failed: {candidate.error}"
    else:
        values = [f"{name}={value!r}" for name, value in candidate.prediction.items()]
        said = ", ".join(values) if len(values) > 1 else "".join(values).partition("=")[2]
    score = "" if candidate.score is None else f"{candidate.score:.3g}"
    name = candidate.lm if len(candidate.lm) <= 30 else f"...{candidate.lm[-27:]}"
    return ["*" if is_chosen else "", str(candidate.layer), str(candidate.index), name, score, _cell(said)]


def _cell(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _facts(pool: Pool) -> Iterator[str]:
    if pool.confidence is not None:
        shares = ", ".join(f"{name} {share:.2f}" for name, share in pool.agreement.items())
        yield f"confidence {pool.confidence:.2f}; agreement: {shares}"
    total = pool.total
    yield (
        f"{total.calls} calls, {total.tokens_in} tokens in, {total.tokens_out} out, {pool.depth} in a row"
        + (f"; {pool.saved} calls saved" if pool.saved else "")
    )
    for role, usage in pool.usage.items():
        yield f"  {role}: {usage.calls} calls, {usage.tokens_in} tokens in, {usage.tokens_out} out"
    if pool.left_out:
        yield "not sent: " + "; ".join(f"{option} to {', '.join(names)}" for option, names in pool.left_out.items())
    if pool.leaves:
        weakest = sorted(pool.leaves.items(), key=lambda leaf: leaf[1])[:5]
        yield "least agreed: " + ", ".join(f"{path} {share:.2f}" for path, share in weakest)
    for name in ("stopped", "gated", "shortened", "fallback", "abstained"):
        if (reason := getattr(pool, name)) is not None:
            yield f"{name}: {reason}"
    yield from pool.notes
