"""A Hugging Face checkpoint as a ``dspy.LM`` behind a vLLM server that this process starts and ends."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, Unpack

import dspy
from dspy.clients._litellm import get_litellm
from dspy.lm15 import Request, Response

from dspy_fusion.programs.errors import ConfigurationError

from ..local.local_engine import AsyncLocalEngine, LocalEngine
from ..model_sampling import LOCAL_SAMPLING, LocalSampling, check_sampling
from ..replicas.gathered_requests import Gathering
from . import PREFIX
from .checkpoint_options import CheckpointOptions, with_base
from .vllm_server import VllmOptions, VllmServer, shared_server


class _OfVllm:
    """What both engines have in common: the model's name on its server, and how they are saved."""

    server: VllmServer

    def dump_state(self) -> dict[str, Any]:
        """Which checkpoint it is, how it is served, and what tells its weights from others."""
        return {"options": asdict(self.server.options), "digest": self.server.options.checkpoint.digest}

    @classmethod
    def load_state(cls, state: dict[str, Any]) -> Self:
        """An engine over the same checkpoint; raises ``ConfigurationError`` where its weights are others by now."""
        said = dict(state["options"])
        checkpoint = CheckpointOptions(**said.pop("checkpoint"))
        if checkpoint.digest != state["digest"]:
            raise ConfigurationError(f"the weights of {checkpoint.checkpoint!r} are not those it was saved with")
        options = VllmOptions(checkpoint, **{**said, "arguments": tuple(said["arguments"])})
        return cls(shared_server(options), Gathering())  # type: ignore[call-arg]

    def bank_identity(self) -> list[Any]:
        """What its texts depend on beside the model's name: the weights, the template and how vLLM runs them."""
        options = self.server.options
        return [options.checkpoint.digest, options.checkpoint.chat_template, list(options.arguments)]

    def _request(self, data: dict[str, Any]) -> dict[str, Any]:
        asked = super()._request(data)  # type: ignore[misc]
        return {**asked, "model": f"hosted_vllm/{self.server.model}"}


class VllmEngine(_OfVllm, LocalEngine):
    """The synchronous engine. Requests go one by one: the server's prefix cache reads a prompt once."""

    def complete(self, request: Request) -> Response:
        """Answers one request."""
        get_litellm(feature="a vLLM server")
        return self._response(self._send(self._arguments(request)), request)


class AsyncVllmEngine(_OfVllm, AsyncLocalEngine):
    """The asynchronous engine."""


def vllm_lm(
    checkpoint: str | Path,
    *,
    adapter: str | Path = "",
    context: int = 0,
    chat_template: str = "",
    arguments: tuple[str, ...] = (),
    ready_within: float = 1200.0,
    command: str = "vllm",
    cache: bool = False,
    **sampling: Unpack[LocalSampling],
) -> dspy.LM:
    """A language model that vLLM serves on this machine; the server starts with the first call.

    Args:
        checkpoint: a folder, or a name on the Hub; as :func:`checkpoint_lm` takes it.
        adapter: a folder of LoRA adapters, which vLLM lays over the checkpoint without merging them.
        context: tokens of prompt and answer together; 0 takes the model's own.
        chat_template: the path of a Jinja template for a checkpoint that has none.
        arguments: further ones of ``vllm serve``.
        ready_within: seconds that the server may take to be ready.
        command: the program; a path, or a name on ``PATH``.
        cache: whether DSPy's own cache keeps its answers.
        sampling: defaults of the sampling options.

    Raises:
        MissingExtra: vLLM is not installed.
        ConfigurationError: the adapters cannot be read.
        UnknownOption: a sampling option is unknown.
    """
    check_sampling(sampling, "vllm_lm", LOCAL_SAMPLING)
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "true")
    base, laid_over = with_base(checkpoint, adapter)
    which = CheckpointOptions(base, laid_over, context, chat_template=chat_template)
    options = VllmOptions(which, tuple(arguments), ready_within, command)
    options.check()
    server: Any = shared_server(options)  # which does what the engines ask of llama.cpp's
    gathering = Gathering()
    engines: dict[str, Any] = {
        "engine": VllmEngine(server, gathering),
        "async_engine": AsyncVllmEngine(server, gathering),
    }
    lm = dspy.LM(f"{PREFIX}{which.name}", cache=cache, **engines, **sampling)
    vars(lm)["known_as"] = (
        f"{PREFIX}{which.adapter or which.checkpoint}"  # which transformers runs, whatever ran it here
    )
    return lm
