"""Where language models come from: embedded ones that run in this process, and any that litellm or DSPy can reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dspy_fusion.lazy_face import lazy_names

if TYPE_CHECKING:
    from .catalogue.model_entry import ModelEntry as ModelEntry, Price as Price
    from .catalogue.models import ModelCatalogue as ModelCatalogue, load_models as load_models
    from .checkpoints.checkpoint_lm import checkpoint_lm as checkpoint_lm
    from .checkpoints.model_server import ModelServer as ModelServer
    from .checkpoints.vllm_lm import vllm_lm as vllm_lm
    from .embedded.embedded_lm import embedded_lm as embedded_lm
    from .endpoint.saved_program import load_program as load_program, save_program as save_program
    from .local.local_lm import local_lm as local_lm
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            ".catalogue.model_entry": ("ModelEntry", "Price"),
            ".catalogue.models": ("ModelCatalogue", "load_models"),
            ".checkpoints.checkpoint_lm": ("checkpoint_lm",),
            ".checkpoints.model_server": ("ModelServer",),
            ".checkpoints.vllm_lm": ("vllm_lm",),
            ".embedded.embedded_lm": ("embedded_lm",),
            ".local.local_lm": ("local_lm",),
            ".endpoint.saved_program": ("load_program", "save_program"),
        },
    )
