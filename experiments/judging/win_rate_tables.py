"""Win rates of a comparison's strategies, or of recorded models, against one baseline.

As judged, and at equal length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dspy_fusion.programs.errors import ConfigurationError

from ..presentation.text_table import TextTable, percent
from ..recordings.recording import RecordedQuestion
from ..records.record import Record
from .length_controlled import Match, WinRates, instruction_difficulty, win_rates

_FEWEST_MODELS = 3  # below that, the difficulty of an instruction cannot be told from luck


def matches_of_records(records: Iterable[Record]) -> dict[str, list[Match]]:
    """By strategy, its matches in a task whose score is a verdict against the expected answer.

    An answer that could not be graded is left out; a strategy that failed to answer has lost, whatever the length.
    """
    matches: dict[str, list[Match]] = {}
    for record in records:
        if not is_ungraded(record):
            length = len(record.expected if record.answer is None else record.answer)
            matches.setdefault(record.strategy, []).append(
                Match(record.example, record.score, length, len(record.expected))
            )
    return matches


def is_ungraded(record: Record) -> bool:
    """Whether there is an answer whose verdict could not be read."""
    return record.error is not None and record.answer is not None


def matches_of_questions(questions: Sequence[RecordedQuestion], baseline: str) -> dict[str, list[Match]]:
    """By model, who of it and the baseline has the higher recorded quality.

    A model's first answer to each question counts.

    Raises:
        ConfigurationError: no question has an answer of the baseline with a quality.
    """
    matches: dict[str, list[Match]] = {}
    for question in questions:
        first = {
            c.source: c
            for c in reversed(question.candidates)
            if c.quality is not None and c.text is not None and not c.draw
        }
        if (base := first.pop(baseline, None)) is None:
            continue
        for name, candidate in first.items():
            win = 0.5 if candidate.quality == base.quality else float((candidate.quality or 0) > (base.quality or 0))
            matches.setdefault(name, []).append(
                Match(question.id, win, len(candidate.text or ""), len(base.text or ""))
            )
    if not matches:
        sources = sorted({candidate.source for question in questions for candidate in question.candidates})
        raise ConfigurationError(
            f"no question has a graded answer of the baseline {baseline!r}; there are: {', '.join(sources)}"
        )
    return matches


def all_win_rates(
    by_model: Mapping[str, Sequence[Match]], *, resamples: int = 300, seed: int = 0
) -> dict[str, WinRates]:
    """The win rates of each model, best at equal length first.

    The difficulty of instructions is estimated where models are enough.
    """
    difficulty = instruction_difficulty(by_model) if len(by_model) >= _FEWEST_MODELS else None
    rates = {
        name: win_rates(rows, difficulty=difficulty, resamples=resamples, seed=seed) for name, rows in by_model.items()
    }
    return dict(sorted(rates.items(), key=lambda item: -item[1].controlled.mean))


def win_rate_table(rates: Mapping[str, WinRates], baseline: str) -> TextTable:
    """One line per model."""
    heads = ("", "wins, %", "at equal length, %", "effect of length", "characters", "instructions")
    rows = tuple(
        (
            name,
            percent(r.raw),
            percent(r.controlled),
            f"{r.length_effect:+.2f}",
            f"{r.mean_length:.0f}",
            str(r.controlled.n),
        )
        for name, r in rates.items()
    )
    lengths = [r.mean_baseline_length for r in rates.values()]
    length = f"{sum(lengths) / len(lengths):.0f} characters" if lengths else "no answers"
    note = (
        f"Against {baseline} ({length}); a tie is half a win. At equal length: length-controlled as in AlpacaEval 2"
        " (arXiv 2404.04475). The effect of length is in log-odds for one standard deviation of the difference."
    )
    return TextTable(f"Win rates against {baseline}", heads, rows, note=note)
