from __future__ import annotations

import asyncio

from dspy_fusion.serving.replicas.places import Places


def test_places_go_to_the_first_who_asked() -> None:
    places = Places(1)
    first, second, third = places.ask(), places.ask(), places.ask()
    assert (first.done(), second.done(), places.waiting) == (True, False, 2)
    places.give_back(first)
    assert (second.done(), third.done(), places.taken, places.waiting) == (True, False, 1, 1)


def test_who_gives_up_waiting_is_passed_over() -> None:
    places = Places(1)
    first, second, third = places.ask(), places.ask(), places.ask()
    places.give_back(second)
    places.give_back(first)
    assert (third.done(), places.taken, places.waiting) == (True, 1, 0)


def test_without_a_limit_nobody_waits() -> None:
    places = Places()
    assert all(places.ask().done() for _ in range(100))
    assert places.taken == 100


def test_a_cancelled_task_leaves_no_place_taken() -> None:
    places = Places(1)

    async def hold() -> None:
        place = places.ask()
        try:
            await asyncio.wrap_future(place)
            await asyncio.sleep(60)
        finally:
            places.give_back(place)

    async def main() -> None:
        tasks = [asyncio.create_task(hold()) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert (places.taken, places.waiting) == (0, 0)
