"""A GGUF file as a Hugging Face checkpoint, for what llama.cpp cannot do: training, and the likelihood of given texts.

``transformers`` reads the file and undoes its quantization, so the weights are those that llama.cpp computes with, in
floating point.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs

from .gguf_file import read_gguf
from .model_files import digest_of, model_file

_ABOUT = "gguf.json"


def gguf_checkpoint(model: str | Path, folder: str | Path | None = None, *, sha256: str = "") -> Path:
    """Writes a model as a checkpoint that ``AutoModelForCausalLM`` and ``AutoTokenizer`` load; returns its folder.

    Args:
        model: as :func:`local_lm` takes it.
        folder: where to; None takes one under the user's cache that is the same for the same file. One that holds this
            file's checkpoint already is left as it is.
        sha256: the hash that the file must have.

    Raises:
        ConfigurationError: there is no such file, it has no chat template, its architecture is not one that
            ``transformers`` reads, or the folder holds something else.
        MissingExtra: torch, transformers or gguf is not installed.
    """
    path = model_file(model, sha256)
    template = read_gguf(path).chat_template
    if not template:
        raise ConfigurationError(f"{path.name} has no chat template, so it is not clear how a prompt is written")
    digest = digest_of(path)
    target = _cached(digest) if folder is None else Path(folder).expanduser()
    if (about := target / _ABOUT).is_file():
        if json.loads(about.read_text(encoding="utf-8")).get("sha256") == digest:
            return target
        raise ConfigurationError(f"{target} holds the checkpoint of another file; give another folder")
    if target.is_dir() and any(target.iterdir()):
        raise ConfigurationError(f"{target} is not empty and holds no checkpoint of {path.name}; give a new folder")
    _write(path, template, target)
    about.write_text(json.dumps({"file": path.name, "sha256": digest}), encoding="utf-8")
    return target


def _write(path: Path, template: str, target: Path) -> None:
    with needs("a checkpoint of a GGUF file", "finetune"):
        import gguf  # noqa: F401 (transformers needs it and says less)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    place: dict[str, Any] = {"gguf_file": path.name}
    half = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(path.parent), **place)
        weights: Any = AutoModelForCausalLM.from_pretrained(
            str(path.parent), dtype=torch.float32, quantization_config=GgufConfig(dequantize=True), **place
        )
        tokenizer.chat_template = template
        tokenizer.save_pretrained(half)
        weights.to(torch.bfloat16).save_pretrained(half)
    except (ValueError, KeyError, NotImplementedError) as error:
        shutil.rmtree(half, ignore_errors=True)
        text = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"transformers cannot read {path.name}: {text}; give another checkpoint") from error
    if target.is_dir():
        target.rmdir()
    target.parent.mkdir(parents=True, exist_ok=True)
    half.rename(target)


def _cached(digest: str) -> Path:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "dspy-fusion" / "checkpoints" / digest[:16]
