"""What a person sees of a study in Python: a line of the log for each trial, and a bar where that is asked for."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from dspy_fusion.programs.redaction import redacting

from .tuning_report import Progress

logger = redacting(logging.getLogger("dspy_fusion.optimizers.tuning"))
Listener = Callable[[Progress], None]


@contextmanager
def shown(trials: int, listener: Listener, *, has_bar: bool) -> Iterator[Listener]:
    """A block in which trials are told of.

    At level INFO of ``dspy_fusion.optimizers.tuning``, on a bar, and to a listener.

    Args:
        trials: how many the study is to have.
        listener: of the user's.
        has_bar: whether a bar is shown; lines of the log then stand above it.
    """
    with logging_redirect_tqdm() if has_bar else nullcontext():
        with tqdm(total=trials, desc="scoring the program as it is", unit="trial", disable=not has_bar) as bar:

            def tell(progress: Progress) -> None:
                logger.info("%s", progress_line(progress))
                _move(bar, progress)
                listener(progress)

            yield tell


def progress_line(progress: Progress) -> str:
    """Where a study stands, in one line."""
    trial = progress.trial
    score = "" if trial.quality is None else f" {trial.quality.mean:.3f}"
    state = {
        "whole": f"scored{score} at a cost of {trial.cost:,.4g}",
        "dropped": f"was raced out after {trial.scored} examples ({score.strip()})",
        "failed": f"failed: {trial.cause}",
    }[trial.state]
    setting = ", ".join(f"{name}={value}" for name, value in trial.setting.items())
    return (
        f"trial {trial.number} ({progress.finished} of {progress.wanted}) {state}; {_best(progress)};"
        f" {progress.spent.calls:,} calls made, {progress.replayed.calls:,} replayed; left: {progress.budget_left};"
        f" {setting}"
    )


def _move(bar: Any, progress: Progress) -> None:
    bar.n = min(progress.finished, progress.wanted)
    bar.set_description(f"{_best(progress)}, {progress.dropped} raced out", refresh=False)
    bar.set_postfix_str(f"{progress.spent.calls:,} calls, {progress.replayed.calls:,} replayed", refresh=False)
    bar.refresh()


def _best(progress: Progress) -> str:
    return "no whole trial yet" if math.isnan(progress.best) else f"best {progress.best:.3f}"
