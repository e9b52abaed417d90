"""TuningReport: what a study found, what it cost, and how sure one can be; to and from JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from dspy_fusion.programs import RecordError, Usage
from dspy_fusion.programs.json_text import read_json
from dspy_fusion.programs.redaction import without_secrets

from ..bootstrap import Interval
from .report_text import report_text

VERSION = 1
State = Literal["whole", "dropped", "failed"]


@dataclass(frozen=True)
class TrialReport:
    """One trial.

    Attributes:
        number: in the study.
        state: scored on all examples, dropped by the race, or failed.
        setting: the point of the space.
        quality: mean score with its interval, over the examples that were scored; None for a failed trial.
        cost: mean cost per example, over the same examples.
        scored: how many examples were scored; a dropped trial has fewer than a whole one and is not to be compared with
            it.
        cause: why it failed.
        fallbacks: on how many of the scored examples a fusor failed and a candidate was taken instead.
        values: means of further measures, by name.
        expected: what a whole trial is worth in view of all trials: its own mean, drawn towards what its neighbours let
            expect; None where that is not known.
    """

    number: int
    state: State
    setting: Mapping[str, Any]
    quality: Interval | None
    cost: float
    scored: int
    cause: str = ""
    fallbacks: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    expected: float | None = field(default=None, compare=False)  # changes with every other trial

    @property
    def worth(self) -> float:
        """By which whole trials are compared: what is expected of it, or else its own mean."""
        return self.means["quality"] if self.expected is None else self.expected

    @property
    def means(self) -> dict[str, float]:
        """Quality, cost and further measures; without a quality where it failed."""
        quality = {} if self.quality is None else {"quality": self.quality.mean}
        return {**quality, "cost": self.cost, **self.values}


@dataclass(frozen=True)
class Progress:
    """Where a study stands, after a trial ended.

    Attributes:
        trial: the one that ended.
        finished: how many have ended.
        wanted: how many the study is to have.
        best: highest mean score of a whole trial so far; NaN before the first.
        dropped: how many the race has dropped.
        spent: calls and tokens of the whole study.
        replayed: calls and tokens that the bank replayed instead.
        budget_left: in words.
        instructions: per predictor path, the text that the trial used.
    """

    trial: TrialReport
    finished: int
    wanted: int
    best: float
    dropped: int
    spent: Usage
    replayed: Usage
    budget_left: str
    instructions: Mapping[str, str]


@dataclass(frozen=True)
class TuningReport:
    """The result of a study.

    Attributes:
        study: its name.
        storage: its URL, without a password.
        trials: in order.
        chosen: number of the trial whose program was returned, or None for the baseline.
        baseline: the baseline on the trials' examples.
        pareto: numbers of the whole trials that no other beats in quality and cost.
        before: the baseline on the held-out examples, which no trial saw; None without such examples.
        after: the best trial's program on them.
        gain: the paired difference of the two.
        cost_before: the baseline's mean cost per held-out example.
        cost_after: the best trial's.
        instructions: per predictor, every text in the order of its places, with where it came from.
        spent: calls and tokens of all runs of the study.
        replayed: calls and tokens that the bank replayed instead.
        spent_cost: the price of what was spent.
        verdict: the outcome in words.
        notes: what the reader should know, such as a search that went on without new instructions.
        start: the point at which the program stood.
        alike: number of the cheapest whole trial that a paired comparison does not tell from the best one, by 95 %;
            None without one that is cheaper.
        second: what broke ties: ``cost``, or the measure that is the second objective.
        values_before: means of further measures, of the baseline on the held-out examples, or else on the trials'.
        values_after: those of the best trial's program.
    """

    study: str
    storage: str
    trials: tuple[TrialReport, ...]
    chosen: int | None
    baseline: Interval
    pareto: tuple[int, ...]
    before: Interval | None
    after: Interval | None
    gain: Interval | None
    cost_before: float
    cost_after: float
    instructions: Mapping[str, tuple[tuple[str, str], ...]]
    spent: Usage
    replayed: Usage
    spent_cost: float
    verdict: str
    notes: tuple[str, ...] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    alike: int | None = None
    second: str = "cost"
    values_before: Mapping[str, float] = field(default_factory=dict)
    values_after: Mapping[str, float] = field(default_factory=dict)
    version: int = field(default=VERSION)

    def __str__(self) -> str:
        return report_text(self)

    @property
    def chosen_instructions(self) -> dict[str, str]:
        """Per predictor path, the text of the program that was returned."""
        chosen = next((trial.setting for trial in self.trials if trial.number == self.chosen), {})
        return {
            path: texts[int(chosen.get(f"instruction:{path}", 0))][0]
            for path, texts in self.instructions.items()
            if texts
        }

    def save(self, path: str | Path) -> None:
        """Writes the report as JSON."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        Path(path).write_text(without_secrets(text), encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> TuningReport:
        """Reads what :meth:`save` wrote; raises ``RecordError`` for another file or version."""
        try:
            data = read_json(Path(path).read_text(encoding="utf-8"))
            if data["version"] != VERSION:
                raise RecordError(
                    f"the report {str(path)!r} is of version {data['version']}, but this library reads version"
                    f" {VERSION}"
                )
            return cls(**{**data, **_revived(data)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{str(path)!r} is no tuning report: {error}") from error


def _revived(data: dict[str, Any]) -> dict[str, Any]:
    intervals = {name: data[name] and Interval(**data[name]) for name in ("baseline", "before", "after", "gain")}
    trials = tuple(
        TrialReport(**{**trial, "quality": trial["quality"] and Interval(**trial["quality"])})
        for trial in data["trials"]
    )
    texts = {path: tuple((text, origin) for text, origin in pairs) for path, pairs in data["instructions"].items()}
    return {
        **intervals,
        "trials": trials,
        "pareto": tuple(data["pareto"]),
        "instructions": texts,
        "spent": Usage(**data["spent"]),
        "replayed": Usage(**data["replayed"]),
        "notes": tuple(data["notes"]),
    }
