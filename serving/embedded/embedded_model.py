"""A loaded embedded model: weights and tokenizer. Each is loaded once per process, when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from dspy_fusion.programs.errors import ConfigurationError

from . import SUFFIX
from .batching import Batch
from .caches import PromptCache
from .checkpoint import Checkpoint, load_checkpoint
from .decoder import Decoder
from .dispatcher import dispatcher
from .jobs import Job
from .lane import Errand
from .lane_messages import Load
from .token_sampling import Sampling, log_probabilities
from .tokenizer import ChatTokenizer

WEIGHTS = Path(__file__).parent / "weights"
MODEL_NAMES = ("plus", "minus", "times", "sft", "solver", "aft", "judge")


@dataclass(frozen=True)
class LogLikelihood:
    """How likely a model finds a text: the sum of its tokens' natural log-probabilities, and how many tokens it has."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        """The mean log-probability of a token; 0 for an empty text."""
        return self.total / self.tokens if self.tokens else 0.0


class EmbeddedModel:
    """A tiny language model in this process. Any number of threads may use it.

    Attributes:
        source: the name or path that it was loaded from.
        digest: stands for the weights; another training run has another one.
        tokenizer: turns texts into tokens and back.
        context: how many tokens a prompt and its answer may have together.
    """

    def __init__(self, source: str, path: Path) -> None:
        checkpoint = _read_checkpoint(path)
        self.source = source
        self.digest = checkpoint.digest
        self.tokenizer = _tokenizer_for(path)
        self.context = checkpoint.architecture.max_positions
        if self.tokenizer.vocabulary_size != checkpoint.architecture.vocabulary_size:
            raise ConfigurationError(
                f"{path} has {checkpoint.architecture.vocabulary_size} tokens but its tokenizer.json has "
                f"{self.tokenizer.vocabulary_size}; put the tokenizer that it was trained with beside it"
            )
        self._checkpoint = checkpoint
        self._reader = Decoder(checkpoint, np.float32)
        self._make_batch = partial(Batch.of, checkpoint, self.tokenizer.end)

    @property
    def name(self) -> str:
        """The model's name with its weights' digest, as in ``aft@0123456789abcdef``."""
        return f"{Path(self.source).name.removesuffix(SUFFIX)}@{self.digest}"

    def submit(self, prompt: Sequence[int], sampling: Sampling, on_token: Callable[[int], None] | None = None) -> Job:
        """Queues a prompt; the job's ``answer`` is set when it is done.

        ``prompt`` and ``max_tokens`` must fit the context.
        """
        job = Job(prompt, sampling, self.tokenizer.decode, on_token)
        dispatcher.submit(self.errand(job))
        return job

    def errand(self, job: Job) -> Errand:
        """A job with what is needed to work on it, in this process or in another."""
        return Errand(job, self.digest, self._load, self._make_batch)

    def _load(self) -> Load:
        return Load(self.digest, self._checkpoint, self.tokenizer.tokenizer.to_str())

    def log_likelihood(self, prompt: Sequence[int], completion: str, *, ended: bool = False) -> LogLikelihood:
        """The log-probability of ``completion`` after ``prompt``, at temperature 1.

        Args:
            prompt: tokens, at least one.
            completion: the text to be judged.
            ended: whether the end token counts as its last token.

        Raises:
            ConfigurationError: prompt and completion together exceed the context.
        """
        answer = self.tokenizer.encode(completion) + [self.tokenizer.end] * ended
        tokens = [*prompt, *answer]
        if len(tokens) > self.context:
            raise ConfigurationError(
                f"prompt and completion have {len(tokens)} tokens; {self.name} takes {self.context}"
            )
        cache = PromptCache.of(tokens[:-1], self._reader.shape)
        hidden = self._reader.hidden([cache.next_chunk(len(tokens))])[len(prompt) - 1 :]
        logprobs = log_probabilities(self._reader.logits(hidden).astype(np.float64))  # (answer, vocabulary)
        return LogLikelihood(float(logprobs[np.arange(len(answer)), answer].sum()), len(answer))


def load_model(source: str | Path) -> EmbeddedModel:
    """The model with a built-in name, or of a ``.safetensors`` file; loaded at most once for each version of the file.

    Raises:
        ConfigurationError: there is no such model; the message lists the names.
    """
    source = str(source)
    path = _path_of(source)
    key = (str(path.resolve()), path.stat().st_mtime_ns)
    with _loading:
        if key not in _loaded:
            _loaded[key] = EmbeddedModel(source, path)
        return _loaded[key]


_loading = threading.Lock()
_loaded: dict[tuple[str, int], EmbeddedModel] = {}


def _path_of(source: str) -> Path:
    path = Path(source) if source.endswith(SUFFIX) else WEIGHTS / f"{source}{SUFFIX}"
    if source in MODEL_NAMES or source.endswith(SUFFIX):
        if path.is_file():
            return path
        raise ConfigurationError(f"no weights at {path}; train them, or give the path of another {SUFFIX} file")
    raise ConfigurationError(
        f"no embedded model is called {source!r}; choose one of {', '.join(MODEL_NAMES)}, or give the path of a"
        f" {SUFFIX} file"
    )


def _tokenizer_for(path: Path) -> ChatTokenizer:
    for folder in (path.parent, WEIGHTS):
        if (folder / "tokenizer.json").is_file():
            return ChatTokenizer.from_file(folder / "tokenizer.json")
    raise ConfigurationError(f"no tokenizer.json beside {path}; put the tokenizer that it was trained with there")


def _read_checkpoint(path: Path) -> Checkpoint:
    try:
        return load_checkpoint(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} holds no weights of an embedded model: {error}") from error
