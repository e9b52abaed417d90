"""Training curves (AFT, arXiv 2501.11877, figure 6, left): loss against step, of any number of trainings side by side.

A training's folder of this library has ``curve.jsonl``, one of the Hugging Face Trainer ``trainer_state.json``.
Trainings of one name are
repetitions: their mean is drawn, with the range from the lowest to the highest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dspy_fusion.programs.errors import ConfigurationError, RecordError
from dspy_fusion.programs.json_text import read_json

from ..presentation.text_table import TextTable
from .output import Findings

_LAST = 3  # points that the final loss is the mean of, since one batch's loss is noisy


@dataclass(frozen=True, eq=False)
class Curve:
    """The loss of one training."""

    name: str
    path: Path
    steps: np.ndarray
    losses: np.ndarray

    @property
    def final(self) -> float:
        """Mean loss of the last points."""
        return float(self.losses[-_LAST:].mean())

    @property
    def mean(self) -> float:
        """Mean loss over all points: low where learning is fast."""
        return float(self.losses.mean())

    @property
    def roughness(self) -> float:
        """How much a point differs from the middle of its two neighbours, as a share of its loss.

        The mean over the inner points.
        """
        middle = (self.losses[:-2] + self.losses[2:]) / 2
        return (
            float(np.mean(np.abs(self.losses[1:-1] - middle) / self.losses[1:-1]))
            if len(self.losses) > 2
            else float("nan")
        )


def read_curve(text: str) -> Curve:
    """Reads ``FOLDER`` or ``NAME=FOLDER``; the folder, or the file itself, must hold a curve.

    Raises:
        ConfigurationError: there is no curve.
        RecordError: the curve cannot be read.
    """
    name, equals, place = text.partition("=")
    path = Path(place if equals else text)
    file = _file_of(path)
    try:
        points = [(int(point["step"]), float(point["loss"])) for point in _points(file) if "loss" in point]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise RecordError(f"{file} holds no training curve: {error}") from error
    if not points:
        raise RecordError(f"{file} has no loss yet; let the training run for a while")
    by_step = dict(points)  # a training that was interrupted wrote the steps after its last checkpoint twice
    steps = np.array(sorted(by_step))
    return Curve(
        name if equals else path.resolve().name, file, steps, np.array([by_step[step] for step in steps.tolist()])
    )


def curve_findings(curves: Sequence[Curve]) -> Findings:
    """A table with a row for each name, and a record for each point."""
    heads = ("training", "repetitions", "steps", "first loss", "final loss", "mean loss", "roughness")
    rows = []
    for name, group in grouped(curves).items():
        ranges = [_range([getattr(curve, value) for curve in group]) for value in ("final", "mean", "roughness")]
        first = _range([float(curve.losses[0]) for curve in group])
        rows.append((name, str(len(group)), str(max(int(curve.steps[-1]) for curve in group)), first, *ranges))
    note = (
        f"Final: mean of the last {_LAST} points. Roughness: how far a point lies from the middle of its neighbours, as"
        " a share of it. Of repetitions the mean, and the lowest and highest in brackets."
    )
    records = [
        {"training": curve.name, "file": str(curve.path), "step": int(step), "loss": float(loss)}
        for curve in curves
        for step, loss in zip(curve.steps, curve.losses, strict=True)
    ]
    return Findings("curves", (TextTable("Training curves", heads, tuple(rows), note=note),), records)


def grouped(curves: Sequence[Curve]) -> dict[str, list[Curve]]:
    """The curves by name, in the order in which they were given."""
    groups: dict[str, list[Curve]] = {}
    for curve in curves:
        groups.setdefault(curve.name, []).append(curve)
    return groups


def _file_of(path: Path) -> Path:
    if path.is_file():
        return path
    states = sorted(path.glob("**/trainer_state.json"), key=lambda file: file.stat().st_mtime)
    files = [file for file in (path / "curve.jsonl", path / "trainer_state.json", *states[-1:]) if file.is_file()]
    if not files:
        raise ConfigurationError(
            f"{path} holds neither curve.jsonl nor trainer_state.json; give the folder of a training"
        )
    return files[0]


def _points(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        return [read_json(line) for line in text.split("\n")[:-1]]  # a line that is being written has no end yet
    return read_json(text)["log_history"]


def _range(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.4f}"
    return mean if len(values) == 1 else f"{mean} [{min(values):.4f}, {max(values):.4f}]"
