"""Where language models come from: embedded ones that run in this process, and any that litellm or DSPy can reach."""

from .catalogue.model_entry import ModelEntry, Price
from .catalogue.models import ModelCatalogue, load_models
from .embedded.embedded_lm import embedded_lm

__all__ = ["ModelCatalogue", "ModelEntry", "Price", "embedded_lm", "load_models"]
