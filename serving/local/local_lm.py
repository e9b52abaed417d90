"""A GGUF file as a ``dspy.LM``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import dspy

from ..model_sampling import LOCAL_SAMPLING, LocalSampling, check_sampling
from ..replicas.gathered_requests import Gathering
from . import CONTEXT, PREFIX
from .known_models import KNOWN_MODELS
from .llama_server import LlamaOptions, lora_adapters, shared_server
from .local_engine import AsyncLocalEngine, LocalEngine
from .model_files import digest_of, model_file


def local_lm(
    model: str | Path,
    *,
    sha256: str = "",
    context: int = CONTEXT,
    parallel: int = 4,
    threads: int | None = None,
    gpu_layers: int = -1,
    lora: Sequence[str | Path | tuple[str | Path, float]] = (),
    chat_template: str = "",
    port: int = 0,
    cache: bool = False,
    **sampling: Unpack[LocalSampling],
) -> dspy.LM:
    """A language model that llama.cpp runs on this machine.

    The server starts with the first call, answers on 127.0.0.1 alone and ends with this process, also when that is
    killed. Every LM over the same file and options shares it. A server that dies is started again once; a second death
    before an answer raises ``LocalServerDied``.

    Args:
        model: the path of a GGUF file, ``hf:owner/name:file.gguf`` (downloaded once, resumed, with a bar), or the name
            of one of ``KNOWN_MODELS``, such as ``qwen2.5-coder-0.5b``.
        sha256: the hash that the file must have; that of a known model is checked in any case.
        context: tokens that prompt and answer may take together, at most the model's own.
        parallel: how many answers are written at once; memory grows with ``context * parallel``.
        threads: cores that work; None takes all.
        gpu_layers: layers that a GPU takes over where there is one; -1 for all, 0 for none.
        lora: LoRA adapters as GGUF files, or pairs of one and its scale.
        chat_template: a Jinja template for a file that has none.
        port: of the server; 0 takes a free one.
        cache: whether DSPy's own cache keeps its answers.
        sampling: defaults of ``temperature``, ``top_p``, ``top_k``, ``min_p``, ``max_tokens``, ``seed``, ``stop``,
            ``logprobs``.

    Raises:
        ConfigurationError: the file is missing, damaged or another than the hash says, or does not fit into memory.
        UnknownOption: a sampling option is not known.

    Example:
        >>> dspy.configure(lm=local_lm("qwen2.5-coder-0.5b", max_tokens=400))  # doctest: +SKIP
    """
    check_sampling(sampling, "local_lm", LOCAL_SAMPLING)
    os.environ.setdefault(
        "LITELLM_LOCAL_MODEL_COST_MAP", "true"
    )  # no price list is fetched for a model on this machine
    path = model_file(model, sha256)
    options = LlamaOptions(
        str(path), context, parallel, threads or 0, gpu_layers, lora_adapters(lora), chat_template, port
    )
    options.check()
    server, gathering = shared_server(options), Gathering()
    name = str(model) if str(model) in KNOWN_MODELS else path.stem
    digests = [digest_of(path), *(digest_of(Path(adapter)) for adapter, _ in options.lora)]
    lm = dspy.LM(
        f"{PREFIX}{name}@{'+'.join(digest[:8] for digest in digests)}",
        engine=LocalEngine(server, gathering),
        async_engine=AsyncLocalEngine(server, gathering),
        cache=cache,
        **sampling,
    )
    vars(lm)["known_as"] = f"{PREFIX}{name}" if name in KNOWN_MODELS else str(path.resolve())
    return lm
