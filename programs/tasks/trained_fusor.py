"""TrainedFusor: which trained model stands behind a fusor, as part of a program's state.

It is a ``dspy.Parameter``, so DSPy's ``save`` and ``load`` take it along however deep the program is nested. The state
holds names, digests and plain options. A model that this process can open by itself is opened again when the state is
loaded; one that answers at an address is never looked for there: the program has to be given it, and it must be the
same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dspy
from dspy.predict.parameter import Parameter

from ..errors import ConfigurationError
from .plain_adapter import PlainAdapter
from .sampling_options import SAMPLING

_ENGINES = tuple(
    f"dspy_fusion.serving.{name}"
    for name in (
        "embedded.engine:EmbeddedEngine",
        "embedded.engine:AsyncEmbeddedEngine",
        "checkpoints.checkpoint_engine:CheckpointEngine",
        "checkpoints.checkpoint_engine:AsyncCheckpointEngine",
    )
)
"""Of models that run in this process: what they are opened by names files of weights, and nothing that is run."""
_KINDS: tuple[type[dspy.Adapter], ...] = (dspy.ChatAdapter, dspy.JSONAdapter, dspy.XMLAdapter, PlainAdapter)
_ADAPTERS = {kind.__name__: kind for kind in _KINDS}
_EMPTY = ("_dspy_lm_class", "finetuning_model", "launch_kwargs", "train_kwargs")  # of a model that is only asked
_OPTIONS = ("use_native_function_calling", "use_json_adapter_fallback", "parallel_tool_calls", "system_role")


@dataclass(frozen=True)
class TrainedModel:
    """What is known of a trained model, as plain data.

    Attributes:
        model: the name that it answers to.
        path: the folder of its checkpoint.
        digest: of the checkpoint's weights.
        adapter: the adapter that it was trained under: its kind and its options.
        address: where a server has it, or an empty string.
        everything: whether it writes the candidates too.
        lm: how to open it in this process; empty where a server has it.
    """

    model: str
    path: str
    digest: str
    adapter: dict[str, Any]
    address: str = ""
    everything: bool = False
    lm: dict[str, Any] = field(default_factory=dict)


class TrainedFusor(Parameter):
    """The trained model behind a fusor; nothing until a training puts one there.

    Attributes:
        model: what is known of it, or None.
        lm: the model itself; None where there is none, and where a server has it and the program was loaded.
        adapter: the adapter that it was trained under, and that its prompts are written by.
    """

    def __init__(self) -> None:
        self.model: TrainedModel | None = None
        self.lm: dspy.BaseLM | None = None
        self.adapter: dspy.Adapter | None = None

    def put(self, lm: dspy.BaseLM, checkpoint: Path, adapter: dspy.Adapter, *, everything: bool) -> None:
        """Remembers a model that was trained, with the digest of its checkpoint."""
        address = str(lm.kwargs.get("api_base") or lm.kwargs.get("base_url") or "")
        self.model = TrainedModel(
            lm.model,
            str(checkpoint.resolve()),
            weights_digest(checkpoint),
            adapter_state(adapter),
            address,
            everything,
            _opened_by(lm),
        )
        self.lm, self.adapter = lm, adapter

    def check(self, lm: dspy.BaseLM | None) -> None:
        """Raises ``ConfigurationError`` where the state names a trained model and this is another, or none."""
        if self.model is None or (lm is not None and lm.model == self.model.model and self._same_address(lm)):
            return
        at = f" at {self.model.address}" if self.model.address else ""
        raise ConfigurationError(
            f"this program's fusor is the trained model {self.model.model!r}{at}, but"
            f" {'none' if lm is None else repr(lm.model)} is behind it; build the program with"
            " fusor_lm=dspy.LM(...) for that model before its state is loaded"
        )

    def reset(self) -> None:
        """Forgets the model."""
        self.model = self.lm = self.adapter = None

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """What is known of the model, as plain JSON data."""
        return {"model": None if self.model is None else asdict(self.model)}

    def load_state(self, state: dict[str, Any], **_: object) -> TrainedFusor:
        """Takes a saved model over, and opens it where this process can.

        Raises:
            ConfigurationError: its checkpoint is gone, or has other weights than those it was saved with.
        """
        if state.get("model") is None:
            self.reset()
            return self
        try:
            model = TrainedModel(**state["model"])
        except TypeError as error:
            raise ConfigurationError(
                f"the state of a trained model is damaged: {error}; save the program again"
            ) from error
        _check_weights(model)
        self.lm, self.adapter = _opened(model), adapter_from(model.adapter)
        self.model = model
        return self

    def _same_address(self, lm: dspy.BaseLM) -> bool:
        address = str(lm.kwargs.get("api_base") or lm.kwargs.get("base_url") or "")
        return self.model is None or not self.model.address or address.rstrip("/") == self.model.address.rstrip("/")


def weights_digest(folder: Path) -> str:
    """The first 16 hexadecimal digits of the SHA-256 digest of a checkpoint's weights; empty where there are none."""
    files = sorted((*folder.glob("*.safetensors"), *folder.glob("*.bin")))
    if not files:
        return ""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def adapter_state(adapter: dspy.Adapter) -> dict[str, Any]:
    """An adapter as plain data: its kind and the options that change what it writes."""
    kind = type(adapter)
    name = kind.__name__ if _ADAPTERS.get(kind.__name__) is kind else f"{kind.__module__}.{kind.__qualname__}"
    return {"kind": name, **{key: getattr(adapter, key) for key in _OPTIONS if hasattr(adapter, key)}}


def adapter_from(state: dict[str, Any]) -> dspy.Adapter:
    """The adapter of a state; one that is not DSPy's or ours must be the one that is set.

    Raises:
        ConfigurationError: another adapter is set.
    """
    if (kind := _ADAPTERS.get(str(state.get("kind")))) is not None:
        adapter = kind()
        for name in _OPTIONS:
            if name in state and hasattr(adapter, name):
                setattr(adapter, name, state[name])
        return adapter
    present = dspy.settings.adapter or dspy.ChatAdapter()
    if adapter_state(present) != state:
        raise ConfigurationError(
            f"the model was trained under the adapter {state.get('kind')}, but {type(present).__name__} is set; set it"
            " before the program is loaded: dspy.configure(adapter=...)"
        )
    return present


def _opened_by(lm: dspy.BaseLM) -> dict[str, Any]:
    """How to open a model that runs in this process: only our own engines, which check the weights' digest."""
    try:
        state = json.loads(json.dumps(lm.dump_state()))
    except (TypeError, ValueError):
        return {}  # an engine that cannot be saved: the program has to be given the model
    return state if _is_ours(state) else {}


def _is_ours(state: dict[str, Any]) -> bool:
    engines = [state.get(name) for name in ("engine", "async_engine")]
    return all(isinstance(engine, dict) and engine.get("class") in _ENGINES for engine in engines)


def _opened(model: TrainedModel) -> dspy.BaseLM | None:
    if not model.lm:
        return None
    if not _is_ours(model.lm):
        raise ConfigurationError(
            f"the state of the trained model {model.model!r} names an engine that is not this library's; save the"
            " program again"
        )
    if others := [name for name, value in model.lm.items() if not _is_plain(name, value)]:
        raise ConfigurationError(
            f"the state of the trained model {model.model!r} has {others[0]!r:.80}, which a file must not set; save the"
            " program again"
        )
    state = {name: value for name, value in model.lm.items() if name not in _EMPTY}
    return dspy.LM.load_state({**state, "model": model.model}, allow_custom_lm_class=True)


def _is_plain(name: str, value: Any) -> bool:
    """Whether DSPy's state of a model may hold this: what it writes of one of our engines, and nothing else."""
    if name in _EMPTY:
        return value in (None, {}, "dspy.clients.lm.LM")
    if name in SAMPLING:
        return value is None or isinstance(value, SAMPLING[name])
    return name in ("engine", "async_engine", "model", "model_type", "cache", "num_retries")


def _check_weights(model: TrainedModel) -> None:
    folder = Path(model.path)
    if model.lm and not weights_digest(folder):
        raise ConfigurationError(
            f"the trained model's checkpoint {model.path} is not there; put it back, or train it again"
        )
    if folder.is_dir() and (digest := weights_digest(folder)) != model.digest:
        raise ConfigurationError(
            f"the weights in {model.path} have the digest {digest or 'none'}, but the program was saved with those of"
            f" {model.digest}; put them back, or train and save it again"
        )
