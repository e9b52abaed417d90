"""The reference for synthesis: the same calls in the same pattern by bare ``dspy.LM`` objects, and nothing else.

``python -m benchmarks.bare_calls models.toml CONCURRENCY`` reads numbers of rows from standard input, makes the
calls of so many rows, and answers each with a line.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import dspy

from dspy_fusion.programs.tasks.instructions import FUSE
from dspy_fusion.programs.tasks.plain_adapter import system_text
from dspy_fusion.serving.catalogue.models import load_models

from .synthesize import FUSOR, TEACHERS, prompt_text


async def serve(models: str, concurrency: int) -> None:
    """Asks both teachers side by side and then the fusor, for as many rows as each line of standard input says."""
    catalogue = load_models(models)
    teachers, fusor = [catalogue.lm(name) for name in TEACHERS], catalogue.lm(FUSOR)

    async def work(places: Iterator[int]) -> None:
        for place in places:
            prompt = prompt_text(place)
            drawn = [lm.acall(prompt, temperature=0.3, seed=place + i) for i, lm in enumerate(teachers)]
            texts = [answers[0] for answers in await asyncio.gather(*drawn)]
            await fusor.acall(f"{system_text(FUSE, texts)}\n\n{prompt}", temperature=0.0)

    with dspy.context(disable_history=True, trace=None):
        while line := await asyncio.to_thread(sys.stdin.readline):
            places = iter(range(int(line)))
            await asyncio.gather(*(work(places) for _ in range(concurrency)))
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
