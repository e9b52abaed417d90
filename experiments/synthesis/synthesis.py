"""A synthesis from beginning to end.

Everything checked before a model is called, then the rows that are missing made.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.serving.catalogue.models import ModelCatalogue

from ..runs.run_file import write_whole
from .engine_local import LocalEngine
from .folder import SynthesisFolder, default_folder, open_folder
from .gates import Gates
from .prompts import Prompt, Source, open_source
from .recipe import Recipe
from .row_maker import RowMaker
from .shards import Shards
from .synthesis_config import SynthesisConfig
from .synthesized_rows import Row
from .totals import Totals
from .watch import Watch

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Synthesis:
    """A synthesis that is ready to go on: what the user typed has been checked, and no model was called.

    Attributes:
        recipe: how rows are made.
        source: where the prompts come from.
        folder: where everything is written.
        shards: the rows.
        gates: what rows are kept.
    """

    recipe: Recipe
    source: Source
    folder: SynthesisFolder
    shards: Shards
    gates: Gates

    @property
    def config(self) -> SynthesisConfig:
        """What is made."""
        return self.recipe.config

    @property
    def total(self) -> int | None:
        """How many rows there will be, where that is known."""
        return min((number for number in (self.source.total, self.config.rows) if number), default=None)

    def missing(self) -> Iterator[Prompt]:
        """The prompts from the first one on whose row may be missing."""
        rows = self.config.rows
        prompts = self.source.read(self.shards.begin)
        return takewhile(lambda prompt: prompt.index < rows, prompts) if rows else prompts

    def go_on(
        self, on_row: Callable[[Row], None], *, engine: str = "local", on_interrupt: Callable[[], None] = lambda: None
    ) -> bool:
        """Makes the rows that are missing and finishes their files; returns False where Ctrl-C ended it early.

        Args:
            on_row: called with every row after it was written.
            engine: ``local``, or ``ray`` for a Ray cluster.
            on_interrupt: called at the first Ctrl-C, after which the rows in flight have two seconds; the
                second ends the process.

        Raises:
            RecordError: a model failed on every row.
            ConfigurationError: the prompts cannot be read on, or rows cannot be written.
        """
        watch = Watch(self.gates.refusals)

        def written(row: Row) -> None:
            on_row(row)
            watch.add(row)

        if engine == "ray":
            from .engine_ray import run_on_ray

            try:
                run_on_ray(self.recipe, self.missing(), self.shards, self.gates, written)
            except KeyboardInterrupt:
                return False
        elif not asyncio.run(self._run_here(written, on_interrupt)):
            return False
        self.shards.finish_rest(self.gates)
        return True

    def count(self) -> Totals:
        """Counts the rows, those of unfinished files as if they had passed the gates, and writes the counts down."""
        totals = Totals.of(self.shards.read())
        write_whole(self.folder.summary, totals.plain())
        return totals

    def close(self) -> None:
        """Closes all files and lets other processes at the folder."""
        self.shards.close()
        self.gates.close()
        self.folder.close()

    async def _run_here(self, written: Callable[[Row], None], on_interrupt: Callable[[], None]) -> bool:
        engine = LocalEngine(RowMaker(self.recipe), self.shards, self.gates, written)
        with _stopping_at_interrupt(engine, on_interrupt):
            await engine.run(self.missing(), self.config.max_concurrency)
        return not engine.stopped


def prepare(
    config: SynthesisConfig,
    catalogue: ModelCatalogue,
    path: Path | None,
    *,
    engine: str = "local",
    retry_failed: bool = False,
) -> Synthesis:
    """Checks a synthesis and opens its folder.

    Args:
        config: what to make.
        catalogue: where the models come from.
        path: its folder; None takes one named after the configuration, the models and the prompts, so that the same
            synthesis goes on.
        engine: what will make the rows, one of ``ENGINES``.
        retry_failed: whether rows on which anything failed are made again.

    Raises:
        ConfigurationError: a name, an option, the prompts or the folder is wrong, or another process works in it.
        RecordError: the folder holds another synthesis.
    """
    if engine not in ENGINES:
        raise ConfigurationError(f"engine must be one of {', '.join(ENGINES)}, but got engine={engine!r}")
    if engine == "ray":
        from .engine_ray import load_ray

        load_ray()
    source = open_source(config)
    system = source.system if config.system is None else config.system
    recipe = Recipe(config, catalogue, system)
    RowMaker(recipe)  # finds out what is wrong with a model or an option
    about = {
        "models": recipe.fingerprints,
        "prompts": source.about,
        "system": system,
        "instructions": recipe.fusor_instructions,
    }
    folder = open_folder(path or default_folder(config, about), config, about)
    try:
        shards, gates = Shards(folder.path, config.shard_rows), Gates(config, folder.duplicates)
        if retry_failed:
            shards.forget(lambda row: bool(row.failures))
        gates.fill(lambda: shards.read(finished=True))
    except BaseException:
        folder.close()
        raise
    return Synthesis(recipe, source, folder, shards, gates)


@contextmanager
def _stopping_at_interrupt(engine: LocalEngine, on_interrupt: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C has the rows in flight finished; after it, the next one interrupts as ever."""
    loop, ending = asyncio.get_running_loop(), []

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        on_interrupt()
        ending.append(loop.create_task(engine.stop()))

    if threading.current_thread() is threading.main_thread():  # signals reach no other
        loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
