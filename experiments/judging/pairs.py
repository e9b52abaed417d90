"""Pairs of which it is known which answer is better, as LLMBar has them (arXiv 2310.07641),
and the verdicts recorded beside them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.scorers.verdicts import Preference

from ..rows.row_files import Row, read_file
from ..rows.sources import DATA_VARIABLE, Source, data_folder, read_rows

SOURCE = Source(
    licence="MIT",
    url="https://github.com/princeton-nlp/LLMBar",
    citation="arXiv 2310.07641",
    files=MappingProxyType({"test": ("llmbar/llmbar",)}),
    sizes=MappingProxyType({"test": 419}),
)
RECORDED = "gpt4_vanilla_winner"
"""The column of LLMBar's recorded verdicts: the better output when output 1 was shown first, and when output 2 was."""

_LABELS: dict[str, Preference] = {"1": "A", "2": "B"}
_RECORDED: dict[str, Preference] = {**_LABELS, "tie": "tie", "0": "tie", "3": "tie"}


@dataclass(frozen=True)
class Pair:
    """Two answers to one input, A and B (the file's ``output_1`` and ``output_2``)."""

    id: str
    """Its name within the file."""
    input: str
    """What was asked."""
    a: str
    """The first output."""
    b: str
    """The second output."""
    better: Preference
    """Which one people found better, A or B."""
    subset: str = ""
    """What it belongs to; empty where the file does not say."""
    recorded: tuple[Preference | None, ...] = ()
    """Recorded verdicts, as :class:`PairVerdict` has them: with A first, then with B first;
    None where one cannot be read.
    """


def read_pairs(path: Path | None, *, recorded: str = "") -> tuple[Pair, ...]:
    """Reads pairs from a file with the columns ``input``, ``output_1``, ``output_2`` and ``label`` (1 or 2).

    Args:
        path: JSON lines, plain or compressed, Parquet or CSV; None takes LLMBar from the folder of
            ``DSPY_FUSION_DATA``.
        recorded: the column of recorded verdicts, one per order or a single one; empty reads none.

    Raises:
        ConfigurationError: the file cannot be read or is empty, a line is broken or lacks a column, a label is neither
            1 nor 2, or two pairs have the same id; the message names the file and line.
    """
    if path is None and data_folder(None) is None:
        raise ConfigurationError(
            f"give a file of pairs, or set {DATA_VARIABLE} to the folder that holds llmbar/llmbar.jsonl.gz"
        )
    rows = read_rows(SOURCE, "test") if path is None else list(read_file(path))
    if not rows:
        raise ConfigurationError(f"{path} holds no pairs; each line needs input, output_1, output_2 and label")
    pairs: dict[str, Pair] = {}
    places: dict[str, str] = {}
    for number, row in enumerate(rows):
        pair = _pair(row, number, recorded)
        if pair.id in pairs:
            raise ConfigurationError(
                f"two pairs have the id {pair.id!r}: {places[pair.id]}, and {row.where}; remove one"
            )
        pairs[pair.id], places[pair.id] = pair, row.where
    return tuple(pairs.values())


def sampled(pairs: Sequence[Pair], count: int | None, *, seed: int = 0) -> tuple[Pair, ...]:
    """A seeded draw of pairs in their own order, so that a part of the file stands for the whole; None takes all.

    Raises:
        ConfigurationError: fewer than one.
    """
    if count is None or count >= len(pairs):
        return tuple(pairs)
    if count < 1:
        raise ConfigurationError(f"at least one example is needed, but got {count}")
    return tuple(pairs[place] for place in sorted(random.Random(seed).sample(range(len(pairs)), count)))


def _pair(row: Row, number: int, recorded: str) -> Pair:
    texts = [row.get(name) for name in ("input", "output_1", "output_2")]
    if wrong := [text for text in texts if not isinstance(text, str)]:
        raise ConfigurationError(
            f"{row.where}: input and outputs must be texts, but one is {wrong[0]!r:.60}; mend the line"
        )
    label = str(row.get("label"))
    if label not in _LABELS:
        raise ConfigurationError(
            f"{row.where}: the label must be 1 or 2, for the better output, but it is {label!r}; mend the line"
        )
    said = _verdicts(row.get(recorded)) if recorded else ()
    name, subset = str(row.values.get("id", number)), str(row.values.get("subset") or "")
    return Pair(name, texts[0], texts[1], texts[2], _LABELS[label], subset, said)


def _verdicts(value: Any) -> tuple[Preference | None, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(_RECORDED.get(str(said).strip().lower()) for said in values[:2])
