from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from dspy_fusion.serving.replicas.affinity import Affinity, affinity_of
from dspy_fusion.serving.replicas.endpoints import endpoint_at


def affinity(name: str, replicas: int, limit: int | None = None) -> Affinity:
    return affinity_of([f"http://{name}-{i}/v1" for i in range(replicas)], limit)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("at_once", [1, 16])
def test_questions_stay_together_and_replicas_get_as_much_to_do(seed: int, at_once: int) -> None:
    dealt, rng, sent = affinity(f"even-{seed}-{at_once}", 3), random.Random(seed), defaultdict(Counter)
    waiting = [(f"question {i}", 8) for i in range(60)] + [(f"fusion {i}", 1) for i in range(60)]
    rng.shuffle(waiting)
    active: list[list] = []
    while waiting or active:
        while waiting and len(active) < at_once:
            active.append(list(waiting.pop()))
        task = rng.choice(active)
        sent[task[0]][dealt.order(task[0])[0].name] += 1
        task[1] -= 1
        active = [task for task in active if task[1]]
    total = sum(sent.values(), Counter())
    assert all(0.8 <= count / (total.total() / 3) <= 1.2 for count in total.values())
    assert sum(max(counts.values()) for counts in sent.values()) / total.total() >= 0.9


def test_most_prompts_have_the_same_home_in_every_process() -> None:
    first, second = Affinity(affinity("stable", 3).endpoints), Affinity(affinity("stable", 3).endpoints)
    for i in range(30):
        second.order(f"other {i}")
    homes = [(first.order(f"question {i}")[0], second.order(f"question {i}")[0]) for i in range(300)]
    assert sum(a is b for a, b in homes) > 200


def test_a_resting_replica_is_last_until_it_answers() -> None:
    dealt = affinity("resting", 3)
    home = dealt.order("question")[0]
    home.failed(None)
    assert home.is_resting
    assert not home.is_down
    assert dealt.order("question")[-1] is home
    home.answered()
    assert dealt.order("another question")


def test_several_failures_in_a_row_are_an_outage() -> None:
    endpoint = endpoint_at("http://outage/v1")
    for _ in range(3):
        endpoint.failed(0.1)
    assert endpoint.is_down


def test_a_full_replica_lets_an_idle_one_help() -> None:
    dealt = affinity("full", 2, 1)
    home = dealt.order("question")[0]
    place = home.places.ask()
    assert dealt.order("question")[0] is not home
    home.places.give_back(place)
    assert dealt.order("question")[0] is home


def test_the_lowest_of_several_limits_holds() -> None:
    endpoint_at("http://limits/v1", 4)
    assert endpoint_at("http://limits/v1", 2) is endpoint_at("http://limits/v1")
    assert endpoint_at("http://limits/v1", 8).places.limit == 2
