"""How likely a model finds an answer that it did not write.

Embedded models in this process, Hugging Face checkpoints and GGUF files with torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from dspy.lm15 import Message, Request

from dspy_fusion.optimizers.finetuning.files.training_row import TrainingRow
from dspy_fusion.programs.errors import ConfigurationError
from dspy_fusion.programs.extras import needs
from dspy_fusion.serving.catalogue.models import GGUF_SUFFIX, ModelCatalogue
from dspy_fusion.serving.embedded.embedded_model import EmbeddedModel, LogLikelihood, load_model
from dspy_fusion.serving.embedded.engine import EmbeddedEngine
from dspy_fusion.serving.local import PREFIX as LOCAL_PREFIX
from dspy_fusion.serving.local.gguf_checkpoint import gguf_checkpoint
from dspy_fusion.serving.local.known_models import KNOWN_MODELS

_EMBEDDED = "embedded/"


class AnswerLikelihood(Protocol):
    """A model that says how likely a row's completion is after its prompt."""

    name: str
    """Stands for the weights."""

    def of(self, row: TrainingRow) -> LogLikelihood:
        """The completion's log-probability, the token that ends it counted.

        ``ConfigurationError`` where it does not fit the context.
        """
        ...


class EmbeddedLikelihood:
    """Of an embedded model."""

    def __init__(self, model: EmbeddedModel) -> None:
        self.name = model.name
        self._engine = EmbeddedEngine(model)

    def of(self, row: TrainingRow) -> LogLikelihood:
        """See :class:`AnswerLikelihood`."""
        system = "\n\n".join(message["content"] for message in row.prompt if message["role"] == "system")
        spoken = [message for message in row.prompt if message["role"] != "system"]
        request = Request(self.name, tuple(_message(message) for message in spoken), system=system)
        return self._engine.log_likelihood(request, row.completion, ended=True)


class HuggingFaceLikelihood:
    """Of a Hugging Face checkpoint with a chat template, on the GPU where there is one.

    Args:
        source: its folder, or its name on the Hub.

    Raises:
        ConfigurationError: torch or transformers is missing, there is no such checkpoint, or it has no chat template.
    """

    def __init__(self, source: str) -> None:
        with needs(f"the likelihood by {source!r}", "finetune"):
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
            model: Any = AutoModelForCausalLM.from_pretrained(source, dtype="auto")
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigurationError(
                f"cannot load the checkpoint {source!r}: {reason}; give a folder, or embedded/NAME"
            ) from error
        if not self._tokenizer.chat_template:
            raise ConfigurationError(
                f"the checkpoint {source!r} has no chat template, so it is not clear how a prompt is written"
            )
        self.name, self._torch = source, torch
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def of(self, row: TrainingRow) -> LogLikelihood:
        """See :class:`AnswerLikelihood`."""
        prompt = self._tokenizer.apply_chat_template(
            list(row.prompt), add_generation_prompt=True, tokenize=True, return_dict=False
        )
        answer = [*self._tokenizer(row.completion, add_special_tokens=False)["input_ids"], self._tokenizer.eos_token_id]
        tokens, context = [*prompt, *answer], self._model.config.max_position_embeddings
        if len(tokens) > context:
            raise ConfigurationError(
                f"prompt and completion have {len(tokens)} tokens, {len(tokens) - context} too many for {self.name}"
            )
        with self._torch.inference_mode():
            logits = (
                self._model(self._torch.tensor([tokens], device=self._model.device))
                .logits[0, len(prompt) - 1 : -1]
                .float()
            )
            tokens_of_answer = self._torch.tensor(answer, device=logits.device)[:, None]
            logprobs = self._torch.log_softmax(logits, -1).gather(1, tokens_of_answer)
        return LogLikelihood(float(logprobs.sum()), len(answer))


def likelihood_of(base: str, catalogue: ModelCatalogue) -> AnswerLikelihood:
    """The likelihoods of an embedded model of the catalogue, by its name or as ``embedded/NAME``,
    of a GGUF file (its path, the name of a known model or of a local one of the catalogue), whose weights are read once
    into a checkpoint, or of a Hugging Face checkpoint.

    Raises:
        ConfigurationError: there is no such model.
    """
    if (
        base.endswith(GGUF_SUFFIX)
        or base in KNOWN_MODELS
        or (base in catalogue.names and catalogue.entry(base).is_local)
    ):
        entry = catalogue.entry(base) if base in catalogue.names else None
        file = base if entry is None else entry.gguf or entry.model.removeprefix(LOCAL_PREFIX)
        return HuggingFaceLikelihood(str(gguf_checkpoint(file, sha256="" if entry is None else entry.sha256)))
    is_embedded = base in catalogue.names or base.startswith(_EMBEDDED) or base.endswith(".safetensors")
    if is_embedded and catalogue.entry(base).is_embedded:
        return EmbeddedLikelihood(load_model(catalogue.entry(base).model.removeprefix(_EMBEDDED)))
    if is_embedded:
        raise ConfigurationError(
            f"{base!r} is served, and a server does not score given answers; give the checkpoint's folder instead"
        )
    return HuggingFaceLikelihood(str(Path(base)) if Path(base).is_dir() else base)


def _message(message: dict[str, str]) -> Message:
    return Message.assistant(message["content"]) if message["role"] == "assistant" else Message.user(message["content"])
