"""A recorded set's numbers on disk.

The N-curves as a figure with their data, all numbers as JSON, and the tables as Markdown.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError

from .overview import Measured, Overview
from .overview_tables import overview_tables


def write_overview(overview: Overview, folder: Path) -> tuple[Path, ...]:
    """Writes everything into a folder, over what is there; returns what was written.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "recorded.json", folder / "recorded.md"]
        written[0].write_text(
            json.dumps(to_json(overview), indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
        tables = [
            f"{table.title}\n\n{table.markdown()}\n\n{table.note}".rstrip() for table in overview_tables(overview)
        ]
        written[1].write_text("\n\n".join([*tables, *overview.notes]) + "\n", encoding="utf-8")
        if overview.measured is not None:
            from .curve_plot import draw_curves  # matplotlib is loaded only where a figure is wanted

            plot = draw_curves(overview.measured, folder)
            written += [plot.png, plot.svg, plot.data]
        return tuple(written)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to the folder {folder}: {error.strerror}; choose another with --out"
        ) from error


def to_json(overview: Overview) -> dict[str, Any]:
    """All numbers as plain data, scores in [0, 1]; what is not known is null."""
    pool = overview.pool
    content: dict[str, Any] = {
        "set": pool.name,
        "questions": pool.shape[0],
        "candidates": list(pool.columns),
        "diversity": asdict(overview.diversity),
        "made": [asdict(facts) for facts in overview.made],
        "notes": list(overview.notes),
    }
    return known(content | (_measured(overview.measured) if overview.measured else {}))


def _measured(measured: Measured) -> dict[str, Any]:
    return {
        "graded_questions": measured.pool.shape[0],
        "beta": asdict(measured.beta),
        "best_source": measured.best_source.column,
        "sources": [asdict(facts) for facts in measured.sources],
        "ways": {
            way.name: {
                "about": way.about,
                "kind": way.kind,
                "against_best_source": asdict(measured.gains[way.name]),
                "curve": [
                    {"candidates": n, **asdict(estimate)} for n, estimate in enumerate(measured.curves[way.name], 1)
                ],
            }
            for way in measured.ways
        },
    }


def known(value: Any) -> Any:
    """The value with null for every NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [known(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
