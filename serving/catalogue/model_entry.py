"""A model of the catalogue: what it is called, where it answers, and what it costs.

Keys are named, never written down.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import dspy

from dspy_fusion.programs.errors import ConfigurationError, MissingKey
from dspy_fusion.programs.redaction import know

from ..checkpoints import PREFIX as CHECKPOINT_PREFIX
from ..embedded import PREFIX
from ..local import CONTEXT as LOCAL_CONTEXT, PREFIX as LOCAL_PREFIX
from ..model_sampling import LocalSampling, ModelSampling, check_sampling
from ..replicas.affinity import affinity_of
from ..replicas.gpu_time import GpuTime
from ..replicas.router import RoutedLM
from ..replicas.together import CANNOT_SEND, TogetherLM

ENGINES = {"litellm": "litellm", "native": "lm15"}
_NOT_NATIVE = ("top_k", "min_p", "repetition_penalty", "extra_body")
_NO_KEY = "none"


@dataclass(frozen=True)
class Price:
    """US dollars for a million prompt tokens (``input``) and for a million completion tokens (``output``)."""

    input: float = 0.0
    output: float = 0.0

    def cost_usd(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost."""
        return (tokens_in * self.input + tokens_out * self.output) / 1_000_000


@dataclass(frozen=True)
class ModelEntry:
    """A model that can be asked.

    Attributes:
        model: a litellm model string such as ``hosted_vllm/Qwen/Qwen3-8B``, ``embedded/`` and a name or path, or
            ``local/`` and the name of a known GGUF file.
        address: base URL of its server, such as ``http://localhost:8000/v1``; empty for the provider's own.
        addresses: base URLs of several servers of the same model, instead of ``address`` (which may be written as a
            list, too).
        engine: ``litellm``, or ``native`` for DSPy's own client, which is faster and knows fewer options.
        sampling: defaults of its sampling options, out of ``SAMPLING``.
        context: how many tokens it takes, or None where that is not known.
        price: what it costs.
        key: the environment variable that holds its key; empty for the provider's usual one, or none at an ``address``.
        about: one line for people.
        max_concurrency: how many calls each address takes at once; None for any number. It holds for the whole process.
        timeout: seconds that a call waits for the next byte; None for DSPy's ten minutes.
        fallback: the name of another model of the catalogue that answers when no address of this one does.
        gpus: how many GPUs each address has, for prices in GPU-seconds; 0 where that is not known.
        one_request: whether the candidates of a question are drawn in one request with ``n``, where a probe has found
            that the server honours it (:class:`TogetherLM` says what is lost); None for where the prompt has a price,
            which is then paid once.
        gguf: the GGUF file that llama.cpp runs on this machine: a path, ``hf:owner/name:file.gguf``, or the name of a
            known model.
        sha256: what that file must have; empty for a known model's own, or any.
        parallel: how many answers of it are written at once.
        threads: cores that work on it; 0 for all.
        lora: LoRA adapters for it, as GGUF files.
    """

    model: str
    address: str = ""
    addresses: tuple[str, ...] = ()
    engine: str = "litellm"
    sampling: Mapping[str, Any] = field(default_factory=dict)
    context: int | None = None
    price: Price = Price()
    key: str = ""
    about: str = ""
    max_concurrency: int | None = None
    timeout: float | None = None
    fallback: str = ""
    gpus: float = 0.0
    one_request: bool | None = None
    gguf: str = ""
    sha256: str = ""
    parallel: int = 4
    threads: int = 0
    lora: tuple[str, ...] = ()

    @property
    def why_not_together(self) -> str:
        """What stands in the way of one request for several candidates, or an empty string."""
        if len(self.where) > 1:
            return "several addresses"
        if self.is_local:
            return "a local model, which always draws together"
        if self.is_embedded or self.is_checkpoint or self.engine != "litellm":
            return 'an engine other than "litellm"'
        return next((f"the sampling option {name}" for name in CANNOT_SEND if name in self.sampling), "")

    @property
    def is_routed(self) -> bool:
        """Whether its calls go through a :class:`RoutedLM`, for one of them may wait,
        or go to another address or model.
        """
        return bool(self.addresses or self.max_concurrency or self.fallback)

    @property
    def where(self) -> tuple[str, ...]:
        """Its addresses, or nothing for the provider's own."""
        return self.addresses or ((self.address,) if self.address else ())

    @property
    def is_local(self) -> bool:
        """Whether llama.cpp runs it on this machine."""
        return self.model.startswith(LOCAL_PREFIX)

    @property
    def is_embedded(self) -> bool:
        """Whether it runs in this process."""
        return self.model.startswith(PREFIX)

    @property
    def is_checkpoint(self) -> bool:
        """Whether transformers runs it in this process."""
        return self.model.startswith(CHECKPOINT_PREFIX)

    @property
    def is_here(self) -> bool:
        """Whether it is a model of this machine, with a name that tells its weights from others."""
        return self.is_embedded or self.is_local or self.is_checkpoint

    def lm(
        self,
        *,
        cache: bool = False,
        fallback: dspy.LM | None = None,
        together: bool = False,
        **sampling: Unpack[ModelSampling],
    ) -> dspy.LM:
        """The model as DSPy takes it.

        ``sampling`` goes before the entry's defaults, and ``fallback`` is the model of that name.

        With ``together`` it is a :class:`TogetherLM`, where nothing stands in the way.

        The engine is always set, for DSPy would otherwise choose one per call by the options of that call.

        Raises:
            MissingKey: the variable that should hold its key is not set.
            ConfigurationError: an option is unknown, or the native engine would drop it.
        """
        options: dict[str, Any] = {**self.sampling, **sampling}
        check_sampling(options, self.model)
        if self.is_embedded:
            from .. import embedded_lm  # numpy and tokenizers are loaded only where such a model is asked for

            return embedded_lm(self.model, cache=cache, **options)
        if self.is_local:
            return self._local_lm(cache=cache, **options)
        if self.is_checkpoint:
            return self._checkpoint_lm(cache=cache, **options)
        if self.engine == "native" and (dropped := [name for name in _NOT_NATIVE if name in options]):
            raise ConfigurationError(
                f'{self.model}: the native engine does not send {dropped[0]}; use engine = "litellm"'
            )
        settings = {"cache": cache, **options}
        if self.gpus:
            settings["callbacks"] = [GpuTime(self.model, self.gpus)]
        if together and not replace(self, sampling=options).why_not_together:
            settings |= {
                "connection": self._connection(),
                "max_concurrency": self.max_concurrency,
                "fallback": fallback,
            }
            return TogetherLM(self.model, **settings)
        settings |= {"engine": ENGINES[self.engine], **self._connection()}
        if not self.is_routed:
            return dspy.LM(self.model, **settings)
        settings.pop("api_base", None)
        affinity = affinity_of(self.where or (self.model,), self.max_concurrency)
        return RoutedLM(self.model, affinity=affinity, fallback=fallback, **settings)

    def _checkpoint_lm(self, *, cache: bool, **options: Unpack[LocalSampling]) -> dspy.LM:
        from ..checkpoints.checkpoint_lm import checkpoint_lm

        folder = self.model.removeprefix(CHECKPOINT_PREFIX)
        if not Path(folder).expanduser().is_dir():
            raise ConfigurationError(
                f"there is no folder {folder!r} with a checkpoint; give one in Hugging Face's format"
            )
        return checkpoint_lm(folder, context=self.context or 0, cache=cache, **options)

    def _local_lm(self, *, cache: bool, **options: Unpack[LocalSampling]) -> dspy.LM:
        from ..local.local_lm import local_lm

        return local_lm(
            self.gguf or self.model.removeprefix(LOCAL_PREFIX),
            sha256=self.sha256,
            context=self.context or LOCAL_CONTEXT,
            parallel=self.parallel,
            threads=self.threads or None,
            lora=self.lora,
            cache=cache,
            **options,
        )

    def _connection(self) -> dict[str, Any]:
        connection: dict[str, Any] = {"api_base": self.address} if self.address else {}
        if self.timeout:
            connection["timeout"] = self.timeout
        if self.key:
            if not os.environ.get(self.key):
                raise MissingKey(f"{self.model} needs a key: set the environment variable {self.key}")
            connection["api_key"] = os.environ[self.key]
            know(connection["api_key"])
        elif self.where:
            # Without one litellm would send the provider's own key, such as OPENAI_API_KEY, to this address.
            connection["api_key"] = _NO_KEY
        return connection
