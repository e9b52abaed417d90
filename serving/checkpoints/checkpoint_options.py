"""Which checkpoint is run, and how; and how its weights are told from others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.weights_digest import weights_digest


@dataclass(frozen=True)
class CheckpointOptions:
    """How a checkpoint is run.

    Attributes:
        checkpoint: a folder in Hugging Face's format, or a name on the Hub.
        adapter: the folder of LoRA adapters that are laid over it, not merged; empty for none.
        context: tokens of prompt and answer together; 0 takes the model's own.
        batch: answers that are written at once, at most.
        device: where transformers runs it.
        chat_template: a Jinja template instead of the checkpoint's own.
    """

    checkpoint: str
    adapter: str = ""
    context: int = 0
    batch: int = 32
    device: Literal["auto", "cpu", "cuda"] = "auto"
    chat_template: str = ""

    def __post_init__(self) -> None:
        """Checks the values."""
        for name, least in (("context", 0), ("batch", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{name} must be a whole number from {least}, but got {name}={value!r}")
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigurationError(f"device must be 'auto', 'cpu' or 'cuda', but got device={self.device!r}")
        if self.adapter and not (Path(self.adapter) / "adapter_config.json").is_file():
            raise ConfigurationError(f"{self.adapter} holds no LoRA adapters: there is no adapter_config.json in it")

    @property
    def name(self) -> str:
        """What the model is called: the end of its path with what tells its weights from others."""
        path = Path(self.adapter or self.checkpoint)
        short = path.parent.name if path.name in ("model", "adapter") and path.parent.name else path.name
        digest = self.digest
        return f"{short}@{digest[:8]}" if digest else str(self.checkpoint)

    @property
    def digest(self) -> str:
        """Of the sizes, beginnings and ends of the files of weights; empty for a name on the Hub."""
        return weights_digest(*(folder for folder in (self.checkpoint, self.adapter) if folder))

    @property
    def rank(self) -> int:
        """Of the adapters; 0 where there are none.

        Raises:
            ConfigurationError: their settings cannot be read.
        """
        if not self.adapter:
            return 0
        try:
            return int(json.loads((Path(self.adapter) / "adapter_config.json").read_text(encoding="utf-8"))["r"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"cannot read the LoRA adapters in {self.adapter}: {error}") from error


def local_checkpoint(checkpoint: str | Path) -> str:
    """A checkpoint as options hold it: the whole path of a folder, or a name on the Hub as it is.

    The folder of a fine-tuning stands for the merged model in it.
    """
    path = Path(checkpoint).expanduser()
    if not path.is_dir():
        return str(checkpoint)
    is_run = not (path / "config.json").is_file() and (path / "model" / "config.json").is_file()
    return str((path / "model" if is_run else path).resolve())


def with_base(checkpoint: str | Path, adapter: str | Path = "") -> tuple[str, str]:
    """A checkpoint and the adapters over it as options hold them; a folder of adapters names its base itself.

    Raises:
        ConfigurationError: the settings of the adapters cannot be read, or name no base.
    """
    folder, laid_over = local_checkpoint(checkpoint), local_checkpoint(adapter) if adapter else ""
    settings = Path(folder) / "adapter_config.json"
    if laid_over or not settings.is_file():
        return folder, laid_over
    try:
        base = json.loads(settings.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"cannot read the LoRA adapters in {folder}: {error}") from error
    if not isinstance(base, str) or not base:
        raise ConfigurationError(f"the LoRA adapters in {folder} name no base; give it, and them as adapter=")
    return local_checkpoint(base), folder
