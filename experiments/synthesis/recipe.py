"""A recipe: everything that making rows takes except the prompts, as plain data that can be sent to another process.

From it come the program, its models and their prices; two recipes that are equal make equal rows of equal prompts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dspy
from dspy.clients.engines.lm15_engine import AsyncLM15Engine, LM15Engine
from dspy.lm15 import RouterConfig

from dspy_fusion.programs import (
    CandidateBank,
    Likelihood,
    LMJudge,
    PairwiseTournament,
    RewardFunction,
    RewardModel,
    Scorer,
)
from dspy_fusion.programs.banks.bank_keys import lm_fingerprint
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.tasks import instructions
from dspy_fusion.serving.catalogue.model_entry import ModelEntry
from dspy_fusion.serving.catalogue.models import ModelCatalogue

from .program import SynthesisProgram
from .synthesis_config import SynthesisConfig

_CONNECTION = ("api_base", "api_key")


def direct_lm(entry: ModelEntry, *, connections: int) -> dspy.LM:
    """The model of a catalogue's entry, called directly where its engine is ``native``.

    Any other, and one with several addresses, limits, a timeout or GPUs to count, is as the catalogue makes it.

    Its connections belong to the event loop that first awaits it.

    Args:
        entry: the model.
        connections: how many calls of it may be under way; DSPy's own limit is 100, and what is above waits without
            saying so.

    Raises:
        MissingKey: the variable that should hold its key is not set.
        ConfigurationError: an option is unknown, or the engine would drop it.
    """
    lm: Any = entry.lm()  # also where everything else that can be wrong is found out
    if entry.engine != "native" or entry.is_embedded or entry.is_routed or entry.timeout or entry.gpus:
        return lm
    provider = LM15Engine().resolve(entry.model).provider
    config = RouterConfig(
        api_keys={provider: lm.kwargs["api_key"]} if "api_key" in lm.kwargs else None,
        base_urls={provider: entry.address} if entry.address else None,
        max_connections=connections,
    )
    options = {name: value for name, value in lm.kwargs.items() if name not in _CONNECTION}
    return dspy.LM(entry.model, engine=LM15Engine(config), async_engine=AsyncLM15Engine(config), cache=False, **options)


# the program's seeds of one row are seed + candidate and seed + 1000 for the fusor; the next row's lie beyond them
SEED_STRIDE = 2000


@dataclass(frozen=True)
class Recipe:
    """How rows are made.

    Attributes:
        config: what is to be made.
        catalogue: where the models come from, and what they cost.
        system: system text of the teachers.
    """

    config: SynthesisConfig
    catalogue: ModelCatalogue
    system: str = ""

    @property
    def model_names(self) -> tuple[str, ...]:
        """Every model that is asked for anything, each once."""
        best = self.config.best
        judge = (self.config.metric_judge if best.scorer == "metric" else best.model) if best else ""
        fusor = self.config.fusion.fusor if self.config.fusion else ""
        return tuple(dict.fromkeys(name for name in (*self.config.teachers, judge, fusor) if name))

    @cached_property
    def fingerprints(self) -> Mapping[str, Mapping[str, Any]]:
        """What each model's name stands for, with a short digest of it."""
        settled = {name: lm_fingerprint(self.catalogue.lm(name)) for name in self.model_names}
        return {name: {"digest": _digest(model), "model": model} for name, model in settled.items()}

    @property
    def fusor_instructions(self) -> str:
        """What the fusor is told; empty where there is none."""
        wanted = self.config.fusion.instructions if self.config.fusion else ""
        return getattr(instructions, wanted, wanted) if wanted.isupper() else wanted

    @property
    def instructions_digest(self) -> str:
        """The digest by which rows name what the fusor was told."""
        return text_digest(self.fusor_instructions)

    def row_seed(self, index: int) -> int:
        """The seed of a row, of which its candidates' follow."""
        return (self.config.seed + SEED_STRIDE * index) % 2**31

    def program(self) -> SynthesisProgram:
        """The program, with its models.

        Raises:
            ConfigurationError: a model's name or an option is wrong, or a key is missing.
        """
        config, fusion = self.config, self.config.fusion
        most = config.max_concurrency * config.candidates
        lms = {name: direct_lm(self.catalogue.entry(name), connections=most) for name in self.model_names}
        return SynthesisProgram(
            n=config.candidates,
            scorer=self._scorer(lms),
            bank=CandidateBank(config.bank) if config.bank else None,
            fuses=fusion is not None,
            instructions=self.fusor_instructions,
            fusor_lm=lms[fusion.fusor] if fusion else None,
            fusor_temperature=fusion.temperature if fusion else None,
            shuffle=fusion.shuffle if fusion else False,
            lms=[lms[name] for name in config.teachers],
            temperature=config.temperature,
            seed=config.seed,
            deadline_seconds=config.deadline_seconds,
        )

    def _scorer(self, lms: Mapping[str, dspy.BaseLM]) -> Scorer | None:
        best = self.config.best
        if best is None:
            return None
        if best.scorer == "metric":
            from .task_prompts import TaskSource

            return RewardFunction(TaskSource(self.config, lms.get(self.config.metric_judge)).graded())
        options = {**({"lm": lms[best.model]} if best.model else {}), **best.options}
        try:
            return _SCORERS[best.scorer](**options)
        except TypeError as error:
            raise ConfigurationError(f"[best] scorer {best.scorer!r} does not take these options: {error}") from error


def text_digest(text: str) -> str:
    """The first 12 hexadecimal digits of a text's SHA-256 digest."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


_SCORERS: dict[str, Callable[..., Scorer]] = {
    "judge": LMJudge,
    "pairwise": PairwiseTournament,
    "likelihood": Likelihood,
    "reward_model": RewardModel,
}


def _digest(fingerprint: Any) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True, default=str).encode()).hexdigest()[:12]
