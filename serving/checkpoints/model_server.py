"""What a fine-tuning needs of the machine.

The base and, later, the trained model as models that answer, one at a time, with the memory free for training between
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Unpack

import dspy

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import require

from ..model_sampling import LOCAL_SAMPLING, OWN_SAMPLING, LocalSampling, check_sampling
from .checkpoint_lm import checkpoint_lm
from .checkpoint_options import CheckpointOptions
from .vllm_lm import vllm_lm
from .vllm_server import VllmOptions, any_running, close_servers

Kind = Literal["transformers", "vllm"]
KINDS = ("transformers", "vllm")


class ModelServer:
    """Serves checkpoints of this machine. Nothing is loaded before a model is first asked.

    Args:
        kind: ``"transformers"``, in this process, or ``"vllm"``, in a process of its own.
        merged: whether adapters are served merged into the weights, or laid over the base, which vLLM and transformers
            both do.
        arguments: further ones of ``vllm serve``.
        command: vLLM's program.
        context: tokens of prompt and answer together; 0 takes the model's own.
        chat_template: for a checkpoint that has none.
        device: of transformers.
        sampling: defaults of the sampling options, such as ``max_tokens``.

    Raises:
        ConfigurationError: the kind is unknown.
    """

    def __init__(
        self,
        kind: Kind = "transformers",
        *,
        merged: bool = False,
        arguments: tuple[str, ...] = (),
        command: str = "vllm",
        context: int = 0,
        chat_template: str = "",
        device: Literal["auto", "cpu", "cuda"] = "auto",
        **sampling: Unpack[LocalSampling],
    ) -> None:
        if kind not in KINDS:
            raise ConfigurationError(f"server must be one of {', '.join(KINDS)}, but got {kind!r}")
        check_sampling(sampling, "ModelServer", LOCAL_SAMPLING if kind == "vllm" else OWN_SAMPLING)
        self.kind, self.merged, self.arguments, self.command = kind, merged, tuple(arguments), command
        self.context, self.chat_template = context, chat_template
        self.sampling: dict[str, Any] = dict(sampling)
        self.device: Literal["auto", "cpu", "cuda"] = device

    def check(self) -> None:
        """Raises ``MissingExtra`` where what it needs is not installed; starts nothing."""
        if self.kind == "vllm":
            VllmOptions(CheckpointOptions("any"), command=self.command).check()
        else:
            require("a checkpoint", "finetune", "torch", "transformers", "peft")

    def lm(self, checkpoint: str | Path, adapter: str | Path = "") -> dspy.LM:
        """A checkpoint as a model, with adapters over it where they are given."""
        shared: dict[str, Any] = {"adapter": adapter, "context": self.context, "chat_template": self.chat_template}
        if self.kind == "vllm":
            return vllm_lm(checkpoint, arguments=self.arguments, command=self.command, **shared, **self.sampling)
        return checkpoint_lm(checkpoint, device=self.device, **shared, **self.sampling)

    def trained(self, model: Path, base: str | Path) -> dspy.LM:
        """What a training left: its adapters over the base, or its merged weights where there are no adapters."""
        adapter = model.parent / "adapter"
        if self.merged or not (adapter / "adapter_config.json").is_file():
            return self.lm(model)
        return self.lm(base, adapter)

    def is_idle(self) -> bool:
        """Whether none of its models takes memory now."""
        if self.kind == "vllm":
            return not any_running()
        from .checkpoint_model import any_loaded

        return not any_loaded()

    def close(self) -> None:
        """Frees the memory of every model; each starts again when it is asked."""
        if self.kind == "vllm":
            close_servers()
        else:
            from .checkpoint_model import close_models

            close_models()
