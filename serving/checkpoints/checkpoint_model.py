"""A Hugging Face checkpoint that transformers runs in this process, on its GPU or its CPU.

What is asked at one time is written in one batch. The weights are loaded when the first request comes and let go when
the model is closed, so that something else can have the memory.
"""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import torch
import transformers
from jinja2 import TemplateError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from dspy_fusion.programs.errors import ConfigurationError

from ..embedded.token_sampling import Sampling
from .checkpoint_options import CheckpointOptions
from .row_sampling import RowLimits, RowSampler


@dataclass(frozen=True)
class Written:
    """An answer: its text, how many tokens it took, and whether it came to an end."""

    text: str
    tokens: int
    ended: bool


@dataclass(frozen=True)
class _Asked:
    prompt: list[int]
    sampling: Sampling
    answer: Future[Written]


class CheckpointModel:
    """A checkpoint with its tokenizer. Any number of threads may ask it.

    Args:
        options: which checkpoint, and how it is run.

    Raises:
        ConfigurationError: there is no such checkpoint, or it has no chat template.
    """

    def __init__(self, options: CheckpointOptions) -> None:
        self.options = options
        try:
            config = AutoConfig.from_pretrained(options.checkpoint)
            self.tokenizer: Any = AutoTokenizer.from_pretrained(options.checkpoint)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigurationError(
                f"cannot load the checkpoint {options.checkpoint!r}: {reason}; give a folder or a name on the Hub"
            ) from error
        self.tokenizer.chat_template = options.chat_template or self.tokenizer.chat_template
        if not self.tokenizer.chat_template:
            raise ConfigurationError(f"the checkpoint {options.checkpoint!r} has no chat template; give one")
        self.tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True  # told here
        limits = (options.context, getattr(config, "max_position_embeddings", None), self.tokenizer.model_max_length)
        self.context = min(int(limit) for limit in limits if limit)
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._latest: threading.Thread | None = None  # the worker, or the one before

    def prompt(self, messages: Sequence[dict[str, str]]) -> list[int]:
        """The tokens of a conversation, up to the place where the model answers.

        Raises:
            ConfigurationError: the chat template cannot write it.
        """
        try:
            return list(
                self.tokenizer.apply_chat_template(
                    list(messages), tokenize=True, add_generation_prompt=True, return_dict=False
                )
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise ConfigurationError(f"the chat template cannot write the roles {roles}: {error}") from error

    def submit(self, prompt: list[int], sampling: Sampling) -> Future[Written]:
        """Asks for an answer; it is written together with what else is asked by then."""
        answer: Future[Written] = Future()
        with self._lock:
            if self._worker is None:
                self._queue = SimpleQueue()  # one that was let go may still read from its own
                work = self._queue, self._latest
                self._worker = self._latest = threading.Thread(
                    target=self._work, args=work, name="checkpoint", daemon=True
                )
                self._worker.start()
            self._queue.put(_Asked(prompt, sampling, answer))
        return answer

    @property
    def is_loaded(self) -> bool:
        """Whether its weights are, or are about to be, in memory."""
        return self._worker is not None

    def close(self) -> None:
        """Lets the weights go once what was asked is answered; the next request loads them again."""
        with self._lock:
            worker, self._worker = self._worker, None
            if worker is not None:
                self._queue.put(None)
        if worker is not None:
            worker.join()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _work(self, queue: SimpleQueue[_Asked | None], before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # until its weights are let go
        model: Any = None
        while (first := queue.get()) is not None:
            batch, ends = [first], False
            with suppress(Empty):
                while len(batch) < self.options.batch:
                    more = queue.get_nowait()
                    if more is None:
                        ends = True
                        break
                    batch.append(more)
            waiting = [asked for asked in batch if asked.answer.set_running_or_notify_cancel()]
            try:
                model = model or self._loaded()
                for asked, written in zip(waiting, self._write(model, waiting), strict=True):
                    asked.answer.set_result(written)
            except Exception as error:  # noqa: BLE001 (raised where the answer is awaited)
                for asked in waiting:
                    asked.answer.set_exception(error)
            if ends:
                return

    def _loaded(self) -> Any:
        options = self.options
        device = options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.float32 if device == "cpu" else "auto"
        try:
            with _quietly():
                model: Any = AutoModelForCausalLM.from_pretrained(options.checkpoint, dtype=dtype)
                if options.adapter:
                    from peft import PeftModel

                    model = PeftModel.from_pretrained(model, options.adapter)
        except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(f"cannot load the weights of {options.checkpoint!r}: {reason}") from error
        return model.to(device).eval()

    @torch.inference_mode()
    def _write(self, model: Any, batch: Sequence[_Asked]) -> list[Written]:
        if not batch:
            return []
        width, limits = max(len(one.prompt) for one in batch), [one.sampling.max_tokens for one in batch]
        ends = _ends(model, self.tokenizer)
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else ends[0]
        rows = [[pad] * (width - len(one.prompt)) + one.prompt for one in batch]
        seen = [[0] * (width - len(one.prompt)) + [1] * len(one.prompt) for one in batch]
        tokens = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(seen, device=model.device),
            generation_config=GenerationConfig(
                max_new_tokens=max(limits), do_sample=False, eos_token_id=ends, pad_token_id=pad
            ),
            logits_processor=[RowSampler([one.sampling for one in batch])],
            stopping_criteria=[RowLimits(width, limits)],
        )
        return [self._read(row[width:].tolist(), one.sampling, ends) for row, one in zip(tokens, batch, strict=True)]

    def _read(self, tokens: list[int], sampling: Sampling, ends: Sequence[int]) -> Written:
        tokens = tokens[: sampling.max_tokens]
        place = next((place for place, token in enumerate(tokens) if token in ends), None)
        kept = tokens if place is None else tokens[:place]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        stops = [text.find(stop) for stop in sampling.stop if stop in text]
        used = len(kept) + (place is not None)
        return Written(text[: min(stops)], used, True) if stops else Written(text, used, place is not None)


@contextmanager
def _quietly() -> Iterator[None]:
    """No progress bar of transformers', which would lie across those of a run, and no advice to PEFT."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the model's, and the tokenizer's."""
    known = model.generation_config.eos_token_id
    ends = [known] if isinstance(known, int) else list(known or ())
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    return ends


_models: dict[tuple[CheckpointOptions, str], CheckpointModel] = {}
_models_lock = threading.Lock()


def shared_model(options: CheckpointOptions) -> CheckpointModel:
    """The model of these options in this process.

    However many ask for it, there is one, and another one for other weights in the same place.
    """
    key = options, options.digest
    with _models_lock:
        if key not in _models:
            _models[key] = CheckpointModel(options)
        return _models[key]


def any_loaded() -> bool:
    """Whether a model of this process has its weights in memory."""
    with _models_lock:
        return any(model.is_loaded for model in _models.values())


def close_models() -> None:
    """Lets go of the weights of every model of this process."""
    with _models_lock:
        models = list(_models.values())
    for model in models:
        model.close()
