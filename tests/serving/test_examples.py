from __future__ import annotations

from pathlib import Path

import pytest

from dspy_fusion.serving.catalogue.models import ModelCatalogue, load_models

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*/models.toml")), ids=lambda path: path.parent.name)
def test_the_example_catalogues_are_right(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    models = load_models(path)
    own = [name for name in models.names if name not in ModelCatalogue.builtin().names]
    assert own
    assert all(models.lm(name).model == models.entry(name).model for name in own)
    assert (path.with_name("README.md")).is_file()
