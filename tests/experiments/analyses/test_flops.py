"""FLOPs of recorded strategies: by formula, by tokens, and strategies at equal ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dspy_fusion.experiments.__main__ import main
from dspy_fusion.experiments.analyses.equal_flops import equal_flops
from dspy_fusion.experiments.analyses.flops import Compute, compute_of
from dspy_fusion.experiments.analyses.model_sizes import ModelSize
from dspy_fusion.experiments.evidence.summary import summarize
from dspy_fusion.experiments.plans.comparison_config import CompareConfig, StrategyConfig
from dspy_fusion.experiments.records.record import Record
from dspy_fusion.programs import Usage

SIZES = {"a": ModelSize(100), "b": ModelSize(100), "large": ModelSize(300), "judge": ModelSize(200)}
MakeRecord = Callable[..., Record]


def computed(record: MakeRecord, *strategies: StrategyConfig, usage: dict[str, Usage]) -> dict[str, Compute]:
    """What strategies cost that all had this usage, by name."""
    config = CompareConfig(
        "worksheets", (StrategyConfig("single", "single", "a"), *strategies), pools={"both": ("a", "b")}
    )
    rows = [record("single", i, 0.5, usage={"candidates": Usage(1, 10, 10)}) for i in range(3)]
    named = {strategy.name: strategy for strategy in strategies}
    n_curve = [f"{s.name} (n={n})" for s in strategies if s.every_n for n in range(1, s.n or 5)]
    rows += [record(name, i, 0.75, (1.0,), usage=usage) for name in (*named, *n_curve) for i in range(3)]
    return {one.row.strategy.name: one for one in compute_of(summarize(config, rows), SIZES)}


def layered(name: str = "layers", **options: object) -> StrategyConfig:
    return StrategyConfig(name, "propose_aggregate", "a", n=5, options={"depth": 2, **options})


LAYERS = {"candidates": Usage(5, 50, 50), "aggregations": Usage(5, 300, 50), "fusor": Usage(1, 60, 10)}


def test_tokens_are_counted_with_each_roles_model(record: MakeRecord) -> None:
    fused = StrategyConfig("fusion", "fusion", "both", fusor="large", n=2)
    found = computed(record, fused, usage={"candidates": Usage(2, 20, 20), "fusor": Usage(1, 30, 10)})["fusion"]
    assert found.flops == 2 * 100 * 40 + 2 * 300 * 40
    assert found.cached == found.uncached == 2 + 3 * (2 + 1)


def test_a_cache_reads_a_layer_once_only_where_all_see_one_order(record: MakeRecord) -> None:
    found = computed(record, layered(), layered("ordered", shuffle=False), usage=LAYERS)
    assert (found["layers"].cached, found["layers"].uncached) == (21, 41)
    assert found["layers"].flops == 200 * 520
    assert found["layers"].flops - found["layers"].flops_cached == 200 * 40
    assert found["ordered"].flops - found["ordered"].flops_cached == 200 * (40 + 240)


def test_judges_read_every_candidate_and_pairs_two(record: MakeRecord) -> None:
    usage = {"candidates": Usage(4, 40, 40), "scorer": Usage(6, 60, 0)}
    options = {"n": 4, "judge": "judge"}
    pointwise = StrategyConfig("points", "best_of_n", "a", scorer="judge", **options)
    pairwise = StrategyConfig("pairs", "best_of_n", "a", scorer="pairwise", **options)
    found = computed(record, pointwise, pairwise, usage=usage)
    assert found["points"].cached == 4 + 2 * 6
    assert found["pairs"].cached == 4 + 2 * 12


def test_equal_flops_take_the_most_candidates_that_cost_no_more(record: MakeRecord) -> None:
    judged = StrategyConfig("best", "best_of_n", "a", n=12, scorer="likelihood", every_n=True)
    found = computed(record, judged, StrategyConfig("fusion", "fusion", "a", n=5), layered(), usage=LAYERS)
    matches = {match.fused.row.strategy.name: match for match in equal_flops(list(found.values()), basis="cached")}
    assert (matches["fusion"].n, matches["fusion"].cost) == (11, 11)
    assert matches["fusion"].ran is found["best (n=11)"]
    assert (matches["layers"].n, matches["layers"].ran, matches["layers"].difference) == (21, None, None)


def test_the_command_reads_a_finished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    models = ["--models", "embedded/aft", "--widths", "2", "--depths", "1"]
    assert main(["analyse", "grid", "--task", "worksheets", *models, "--examples", "2", "--out", str(run)]) == 0
    assert main(["analyse", "flops", str(run)]) == 0
    assert "width 2, depth 1" in capsys.readouterr().out
    assert (run / "analysis" / "flops.png").exists()
    assert main(["analyse", "grid", "--task", "worksheets", *models, "--examples", "2", "--out", str(run)]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == "4/4 records"
