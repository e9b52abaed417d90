from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest

from dspy_fusion.experiments.pools.ceiling import check_ceiling
from dspy_fusion.experiments.pools.evaluation import Way, beta_of, curves_with_intervals, differences, evaluate
from dspy_fusion.experiments.pools.recorded_pool import RecordedPool
from dspy_fusion.experiments.pools.reliability import family_weights, reliabilities, vote_weights
from dspy_fusion.programs.errors import CeilingBroken, ConfigurationError

Pool = Callable[..., RecordedPool]


def ways_of(pool: RecordedPool, **options: int) -> dict[str, Way]:
    return {way.name: way for way in evaluate(pool, **options)}


@pytest.fixture
def drawn(pool: Pool) -> RecordedPool:
    """Forty questions, six candidates of rising skill, some missing, with scores and log-probabilities."""
    rng = np.random.default_rng(0)
    skill = np.linspace(0.1, 0.9, 6)
    rows = ["".join("A" if rng.random() < p else rng.choice(list("bcd-?")) for p in skill) for _ in range(40)]
    return pool(*rows, score=rng.normal(size=(40, 6)), logprob=-rng.random((40, 6)))


def test_no_choice_is_better_than_the_oracle_anywhere(drawn: RecordedPool) -> None:
    ways = ways_of(drawn, subsets=60)
    assert len(ways) == 12
    for way in ways.values():
        assert (way.curve[:, -1] <= ways["oracle"].curve[:, -1] + 1e-12).all()
        assert way.curve.mean(axis=0).max() <= 1 - beta_of(drawn).share + 1e-12


def test_the_oracle_is_the_mean_best_of_all_subsets(drawn: RecordedPool) -> None:
    found = ways_of(drawn)["oracle"].curve.mean(axis=0)
    for n in (2, 4, 6):
        brute = [drawn.quality[:, list(subset)].max(axis=1).mean() for subset in combinations(range(6), n)]
        assert found[n - 1] == pytest.approx(np.mean(brute))


def test_best_by_score_takes_the_highest_score(pool: Pool) -> None:
    letters = pool("Ab", "aB", score=[[2.0, 1.0], [5.0, 1.0]])
    assert ways_of(letters)["best by score"].curve[:, 1].tolist() == [1.0, 0.0]


def test_equal_scores_share_the_choice(pool: Pool) -> None:
    letters = pool("Abc", "abc", score=[[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert ways_of(letters)["best by score"].curve[0].tolist() == pytest.approx([1 / 3, 1 / 2, 1 / 2])


def test_a_missing_answer_is_chosen_only_where_there_is_no_other(pool: Pool) -> None:
    letters = pool("-Ab", "---", "bA-")
    for way in ways_of(letters).values():
        if way.kind == "select":
            assert way.curve[1].tolist() == [0.0, 0.0, 0.0]
    assert ways_of(letters)["longest"].curve[0, 2] == 0.5


def test_reliability_is_learned_on_other_questions(pool: Pool) -> None:
    letters = pool("Ab", "aB")
    assert reliabilities(letters, folds=2).tolist() == [[1 / 3, 2 / 3], [2 / 3, 1 / 3]]
    assert ways_of(letters)["best by reliability"].curve[:, 1].tolist() == [0.0, 0.0]


def test_reliable_sources_outvote_a_crowd(pool: Pool) -> None:
    letters = pool(*["Abbb", "Accc", "Addd", "Abbb", "Accc", "Addd"])
    ways = ways_of(letters)
    assert not ways["vote"].curve[:, 3].any()
    assert (ways["vote by reliability"].curve[:, 3] == 1).all()


def test_weights_grow_with_reliability_and_never_count_against(pool: Pool) -> None:
    weights = vote_weights(pool("Abc"), np.array([[0.9, 0.5, 0.01]]))[0]
    assert weights[0] > weights[1] > weights[2] == 0


def test_a_family_has_one_vote(pool: Pool) -> None:
    letters = pool("Abb", "Abb", family=[["x", "y", "y"]] * 2)
    assert family_weights(letters)[0].tolist() == [1.0, 0.5, 0.5]
    assert ways_of(letters, subsets=300)["vote by family"].curve[0, 2] == pytest.approx(
        1 / 3, abs=0.01
    )  # by who comes first


def test_nothing_is_voted_on_where_no_answers_were_recorded(pool: Pool) -> None:
    letters = pool("Ab", "aB", answer=[[None, None]] * 2)
    assert not [name for name in ways_of(letters) if name.startswith("vote")]


def test_the_same_seed_gives_the_same_curves(drawn: RecordedPool) -> None:
    one, same, other = (ways_of(drawn, subsets=6, seed=seed)["vote"].curve for seed in (1, 1, 2))
    assert (one == same).all()
    assert not (one == other).all()


def test_intervals_and_differences_are_over_questions(drawn: RecordedPool) -> None:
    ways = evaluate(drawn, subsets=12)
    estimate = curves_with_intervals(drawn, ways, resamples=200)["vote"][-1]
    assert estimate.low < estimate.mean < estimate.high
    assert estimate.n == 40
    reference = next(way for way in ways if way.name == "vote").curve[:, -1]
    gain = differences(drawn, ways, reference, resamples=200)["vote"]
    assert (gain.mean, gain.low, gain.high) == (0, 0, 0)


def test_beta_is_bounded_from_above(pool: Pool) -> None:
    beta = beta_of(pool("Ab", "ab", "ab", "AB"))
    assert beta.share == 0.5
    assert 0.5 < beta.upper < 1


def test_too_little_to_measure_is_an_error(pool: Pool) -> None:
    with pytest.raises(
        ConfigurationError, match="'letters' has 1 questions with known correctness; at least 2 are needed"
    ):
        evaluate(pool("Ab"))
    with pytest.raises(ConfigurationError, match="has 1 questions with known correctness"):
        evaluate(pool("Ab", "AB", quality=[[1.0, 0.0], [None, 1.0]]))


def test_a_choice_above_the_best_candidate_is_a_mistake() -> None:
    check_ceiling("vote", np.array([0.5, 1.0]), np.array([0.5, 1.0]))
    with pytest.raises(
        CeilingBroken, match=r"'vote' chose an answer of quality 0\.6000 where the best candidate has 0\.5000 \(at"
    ):
        check_ceiling("vote", np.array([0.5, 0.6]), np.array([0.5, 0.5]))
