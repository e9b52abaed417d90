"""The Ray engine: the same rows made by actors of a Ray cluster, for more rows than one machine can do.

Prompts travel to the actors and rows back through Ray Data, a window of prompts at a time, so that neither side holds
the data set. This process alone writes, which needs no shared disk and leaves resuming, gates and files as they are.
The cluster's machines need what this one has: the package with its extras, the models' addresses, and the environment
variables that hold their keys.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from dspy_fusion.programs.errors import RecordError
from dspy_fusion.programs.extras import needs

from .engine_local import threads_for
from .gates import Gates
from .prompts import Prompt
from .recipe import Recipe
from .row_maker import RowMaker
from .shards import Shards
from .synthesized_rows import Row

_WINDOW = 64  # blocks for each CPU in one execution of Ray Data, of which starting one takes seconds
_QUIET = ("LITELLM_LOCAL_MODEL_COST_MAP", "DO_NOT_TRACK", "HF_HUB_OFFLINE")


def run_on_ray(
    recipe: Recipe, prompts: Iterator[Prompt], shards: Shards, gates: Gates, on_row: Callable[[Row], None]
) -> None:
    """Makes the rows of prompts that are not there yet,
    on the cluster that ``RAY_ADDRESS`` names or on one started in this machine.

    Raises:
        ConfigurationError: Ray is not installed.
        RecordError: the cluster failed, or ``on_row`` raised it.
    """
    ray = load_ray()
    mine = not ray.is_initialized()
    if mine:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        cpus = max(1, int(ray.cluster_resources().get("CPU", 1)))
        block = recipe.config.max_concurrency
        missing = (prompt for prompt in prompts if not shards.has(prompt.index))
        while window := list(islice(missing, block * cpus * _WINDOW)):
            for row in _made(ray, recipe, window, block, cpus):
                if not shards.has(row.index):  # where an actor was lost, Ray has its rows made again
                    shards.append(row)
                    on_row(row)
                while shards.can_finish:
                    shards.finish_next(gates)
    except ray.exceptions.RayError as error:
        cause = " ".join(str(error).split())[-300:]
        raise RecordError(
            f"Ray could not make all rows: {cause}; finished rows are kept, and the same command goes on"
        ) from error
    finally:
        if mine:
            ray.shutdown()


class RowActor:
    """Makes a block of rows side by side in a process of the cluster."""

    def __init__(self, recipe: Recipe) -> None:
        self.maker = RowMaker(recipe)
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(threads_for(recipe.config.max_concurrency))

    def __call__(self, block: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """From prompts to rows, each as one text."""
        prompts = [Prompt(**json.loads(text)) for text in block["prompt"]]
        rows = self.loop.run_until_complete(self._make(prompts))
        return {"row": np.array([row.to_line().decode() for row in rows], dtype=object)}

    async def _make(self, prompts: Sequence[Prompt]) -> list[Row]:
        with self.maker.at_work():
            return await asyncio.gather(*(self.maker.make(prompt) for prompt in prompts))


def _made(ray: Any, recipe: Recipe, window: Sequence[Prompt], block: int, cpus: int) -> Iterator[Row]:
    """The rows of a window of prompts, as they arrive."""
    texts = [{"prompt": json.dumps(prompt, default=vars)} for prompt in window]
    blocks = -(-len(texts) // block)
    quiet = {"env_vars": {name: os.environ[name] for name in _QUIET if name in os.environ}}
    made = ray.data.from_items(texts, override_num_blocks=blocks).map_batches(
        RowActor,
        fn_constructor_args=(recipe,),
        batch_size=block,
        concurrency=(1, min(cpus, blocks)),
        num_cpus=1,
        runtime_env=quiet,
    )
    for rows in made.iter_rows():
        yield Row.from_line(rows["row"].encode())


def load_ray() -> Any:
    """Ray, told to keep quiet.

    Raises:
        ConfigurationError: it is not installed.
    """
    with needs("--engine ray", "ray"):
        ray = importlib.import_module("ray")
        importlib.import_module("ray.data")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray
