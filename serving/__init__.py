"""Where language models come from: embedded ones that run in this process, and any that litellm or DSPy can reach."""

from .embedded.embedded_lm import embedded_lm
from .model_entry import ModelEntry, Price
from .models import ModelCatalogue, load_models

__all__ = ["ModelCatalogue", "ModelEntry", "Price", "embedded_lm", "load_models"]
