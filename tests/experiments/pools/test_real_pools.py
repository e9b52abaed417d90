"""What is known of the recorded pools of real models: every file is read whole,
and no choice is better than the best candidate.
"""

from __future__ import annotations

import numpy as np
import pytest
from shared_data import DATA, needs_data

from benchmarks.evidence import FILES, MIDDLE
from dspy_fusion.experiments.pools.evaluation import beta_of, evaluate
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.recordings.importing import ImportReport, import_file
from dspy_fusion.experiments.recordings.store import RecordedStore
from dspy_fusion.programs import CandidateBank

pytestmark = needs_data
SIZES = {
    "gsm8k_pool": (648, 12951),
    "m_ifeval_pool": (530, 6890),
    "arena_bench_v1": (157, 2337),
    "mt_bench": (80, 2480),
    "fusion_translation_wmt24pp": (3840, 22066),
    "mmlu": (1425, 2850),
    "refine_chains": (203, 1015),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[RecordedStore, dict[str, ImportReport]]:
    store = RecordedStore(CandidateBank(f"sqlite:///{tmp_path_factory.mktemp('real')}/bank.db"))
    return store, {stem: import_file(f"{DATA}/{stem}.jsonl.gz", store) for stem in FILES}


def ends(pool: RecordedPool, subsets: int = 100) -> dict[str, float]:
    return {way.name: float(way.curve[:, -1].mean()) for way in evaluate(pool, subsets=subsets)}


def test_every_file_is_read_whole(imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    store, reports = imported
    assert {found.name: (found.questions, found.candidates) for found in store.sets} == SIZES
    assert {stem: len(report.set_aside) for stem, report in reports.items() if report.set_aside} == {
        "m_ifeval_pool/ja": 4
    }
    assert all(
        row.why == "'candidates' is empty, so it has no candidates" for row in reports["m_ifeval_pool/ja"].set_aside
    )


def test_recorded_conflicts_are_those_that_equal_answers_show(
    imported: tuple[RecordedStore, dict[str, ImportReport]],
) -> None:
    report = imported[1]["gsm8k_pool/pool"]
    assert report.conflicts == report.uneven == 24


def test_choosing_among_twenty_solutions(imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    pool = RecordedPool.of("gsm8k_pool", imported[0].questions("gsm8k_pool"))
    found = ends(pool)
    assert pool.quality.mean(axis=0).max() == pytest.approx(0.9475, abs=1e-4)
    assert found["vote"] == pytest.approx(
        0.949, abs=0.003
    )  # 94.0 % with three sources more, which are not in this folder
    assert found["oracle"] == pytest.approx(0.9954, abs=1e-4)
    assert beta_of(pool).share == pytest.approx(3 / 648)


def test_choosing_among_five_of_middling_skill(imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    pool = RecordedPool.of("gsm8k_pool", imported[0].questions("gsm8k_pool"), columns=MIDDLE)
    found = ends(pool)
    assert pool.quality.mean(axis=0).max() == pytest.approx(0.844, abs=1e-3)
    assert found["vote"] == pytest.approx(0.871, abs=0.005)
    assert found["oracle"] == pytest.approx(0.960, abs=1e-3)


def test_the_n_curve_of_twenty_solutions(imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    pool = RecordedPool.of("gsm8k_pool", imported[0].questions("gsm8k_pool"))
    curves = {way.name: way.curve.mean(axis=0) for way in evaluate(pool, subsets=100)}
    assert curves["oracle"][[0, 1, 4, 9]] == pytest.approx([0.660, 0.849, 0.963, 0.986], abs=1e-3)
    assert curves["vote"][[0, 2, 4, 9]] == pytest.approx([0.660, 0.771, 0.867, 0.925], abs=0.006)
    assert (np.diff(curves["oracle"]) > 0).all()


def test_english_instruction_following(imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    english = [question for question in imported[0].questions("m_ifeval_pool") if question.group == "en"]
    pool = RecordedPool.of("m_ifeval_pool", english)
    assert pool.quality.mean(axis=0).max() == pytest.approx(0.843, abs=1e-3)
    assert pool.quality.mean() == pytest.approx(0.668, abs=1e-3)
    assert ends(pool)["oracle"] == pytest.approx(0.959, abs=1e-3)


@pytest.mark.parametrize("name", ["gsm8k_pool", "m_ifeval_pool", "mmlu", "refine_chains", "arena_bench_v1"])
def test_no_choice_is_above_one_minus_beta(name: str, imported: tuple[RecordedStore, dict[str, ImportReport]]) -> None:
    questions = imported[0].questions(name)
    groups = sorted({question.group for question in questions})
    for group in ["", *groups] if len(groups) < 10 else [""]:
        pool = RecordedPool.of(
            name, [question for question in questions if group in ("", question.group)], derived=True
        ).graded()
        best = pool.quality.max(axis=1)
        for way in evaluate(pool, subsets=20):
            assert (way.curve <= best[:, None] + 1e-9).all()
            if pool.is_binary:
                assert way.curve.mean(axis=0).max() <= 1 - beta_of(pool).share + 1e-9
