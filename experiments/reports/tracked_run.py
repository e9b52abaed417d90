"""What MLflow is told of a comparison.

The run with its headline, a run below it for each strategy, the examples as a data set and as a table side by side.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from dspy_fusion.programs.json_text import read_json

from ..evidence.headroom import headrooms
from ..evidence.summary import Row
from ..presentation.text_table import slug
from ..records.outbox import Told
from ..records.record import Record
from ..runs.run_folder import Run
from .views import Views

_TRACES, _LEAST_TRACES = 60, 3  # of a comparison together, and of each strategy
_MOST_ROWS = 2000  # of the table side by side, which MLflow's page loads whole


def tracked(run: Run, views: Views) -> Told:
    """What MLflow is told of the run itself."""
    folder = run.folder
    files = (folder.about, folder.records, folder.page, *views.tables, folder.plots, folder.programs)
    return Told(
        parameters=_parameters(run),
        metrics=_headline(views),
        tags={"verdict": str(views.verdict)},
        files=[path.name for path in files],
        tables={"examples.json": _side_by_side(run)},
        data=_data(run),
        status=_status(views),
    )


def tracked_strategies(run: Run, views: Views, models: Mapping[str, str] | None = None) -> tuple[Told, ...]:
    """What MLflow is told of each strategy, as a run of its own below the run.

    Args:
        run: the run.
        views: of it.
        models: the folders of the strategies' programs as MLflow models, by the strategies' names.
    """
    digests, traced = _instruction_digests(run), max(_LEAST_TRACES, _TRACES // max(1, len(views.summary.rows)))
    return tuple(
        Told(
            run=row.strategy.name,
            renews=True,
            parameters=_strategy_parameters(run, row, digests),
            metrics=_finite(_strategy_metrics(views, row)),
            tags={"dspy_fusion.strategy": row.strategy.name, "role": row.strategy.role},
            data=_data(run),
            traces=_traces(run, row.strategy.name, traced),
            model=(models or {}).get(row.strategy.name, ""),
            status=_status(views),
        )
        for row in views.summary.rows
    )


def _traces(run: Run, strategy: str, most: int) -> list[dict[str, Any]]:
    """The first answers of a strategy: what was asked, each candidate with its score, and the answer."""
    records = [record for record in run.records if record.strategy == strategy][:most]
    return [_trace(record, int(time.time() * 1000)) for record in records]


def _trace(record: Record, at: int) -> dict[str, Any]:
    usage, shown = record.total, list(record.shown)
    spans = [
        {
            "name": f"candidate {place}",
            "inputs": {"model": candidate.model},
            "outputs": candidate.text,
            "error": candidate.error,
            "attributes": {"score": candidate.score, "scorer_score": candidate.scorer_score},
        }
        for place, candidate in enumerate(record.candidates)
    ]
    if shown and record.answer is not None:
        spans.append({"name": "fusor", "inputs": {"shown": shown}, "outputs": record.answer, "error": record.fallback})
    told: dict[str, Any] = {"calls": usage.calls, "tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out}
    told |= {"depth": record.depth, "cost_usd": record.cost_usd, "expected": record.expected, "score": record.score}
    return {
        "key": json.dumps([record.strategy, record.example, record.seed]),
        "name": record.strategy,
        "inputs": dict(record.inputs),
        "outputs": record.answer,
        "score": record.score,
        "error": record.error,
        "seconds": record.seconds,
        "at": at,
        "attributes": {**told, "example": record.example, "seed": record.seed},
        "spans": spans,
    }


def _status(views: Views) -> str:
    return "FINISHED" if views.summary.found >= views.summary.expected else "KILLED"


def _parameters(run: Run) -> dict[str, Any]:
    config = run.config
    names = ("task", "split", "examples", "seeds", "n", "temperature")
    told: dict[str, Any] = {name: getattr(config, name) for name in names}
    told |= {"reference": config.reference_name, "digest": config.digest, "strategies": len(config.strategies)}
    return told | {f"pool.{name}": ", ".join(models) for name, models in config.pools.items()}


def _headline(views: Views) -> dict[str, float]:
    """The best strategy, the best pool, and the largest share of headroom: few numbers, to sort runs by."""
    summary = views.summary
    told: dict[str, float] = {
        "records": summary.found,
        "examples": max((len(r.scores) for r in summary.rows), default=0),
    }
    rows = [row for row in summary.rows if row.strategy.role != "oracle"]
    if best := max(rows, key=lambda row: row.score.mean, default=None):
        told |= {"best_score": best.score.mean, "best_score_low": best.score.low, "best_score_high": best.score.high}
    if pool := max(summary.pools, key=lambda pool: pool.oracle.mean, default=None):
        told |= {"oracle": pool.oracle.mean, "beta": pool.beta, "beta_upper": pool.beta_upper}
    if shares := [item.share for item in headrooms(summary)]:
        told["headroom_recovered"] = max(shares)
    return _finite(told)


def _strategy_parameters(run: Run, row: Row, digests: Mapping[str, str]) -> dict[str, Any]:
    strategy = row.strategy
    told: dict[str, Any] = {"task": run.config.task, "program": strategy.program, "pool": strategy.pool}
    told |= {"models": ", ".join(dict.fromkeys(strategy.models)), "n": strategy.n, "temperature": strategy.temperature}
    layers = strategy.options.get("depth", max(0, round(row.depth) - 1)) if strategy.role == "fuse" else 0
    told |= {"depth": layers, "fusor": strategy.fusor if strategy.role == "fuse" else "none"}
    if strategy.scorer:
        told |= {"scorer": strategy.scorer, "judge": strategy.judge}
    return told | {"instruction_digest": digests.get(strategy.name, "")}


def _strategy_metrics(views: Views, row: Row) -> dict[str, float]:
    told: dict[str, float] = {"score": row.score.mean, "score_low": row.score.low, "score_high": row.score.high}
    told |= {"fully_right": row.whole.mean, "calls": row.cost.calls, "depth": row.depth, "seconds": row.seconds}
    told |= {"tokens_in": row.cost.tokens_in, "tokens_out": row.cost.tokens_out, "cost_usd": row.cost_usd}
    told |= {"failures": row.failures, "wins": row.wins, "ties": row.ties, "losses": row.losses}
    if row.difference is not None:
        names = ("difference", "difference_low", "difference_high")
        told |= dict(zip(names, (row.difference.mean, row.difference.low, row.difference.high), strict=True))
    if row.p_holm is not None:
        told["p_holm"] = row.p_holm
    told |= {f"aspect_{slug(name)}": value for name, value in row.aspects.items()}
    if pool := next((pool for pool in views.summary.pools if pool.key == row.strategy.pool_key), None):
        told |= {"oracle": pool.oracle.mean, "mean_candidate": pool.single.mean}
        told |= {"beta": pool.beta, "beta_upper": pool.beta_upper}
    shares = {item.row.strategy.name: item.share for item in headrooms(views.summary)}
    if row.strategy.name in shares:
        told["headroom_recovered"] = shares[row.strategy.name]
    return told


def _side_by_side(run: Run) -> dict[str, Any]:
    """One row an example and repetition: what was asked and expected, and each strategy's answer and score."""
    names = [item.name for item in run.config.strategies]
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for record in run.records:
        if record.strategy not in names or (len(rows) >= _MOST_ROWS and (record.example, record.seed) not in rows):
            continue
        inputs = json.dumps(dict(record.inputs), ensure_ascii=False, default=str)
        row = rows.setdefault(
            (record.example, record.seed),
            {"example": record.example, "seed": record.seed, "inputs": inputs, "expected": record.expected},
        )
        row |= {f"{record.strategy}: answer": record.answer, f"{record.strategy}: score": record.score}
    columns = ["example", "seed", "inputs", "expected"]
    columns += [f"{name}: {part}" for name in names for part in ("answer", "score")]
    return {"columns": columns, "data": [[row.get(column) for column in columns] for row in rows.values()]}


def _data(run: Run) -> dict[str, str]:
    about = run.about.get("examples") or {}
    source = {"task": run.config.task, "split": run.config.split, "data": run.config.data}
    profile = {"num_rows": run.examples, "set_aside": run.set_aside}
    return {
        "name": f"{run.config.task} {run.config.split}"[:500],
        "digest": str(about.get("digest", ""))[:36] or run.config.digest,
        "source_type": "dspy-fusion",
        "source": json.dumps(source),
        "profile": json.dumps(profile),
    }


def _instruction_digests(run: Run) -> dict[str, str]:
    """The hash of all instructions of each strategy's program, by the strategy's name."""
    digests = {}
    for path in sorted(run.folder.programs.glob("*.json")):
        try:
            kept = read_json(path.read_text(encoding="utf-8"))
            texts = sorted(_instructions(kept["state"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        digests[kept["strategy"]] = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]
    return digests


def _instructions(state: Any) -> Iterator[str]:
    if isinstance(state, dict):
        for key, value in state.items():
            if key == "instructions" and isinstance(value, str):
                yield value
            else:
                yield from _instructions(value)
    elif isinstance(state, list):
        for item in state:
            yield from _instructions(item)


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if not math.isnan(value)}
