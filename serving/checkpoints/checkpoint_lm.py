"""A Hugging Face checkpoint as a ``dspy.LM`` that transformers runs in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Unpack

import dspy

from dspy_fusion.programs.extras import require

from ..model_sampling import OWN_SAMPLING, OwnSampling, check_sampling
from . import PREFIX
from .checkpoint_options import CheckpointOptions, with_base


def checkpoint_lm(
    checkpoint: str | Path,
    *,
    adapter: str | Path = "",
    context: int = 0,
    batch: int = 32,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    chat_template: str = "",
    cache: bool = False,
    **sampling: Unpack[OwnSampling],
) -> dspy.LM:
    """A language model that transformers runs in this process, on its GPU where there is one.

    Calls made at one time are written in one batch, each with its own sampling options: the same seed gives the same
    text, but for what rounding changes in batches of another make-up. The weights are loaded with the first call. Every
    LM over the same checkpoint and options shares them. Needs the extra ``finetune``.

    Args:
        checkpoint: a folder, or a name on the Hub; the folder of a fine-tuning stands for the model in it, and one of
            LoRA adapters for these over their base.
        adapter: a folder of LoRA adapters, which are laid over the checkpoint and not merged.
        context: tokens of prompt and answer together; 0 takes the model's own.
        batch: how many answers are written at once, at most; memory grows with it.
        device: where it runs.
        chat_template: a Jinja template for a checkpoint that has none.
        cache: whether DSPy's own cache keeps its answers.
        sampling: defaults of ``temperature``, ``top_p``, ``top_k``, ``max_tokens``, ``seed``, ``stop``.

    Raises:
        ConfigurationError: there is no such checkpoint, or it has no chat template.
        UnknownOption: a sampling option is none of those.
        MissingExtra: torch or transformers is not installed.

    Example:
        >>> lm = checkpoint_lm("runs/aft/model", max_tokens=400)  # doctest: +SKIP
    """
    check_sampling(sampling, "checkpoint_lm", [name for name in OWN_SAMPLING if "logprobs" not in name])
    require("a checkpoint", "finetune", "torch", "transformers", *(["peft"] if adapter else []))
    from .checkpoint_engine import AsyncCheckpointEngine, CheckpointEngine
    from .checkpoint_model import shared_model

    base, laid_over = with_base(checkpoint, adapter)
    options = CheckpointOptions(base, laid_over, context, batch, device, chat_template)
    model = shared_model(options)
    engines: dict[str, Any] = {"engine": CheckpointEngine(model), "async_engine": AsyncCheckpointEngine(model)}
    lm = dspy.LM(f"{PREFIX}{options.name}", cache=cache, **engines, **sampling)
    vars(lm)["known_as"] = (
        f"{PREFIX}{options.adapter or options.checkpoint}"  # which transformers runs, whatever ran it here
    )
    return lm
